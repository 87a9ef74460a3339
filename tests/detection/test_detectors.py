"""What Sigma cannot say: rare hours, baselines; the others are in the cases of the rules."""

from __future__ import annotations

from typing import Any

import pytest
from support.anomalous_log import BEGIN, SECOND, found, lines, record, rule_set

from audit_emit._detection.engine import Engine
from audit_emit._detection.watcher import KEPT
from audit_emit._detection.watchers import Silence

ANY: dict[str, Any] = {
    "title": "A",
    "name": "a",
    "detection": {"s": {"event_type": "a.b"}, "condition": "s"},
}


def detector(kind: str, ours: dict[str, Any], **more: Any) -> Any:
    spec = {"type": kind, "rules": ["a"], "group-by": ["user_id"], **more}
    rule = {"title": "D", "name": "d", "status": "unsupported", "correlation": spec}
    return rule_set(ANY, {**rule, "audit_emit": ours})


HOUR, DAY = 3600, 86400


def test_an_hour_in_which_nobody_worked_before_is_rare_and_told_once_in_it() -> None:
    rules = detector("rare_hour", {"least": 20, "percent": 5})
    days = [record("a.b", day * DAY + 9 * HOUR) for day in range(25)]
    night = [record("a.b", 25 * DAY + 3 * HOUR + minute * 60) for minute in range(5)]
    alerts = found(days + night, rules)
    assert [one.seqs for one in alerts] == [(26,)]
    assert alerts[0].reason == "at 03 h UTC, where 0 records were before"


def test_no_hour_is_rare_for_whom_little_is_known_of() -> None:
    rules = detector("rare_hour", {"least": 20, "percent": 5})
    days = [record("a.b", day * DAY + 9 * HOUR) for day in range(19)]
    assert found([*days, record("a.b", 25 * DAY + 3 * HOUR)], rules) == []


def usual(hours: int, each: int) -> list[dict[str, Any]]:
    return [
        record("a.b", hour * HOUR + number * 10 + hour % 2)
        for hour in range(hours)
        for number in range(each + hour % 2)
    ]


def test_much_more_than_usual_is_told_once_in_its_bucket() -> None:
    rules = detector("baseline", {"bucket": "1h", "buckets": 10, "deviations": 4, "least": 10})
    burst = [record("a.b", 12 * HOUR + number) for number in range(40)]
    (alert,) = found(usual(12, 5) + burst, rules)
    assert len(alert.seqs) == 10
    assert alert.reason.endswith("10 in 1h, far more than usual")


def test_what_is_usual_is_not_told_and_neither_is_a_beginning() -> None:
    rules = detector("baseline", {"bucket": "1h", "buckets": 10, "deviations": 4, "least": 2})
    assert found(usual(40, 5), rules) == []
    assert found([record("a.b", number) for number in range(100)], rules) == []


def test_hours_without_records_count_as_nothing() -> None:
    rules = detector("baseline", {"bucket": "1h", "buckets": 10, "deviations": 3, "least": 10})
    records = [record("a.b", 0), *(record("a.b", 20 * HOUR + number) for number in range(12))]
    assert [one.seqs for one in found(records, rules)] == [tuple(range(2, 12))]


def test_a_record_of_the_future_does_not_end_a_baseline() -> None:
    rules = detector("baseline", {"bucket": "1h", "buckets": 10, "deviations": 3, "least": 10})
    quiet = [record("a.b", hour * HOUR) for hour in range(12)]
    future = record("a.b", ts="2250-01-01T00:00:00.000000000Z")
    busy = [record("a.b", 13 * HOUR + number) for number in range(30)]
    alerts = found([*quiet, future, *busy], rules)
    first = [one.seqs for one in alerts if one.rule == "d"]
    again = [record("a.b", 15 * HOUR + number) for number in range(30)]
    both = [one.seqs for one in found([*quiet, future, *busy, *again], rules) if one.rule == "d"]
    assert len(first) == 1
    assert len(both) == 2


def test_a_change_names_both_records() -> None:
    rules = detector("changed", {"field": "fields.v"})
    values = ["1", "1", "2", "2", "1"]
    records = [record("a.b", at, v=value) for at, value in enumerate(values)]
    assert [one.seqs for one in found(records, rules)] == [(2, 3), (4, 5)]


def test_a_group_that_falls_silent_again_is_told_again() -> None:
    rules = detector("silence", {}, timespan="1h")
    records = [record("a.b", at * HOUR) for at in (0, 2, 2.5, 5)]
    assert [one.seqs for one in found(records, rules)] == [(1,), (3,)]


@pytest.mark.parametrize("year", ["2250", "9999"])
def test_a_record_of_the_future_puts_no_silence_off(year: str) -> None:
    future = record("a.b", ts=f"{year}-01-01T00:00:00.000000000Z")
    before, after = [record("a.b", 0)], [record("a.b", 60), record("a.b", 120)]
    rules = detector("silence", {}, timespan="1h")
    alerts = found([*before, future, *after], rules, now=BEGIN + 10 * HOUR * SECOND)
    assert [one.seqs for one in alerts if one.rule == "d"] == [(1,), (4,)]
    engine = Engine(rules)
    engine.feed(lines([*before, future]))
    assert engine.now(BEGIN + 60 * SECOND) == []
    assert [one.seqs for one in engine.now(BEGIN + 2 * HOUR * SECOND)] == [(2,)]


def test_times_that_alternate_are_waited_for_in_bounded_memory() -> None:
    engine = Engine(detector("silence", {}, timespan="1h"))
    engine.feed(lines(record("a.b", 10**6 - at) for at in range(5000)))
    (watcher,) = (one for one in engine.watchers.values() if isinstance(one, Silence))
    assert len(watcher.due) <= KEPT + 3


def test_a_first_record_of_the_future_does_not_make_learning_last_for_ever() -> None:
    future = record("a.b", ts="2250-01-01T00:00:00.000000000Z", user="old")
    rules = detector("first_seen", {"field": "user_id", "history": "1d"})
    records = [future, *(record("a.b", day * 86400 / 2, user="old") for day in range(5))]
    alerts = found([*records, record("a.b", 3 * 86400, user="new")], rules)
    assert [one.seqs for one in alerts if one.rule == "d"] == [(7,)]


def test_silence_is_of_the_time_at_which_it_had_lasted_too_long() -> None:
    rules = detector("silence", {}, timespan="1h")
    (alert,) = found([record("a.b", 0), record("c.d", 5 * HOUR)], rules)
    assert (alert.last_ts[11:13], alert.at[11:13]) == ("00", "01")
