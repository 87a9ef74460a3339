"""What the groups of rules take is about what is counted for them, whatever a rule remembers."""

from __future__ import annotations

import tracemalloc
from typing import Any

from support.anomalous_log import lines, record, rule_set
from support.for_each import for_each

from audit_emit._detection.engine import Engine
from audit_emit._detection.rule import COUNTING, DETECTORS

MOST = 1 << 18
LONG = "x" * 50

OF: dict[str, dict[str, Any]] = {
    "event_count": {"condition": {"gte": 5}},
    "value_count": {"condition": {"gte": 5, "field": "fields.key"}},
    "value_sum": {"condition": {"gte": 1e9, "field": "fields.rows"}},
    "temporal": {"rules": ["a", "b"]},
    "temporal_ordered": {"rules": ["a", "b"]},
    "first_seen": {"field": "fields.key"},
    "rare_hour": {},
    "silence": {"timespan": "1h"},
    "changed": {"field": "fields.key"},
    "baseline": {},
}


def engine_of(kind: str) -> Engine:
    """One rule of a kind, about events ``a.b``."""
    parts = [
        {"title": name, "name": name, "detection": {"s": {"event_type": of}, "condition": "s"}}
        for name, of in (("a", "a.b"), ("b", "c.d"))
    ]
    about: dict[str, Any] = {"title": "C", "name": "c", "status": "unsupported"}
    spec: dict[str, Any] = {"type": kind, "rules": ["a"], "group-by": ["user_id"]}
    if kind in COUNTING:
        spec |= {"timespan": "1h", **OF[kind]}
    else:
        options = dict(OF[kind])
        spec |= {"timespan": options.pop("timespan")} if "timespan" in options else {}
        about["audit_emit"] = options
    return Engine(rule_set(*parts, {**about, "correlation": spec}), most=MOST)


def flood(begin: int) -> list[bytes]:
    """A hundred records, two of each actor, with values that are long and never the same."""
    return lines(
        record("a.b", n / 1000, user=f"{n // 2:08d}{LONG}", key=f"{n:08d}{LONG}", rows=3)
        for n in range(begin, begin + 100)
    )


@for_each("kind", OF)
def test_a_full_memory_takes_no_more_than_a_third_above_its_figure(kind: str) -> None:
    engine = engine_of(kind)
    engine.feed(flood(0))
    tracemalloc.start()
    try:
        before, counted, begin = tracemalloc.get_traced_memory()[0], engine.pool.used, 100
        while engine.pool.used < MOST * 0.95:
            engine.feed(flood(begin))
            begin += 100
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < (engine.pool.used - counted) * 4 / 3


def test_every_kind_is_looked_at() -> None:
    assert set(OF) == {*COUNTING, *DETECTORS}
