"""Every named query, asked of a real Loki: it returns what was planted for it, and nothing else.

Beside the records lies a line that is not JSON: it must not break a query that counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import Trail
from support.loki_program import RealLoki

DIRECTORY = Path(__file__).parents[2] / "vector" / "logql"
HOUR = 3600.0

Record = dict[str, Any]
Figures = dict[tuple[str, ...], float]


def a_shop(trail: Trail) -> None:
    """Some of everything, within the last minutes; one record does not arrive."""
    trail.add("secret.set", 2 * HOUR, key="STRIPE_LIVE_KEY", correlation_id="req-0000")
    trail.add("audit.checkpoint", HOUR + 60, user="", head_seq=1, key_id="c0ffee00")
    trail.add("report.made", 1500, user="u-18")
    trail.add("secret.set", 280, key="STRIPE_LIVE_KEY", correlation_id="req-0001")
    trail.add("http.request", 279, correlation_id="req-0001", outcome="success", status=201)
    trail.add("secret.delete", 270, user="u-20", key="STRIPE_LIVE_KEY")
    trail.add("secret.set", 260, user="u-18", key="STRIPE_LIVE_KEY_2", note="STRIPE_LIVE_KEY")
    trail.skip("secret.set", 250)
    trail.add("secret.denied", 240, user="u-18", key="STRIPE_LIVE_KEY", reason="not-allowed")
    trail.add("secret.read", 235, user="u-18", key="STRIPE_LIVE_KEY")
    trail.add("http.request", 239, user="u-18", outcome="denied", status=403)
    trail.add("invoice.pay", 230, outcome="failure", error="ValueError")
    for number in range(6):
        trail.add("auth.login_failed", 220 - number, user="", login="root")
    trail.add("audit.gap", 200, user="", sink="jsonl", reason="ENOSPC", lost=2)


@pytest.fixture
def planted(loki: RealLoki) -> list[Record]:
    """The shop; a service that has gone silent; a line that is no record; a dead letter."""
    shop, old = Trail("shop"), Trail("old")
    a_shop(shop)
    old.add("audit.started", 5 * HOUR, user="")
    old.add("secret.set", 3 * HOUR, user="u-99", key="OTHER")
    loki.push([*shop.lines, *old.lines])
    loki.push(["not json"], service="shop", event_type="invoice.denied", at=str(time.time_ns()))
    loki.push(["{}"], job="audit-dlq", at=str(time.time_ns()))
    return [json.loads(line) for line in [*old.lines, *shop.lines]]


def text(name: str) -> str:
    return (DIRECTORY / f"{name}.logql").read_text(encoding="utf-8")


def member(record: Record, name: str) -> Any:
    return record["fields"].get(name)


def is_about(record: Record, key: str) -> bool:
    return bool(member(record, "key") == key)


def denied_or_failed(record: Record) -> bool:
    last = record["event_type"].rpartition(".")[2]
    return member(record, "outcome") in {"denied", "failure"} or last in {
        "denied",
        "login_failed",
    }


LISTS: dict[str, Callable[[Record], bool]] = {
    "actor": lambda r: r["user_id"] == "u-17",
    "checkpoints": lambda r: r["event_type"] == "audit.checkpoint",
    "correlation": lambda r: r["correlation_id"] == "req-0001",
    "denied-and-failed": denied_or_failed,
    "gaps": lambda r: r["event_type"] == "audit.gap",
    "key": lambda r: is_about(r, "STRIPE_LIVE_KEY"),
    "type": lambda r: r["event_type"].startswith("secret."),
    "who-changed": lambda r: (
        r["event_type"] in {"secret.set", "secret.delete"} and is_about(r, "STRIPE_LIVE_KEY")
    ),
    "workspace": lambda r: r["workspace_id"] == "acme",
}
"""Which records a query lists."""

FIGURES: dict[str, Figures] = {
    "actors": {("shop", "u-17"): 2, ("shop", "u-18"): 3, ("shop", "u-20"): 1},
    "checkpoint-overdue": {("shop",): 1},
    "clock-ahead": {},
    "dead-letters": {("audit-dlq",): 1},
    "denied-and-failed-by-type": {
        ("auth.login_failed", "shop"): 6,
        ("http.request", "shop"): 1,
        ("invoice.pay", "shop"): 1,
        ("secret.denied", "shop"): 1,
    },
    "failed-logins": {("shop",): 6},
    "first-seen-actor": {("shop", "u-18"): 4, ("shop", "u-20"): 1},
    "gaps-by-reason": {("ENOSPC", "shop", "jsonl"): 1},
    "holes-by-seq": {("shop",): 1},
    "nothing-at-all": {},
    "rate-by-type": {
        ("audit.gap", "shop"): 1 / 300,
        ("auth.login_failed", "shop"): 6 / 300,
        ("http.request", "shop"): 2 / 300,
        ("invoice.denied", "shop"): 1 / 300,
        ("invoice.pay", "shop"): 1 / 300,
        ("secret.delete", "shop"): 1 / 300,
        ("secret.denied", "shop"): 1 / 300,
        ("secret.read", "shop"): 1 / 300,
        ("secret.set", "shop"): 2 / 300,
    },
    "sequence-gaps": {("shop",): 1},
    "silence": {("old",): 1},
    "two-chains": {},
    "unchained": {},
    "volume-by-service": {("shop",): 16},
    "top-actors": {("u-17",): 3, ("u-18",): 5, ("u-20",): 1},
    "unparsable": {("shop",): 1},
    "volume-by-type": {
        ("audit.gap",): 1,
        ("auth.login_failed",): 6,
        ("http.request",): 2,
        ("invoice.denied",): 1,
        ("invoice.pay",): 1,
        ("secret.delete",): 1,
        ("secret.denied",): 1,
        ("secret.read",): 1,
        ("secret.set",): 2,
    },
}
"""The figures of a query by the values of their labels in the order of the labels' names.

