"""Records for rules to look at: a chain in memory, whose times and members a test chooses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from audit_emit._detection.alert import Alert
from audit_emit._detection.detect import detect
from audit_emit._detection.loading import rules_of
from audit_emit._detection.ruleset import RuleSet
from audit_emit._format.record import ts_of
from audit_emit._readers.memory import MemoryReader

BEGIN = 1_780_272_000 * 10**9
"""2026-06-01T00:00:00Z, a Monday."""

SECOND, MINUTE, HOUR, DAY = 10**9, 60 * 10**9, 3600 * 10**9, 86400 * 10**9


def record(event_type: str, at: float = 0, user: str = "u", **members: Any) -> dict[str, Any]:
    """One record.

    Args:
        at: seconds after ``BEGIN``.
        members: of the record; what is no member of records goes into ``fields``.
    """
    own: dict[str, Any] = {
        name: members.pop(name)
        for name in ("workspace_id", "actor_kind", "service", "ts", "fields")
        if name in members
    }
    return {
        "ts": ts_of(BEGIN + int(at * 10**9)),
        "event_type": event_type,
        "workspace_id": "w",
        "user_id": user,
        "actor_kind": "user",
        "correlation_id": "",
        "fields": members,
        "v": 1,
        "id": "0190f6f5-6d3a-7c44-9d0e-7a1f0c2b3d4f",
        "service": "shop",
        "chain": "00112233445566ff",
        **own,
    }


def lines(records: Iterable[dict[str, Any]]) -> list[bytes]:
    """The lines of records, numbered from 1; their hashes are of no matter to rules."""
    return [
        json.dumps(
            {**one, "seq": number, "prev_hash": "0" * 64, "hash": "1" * 64}, separators=(",", ":")
        ).encode()
        for number, one in enumerate(records, 1)
    ]


def rule_set(*rules: dict[str, Any]) -> RuleSet:
    """Rules as they would be in a file."""
    return RuleSet(rules_of(json.dumps(rules), "test.json"))


def found(
    records: Iterable[dict[str, Any]], rules: RuleSet | None = None, **how: Any
) -> list[Alert]:
    """The alerts on records, in their order."""
    return list(detect(MemoryReader(lines(records)), rules, **how))


def seqs(records: Iterable[dict[str, Any]], rule: str, **how: Any) -> list[tuple[int, ...]]:
    """The numbers in each alert of one rule of the package."""
    return [alert.seqs for alert in found(records, **how) if alert.rule == rule]
