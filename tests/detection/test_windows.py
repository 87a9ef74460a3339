"""Windows of time over records that come late, out of order, or dated into the future."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest
from support.anomalous_log import found, record, rule_set

from audit_emit._detection.ruleset import RuleSet

ANY: dict[str, Any] = {
    "title": "A",
    "name": "a",
    "detection": {"s": {"event_type": "a.b"}, "condition": "s"},
}
OTHER = {**ANY, "name": "b", "detection": {"s": {"event_type": "c.d"}, "condition": "s"}}


def correlated(kind: str, *parts: dict[str, Any], **more: Any) -> RuleSet:
    names = [one["name"] for one in parts]
    spec = {"type": kind, "rules": names, "timespan": "1m", "group-by": ["user_id"], **more}
    return rule_set(*parts, {"title": "C", "name": "c", "correlation": spec})


COUNT = correlated("event_count", ANY, condition={"gte": 3})
VALUES = correlated("value_count", ANY, condition={"field": "fields.key", "gte": 3})
SUM = correlated("value_sum", ANY, condition={"field": "fields.n", "gt": 10})


def seqs(rules: RuleSet, *times: float, **members: Any) -> list[tuple[int, ...]]:
    records = [record("a.b", at, key=f"K{at}", n=4, **members) for at in times]
    return [one.seqs for one in found(records, rules) if one.rule == "c"]


@pytest.mark.parametrize("rules", [COUNT, VALUES, SUM])
class TestEach:
    def test_the_window_is_inclusive(self, rules: RuleSet) -> None:
        assert seqs(rules, 0, 30, 60) == [(1, 2, 3)]
        assert seqs(rules, 0, 30, 60.000001) == []

    def test_it_fires_once_while_it_holds_and_again_when_it_did_not(self, rules: RuleSet) -> None:
        assert seqs(rules, *range(0, 200, 10)) == [(1, 2, 3)]
        assert seqs(rules, 0, 1, 2, 100, 101, 102) == [(1, 2, 3), (4, 5, 6)]

    def test_a_record_that_comes_late_counts_by_its_time(self, rules: RuleSet) -> None:
        assert seqs(rules, 0, 50, 30) == [(1, 2, 3)]
        assert seqs(rules, 300, 310, 0, 1, 2) == [(3, 4, 5)]

    def test_what_is_dated_into_the_future_pushes_nothing_out(self, rules: RuleSet) -> None:
        assert seqs(rules, 0, 10**8, 1, 2 * 10**8, 2) == [(1, 3, 5)]

    def test_a_clock_that_was_set_back_is_no_end(self, rules: RuleSet) -> None:
        assert seqs(rules, 1000, 1001, 0, 1, 2) == [(3, 4, 5)]

    def test_any_order_of_a_burst_is_found(self, rules: RuleSet) -> None:
        draw = random.Random(7)
        for _ in range(50):
            times = [draw.randrange(200) + number / 100 for number in range(8)]
            holds = any(max(each) - min(each) <= 60 for each in combinations(times, 3))
            assert bool(seqs(rules, *times)) == holds, times


def test_many_records_of_a_window_stay_within_bounds_and_are_all_counted() -> None:
    rules = correlated("value_sum", ANY, condition={"field": "fields.n", "gte": 5000})
    (alert,) = found([record("a.b", at / 1000, n=1) for at in range(6000)], rules)
    assert alert.seqs[-1] == 5000
    assert len(alert.seqs) + alert.unnamed == 5000


def test_numbers_beyond_all_bounds_do_not_blind_a_sum() -> None:
    huge = [record("a.b", 0, n=1e308), record("a.b", 0, n=1e308), record("a.b", 1000, n=1)]
    again = [record("a.b", 2000 + at, n=4) for at in range(3)]
    assert [one.seqs for one in found(huge + again, SUM)] == [(1,), (4, 5, 6)]


def test_temporal_takes_any_order_and_ordered_does_not() -> None:
    backward = [record("c.d", 0), record("a.b", 1)]
    both, ordered = (correlated(kind, ANY, OTHER) for kind in ("temporal", "temporal_ordered"))
    assert [one.seqs for one in found(backward, both)] == [(1, 2)]
    assert found(backward, ordered) == []
    assert [one.seqs for one in found(backward[::-1], ordered)] == [(1, 2)]


def test_ordered_is_by_the_number_and_not_by_the_time() -> None:
    ordered = correlated("temporal_ordered", ANY, OTHER)
    assert [one.seqs for one in found([record("a.b", 1), record("c.d", 0)], ordered)] == [(1, 2)]


def test_one_record_is_not_two_steps() -> None:
    same = {**ANY, "name": "again"}
    ordered = correlated("temporal_ordered", ANY, same)
    assert found([record("a.b")], ordered) == []


def test_an_alias_names_a_field_by_its_rule() -> None:
    rules = correlated(
        "temporal",
        ANY,
        OTHER,
        **{"group-by": ["who"], "aliases": {"who": {"a": "user_id", "b": "fields.target"}}},
    )
    alerts = found([record("a.b", user="u"), record("c.d", 1, user="v", target="u")], rules)
    assert [(one.seqs, dict(one.group)) for one in alerts] == [((1, 2), {"who": "u"})]


def test_a_rule_that_another_is_about_alerts_only_when_asked() -> None:
    quiet = correlated("event_count", ANY, condition={"gte": 2})
    loud = correlated("event_count", ANY, condition={"gte": 2}, generate=True)
    records = [record("a.b", at) for at in range(2)]
    assert [one.rule for one in found(records, quiet)] == ["c"]
    assert [one.rule for one in found(records, loud)] == ["a", "a", "c"]