A chain and an empty user are left out, as nobody knows the one and the other says nothing.
"""


@pytest.mark.loki
@pytest.mark.parametrize("name", LISTS)
def test_a_query_lists_the_records_that_it_is_about(
    name: str, loki: RealLoki, planted: list[Record]
) -> None:
    found = [json.loads(line) for line in loki.lines(text(name))]
    expected = [record for record in planted if LISTS[name](record)]
    assert [r["id"] for r in found] == [r["id"] for r in sorted(expected, key=lambda r: r["ts"])]
    assert expected


@pytest.mark.loki
@pytest.mark.parametrize("name", FIGURES)
def test_a_query_counts_what_it_is_about(name: str, loki: RealLoki, planted: list[Record]) -> None:
    chains = {record["chain"] for record in planted}
    found = {
        tuple(value for _, value in labels if value not in {*chains, ""}): figure
        for labels, figure in loki.series(text(name)).items()
    }
    assert found == pytest.approx(FIGURES[name])


@pytest.mark.loki
def test_a_chain_is_listed_from_its_first_record_on(loki: RealLoki) -> None:
    one, other = Trail("shop", "00d1c0ffee00beef"), Trail("shop")
    for trail in (one, other):
        for ago in range(20, 0, -1):
            trail.add("secret.set", ago, note='"chain":"00d1c0ffee00beef"')
    loki.push([*one.lines, *other.lines])
    assert [line.encode() for line in loki.lines(text("one-chain"))] == one.lines


@pytest.mark.loki
def test_records_that_were_sent_twice_hide_no_hole_where_they_are_counted_by_seq(
    loki: RealLoki,
) -> None:
    """Between the two lies more than what Loki looks through for equal lines."""
    trail = Trail("shop")
    for n in range(900):
        trail.add("secret.set", 300 - n / 4, note="x" * 800)
    trail.skip("secret.set", 60)
    trail.add("secret.set", 50)
    loki.push(trail.lines)
    loki.push(trail.lines[:20])
    (lines,) = loki.series('sum (count_over_time({job="audit"}[15m]))').values()
    assert lines > len(trail.lines)
    assert list(loki.series(text("sequence-gaps")).values()) == []
    assert list(loki.series(text("holes-by-seq")).values()) == [1]


@pytest.mark.loki
def test_structured_metadata_changes_no_figure(loki: RealLoki) -> None:
    """Vector can send ids along: then they are labels before ``| json`` finds them."""
    trail = Trail("shop")
    a_shop(trail)
    loki.push(trail.lines, metadata=("user_id", "chain", "seq", "correlation_id"))
    assert list(loki.series(text("sequence-gaps")).values()) == [1]
    actors = {dict(labels)["user_id"]: n for labels, n in loki.series(text("top-actors")).items()}
    assert actors == {"u-17": 3, "u-18": 5, "u-20": 1}


@pytest.mark.loki
def test_a_hole_in_the_lines_of_a_process_without_a_file_is_counted(loki: RealLoki) -> None:
    """Beside a service with a chain, and one whose own field is called like the member."""
    trail, bare = Trail("shop"), Trail("bare")
    a_shop(trail)
    for number in (1, 2, 4, 5, 8):
        bare.add("secret.set", 300 - number, process="not this one", number=99)
        record = json.loads(bare.lines.pop())
        kept = {name: record[name] for name in list(record)[:10]}
        one = {**kept, "process": "00d1c0ffee00beef", "number": number}
        bare.lines.append(json.dumps(one, separators=(",", ":")).encode())
    loki.push([*trail.lines, *bare.lines])
    loki.push(["not json"], service="bare", event_type="invoice.denied", at=str(time.time_ns()))
    ((labels, missing),) = loki.series(text("holes-by-process")).items()
    assert dict(labels) == {"service": "bare", "process": "00d1c0ffee00beef"}
    assert missing == 3


def test_every_named_query_is_asked_here() -> None:
    names = {path.stem for path in DIRECTORY.glob("*.logql")}
    assert {*LISTS, *FIGURES, "one-chain", "holes-by-process"} == names
