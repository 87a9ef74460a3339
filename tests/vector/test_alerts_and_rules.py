"""The handwritten alerts about what rules find, too, by the records that test those rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from support.logql_counts import Group, holds

from audit_emit._detection.rule_tests import Case, cases_in
from audit_emit._loki.labels import placement_of

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "detection" / "cases"
GROUPS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "vector" / "rules" / "fake" / "alerts.yaml").read_text("utf-8")
)["groups"]
ALERTS = {
    rule["alert"]: (rule["expr"], group.get("interval", "1m"))
    for group in GROUPS
    for rule in group["rules"]
}
_SPANS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
_SECOND, _WEEK = 10**9, 7 * 86400 * 10**9


class Pair(NamedTuple):
    """An alert, and the rule of the same subject.

    Attributes:
        fires: by the cases of the rule for which the alert holds: for whom.
        after: for so long after the first record everything is new to it.
        started: it is about services that were started, which the cases of the rule leave out.
    """

    alert: str
    rule: str
    fires: dict[str, set[Group]]
    after: int = 0
    started: bool = False


PAIRS = [
    # It asks for more than five failures within five minutes by their type, and for no success.
    Pair(
        "AuditLoginFailureBurst",
        "failures_then_success",
        {"hit: six failures within a minute, then a success": {("test", "u")}},
    ),
    # It knows no networks, leaves no jobs out, and asks each hour about the hour before.
    Pair(
        "AuditFirstSeenActor",
        "first_seen_actor",
        {
            "hit: a new actor after eight days": {("test", "v")},
            "hit: an actor who was away for eight days": {("test", "u")},
            "near miss: a job": {("test", "v")},
        },
        after=_WEEK,
    ),
    # An hour of silence is enough for it, and records about the log are life to it.
    Pair(
        "AuditServiceSilent",
        "silence",
        {
            "hit: seven hours between two events": {("test",)},
            "hit: at the end": {("test",)},
            "near miss: six hours": {("test",)},
            "hit: one of two services, though the log goes on": {("test",)},
            "hostile: a time that is none": {("test",)},
        },
        started=True,
    ),
    Pair("AuditGapDeclared", "audit_gap", {"hit: a gap": {("test", "0000000000000000", "", "")}}),
]


def found(pair: Pair, case: Case) -> set[Group]:
    """For whom the alert holds at one of the moments at which the ruler looks."""
    expression, every = ALERTS[pair.alert]
    step = _SPANS[every] * _SECOND
    placed = [place for line in case.lines if (place := placement_of(line)) is not None]
    first, last = min(one.ts for one in placed), max(one.ts for one in placed)
    lines = [*_started({one.service for one in placed} if pair.started else set()), *case.lines]
    looks = range(first + pair.after, max(last, case.now or 0) + step + 1, step)
    return {group for now in looks for group in holds(expression, lines, now)}


def _started(services: set[str]) -> Iterator[bytes]:
    for service in services:
        yield (
            '{"ts":"2026-05-31T23:59:59.000000000Z","event_type":"audit.started",'
            f'"service":"{service}","fields":{{}}}}'
        ).encode()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.alert)
def test_an_alert_holds_for_the_records_of_the_rule_of_the_same_subject(pair: Pair) -> None:
    cases = cases_in(CASES / f"{pair.rule}.json")
    assert {case.name: groups for case in cases if (groups := found(pair, case))} == pair.fires


def test_an_expression_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="not of this form"):
        holds('avg by (service) (rate({job="audit"} [1m]))', [], 0)
