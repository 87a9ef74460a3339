"""What is told of the log and of the search itself, and that memory is bounded."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from support.anomalous_log import found, lines, record, rule_set

from audit_emit._detection.engine import Engine
from audit_emit._detection.groups import CUT, short
from audit_emit._detection.loading import built_in
from audit_emit._detection.memory import Memory, memory_of, restore

ANY: dict[str, Any] = {
    "title": "A",
    "name": "a",
    "detection": {"s": {"event_type": "a.b"}, "condition": "s"},
}
COUNT = rule_set(
    ANY,
    {
        "title": "C",
        "name": "c",
        "correlation": {
            "type": "event_count",
            "rules": ["a"],
            "group-by": ["user_id"],
            "timespan": "1h",
            "condition": {"gte": 3},
        },
    },
)


def test_a_clock_that_steps_back_is_told_once_and_a_late_record_too() -> None:
    records = [record("x.y", 1000), *(record("x.y", at) for at in range(5))]
    (alert,) = found(records, COUNT)
    assert (alert.rule, alert.seqs) == ("log_clock_step", (2,))
    assert alert.reason.startswith("the record is 1000.0 s earlier")


def test_two_hosts_whose_clocks_differ_are_no_flood() -> None:
    records = [record("x.y", at / 10 + (at % 2) * 30) for at in range(200)]
    assert [one.rule for one in found(records, COUNT)] == ["log_clock_step"]


def test_a_difference_of_a_moment_is_no_step() -> None:
    assert found([record("x.y", 1), record("x.y", 0)], COUNT) == []


def test_a_flood_of_groups_is_told_once_and_memory_stays_bounded() -> None:
    engine = Engine(COUNT, most=100_000)
    records = [record("a.b", at / 100, user=f"user {at}") for at in range(2000)]
    alerts = engine.feed(lines(records))
    assert [(one.rule, one.level) for one in alerts] == [("log_state_full", "medium")]
    assert engine.watchers["c"].groups.bytes <= 100_000
    assert engine.watchers["c"].groups.forgotten > 1000


@pytest.mark.parametrize("of_type", [True, False])
def test_texts_that_are_no_names_fill_no_memory(*, of_type: bool) -> None:
    """A type, or an address, is as long as whoever writes a line wants it."""
    new = {
        "title": "N",
        "name": "n",
        "status": "unsupported",
        "correlation": {"type": "first_seen", "rules": ["a"], "group-by": ["user_id"]},
        "audit_emit": {"field": "fields.ip", "history": "1d", "network": True},
    }
    rules = rule_set(ANY, new)
    engine = Engine(rules)
    engine.feed(lines([record("a.b")]))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(100):
            text = f"{at}{'9' * 100_000}"
            engine.feed(lines([record(f"a.{text}") if of_type else record("a.b", ip=text)]))
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()


def test_groups_that_say_nothing_any_more_are_forgotten_in_silence() -> None:
    engine = Engine(COUNT, most=100_000)
    records = [record("a.b", at * 3600.0, user=f"user {at}") for at in range(2000)]
    assert [one.rule for one in engine.feed(lines(records))] == []


def test_whoever_is_seen_again_and_again_is_not_forgotten() -> None:
    engine = Engine(COUNT, most=50_000)
    records = []
    for at in range(600):
        records.append(record("a.b", at, user=f"flood {at}"))
        if at % 50 == 0 and at < 150:
            records.append(record("a.b", at, user="attacker"))
    assert "c" in [one.rule for one in engine.feed(lines(records))]


@pytest.mark.parametrize(
    "value", ["x" * 10_000, "\ud800" * 100, "ü" * 65, ["a"], {"b": 1}, 10**400]
)
def test_a_name_of_a_group_is_short_and_can_be_written(value: object) -> None:
    name = short(value)
    assert name is None or len(name.encode()) < 3 * CUT + 20


def test_long_names_that_begin_alike_are_told_apart() -> None:
    assert short("x" * 100 + "a") != short("x" * 100 + "b")


def stream() -> list[bytes]:
    """Something of everything, over nine days."""
    made = []
    for day in range(9):
        for number in range(12):
            at = day * 86400 + number * 2000.0
            made.append(record("auth.login_failed", at, user=f"u{number % 2}"))
            made.append(record("secret.read", at + 1, user="u", key=f"K{number}"))
            made.append(record("draft.deleted", at + 2, user=f"u{day}", client_ip=f"10.{day}.0.1"))
            made.append(record("report.exported", at + 3, rows=2500 * day))
        made.append(record("audit.started", day * 86400 + 30_000, config_hash=str(day // 3)))
        made.append(record("auth.login", day * 86400 + 30_001, user="u0", ts=None))
    made += [record("draft.deleted", 9 * 86400 + at, user="u") for at in range(12)]
    made += [record("x.y", ts="9999-12-31T23:59:59.999999999Z"), record("x.y", 10 * 86400)]
    return lines(made)


def test_a_search_that_goes_on_from_its_memory_finds_what_one_pass_finds() -> None:
    import msgspec

    whole = stream()
    expected = [one.id for one in Engine(built_in()).feed(whole)]
    assert len(expected) > 10
    for cut in range(1, len(whole), 37):
        first, second = Engine(built_in()), Engine(built_in())
        alerts = first.feed(whole[:cut])
        restore(second, msgspec.json.decode(msgspec.json.encode(memory_of(first)), type=Memory))
        second.chain = first.chain
        assert [one.id for one in [*alerts, *second.feed(whole[cut:])]] == expected


def test_a_type_that_is_spelled_with_escapes_is_the_same_type() -> None:
    (line,) = lines([record("audit.gap")])
    escaped = line.replace(b'"audit.gap"', b'"audit.g\\u0061p"')
    assert [one.rule for one in Engine(built_in()).feed([escaped])] == ["audit_gap"]
