"""Alerts that are records of the log, and whether somebody has looked at them. Pure.

``audit-emit anomalies --follow`` writes each alert as a record ``audit.anomaly``. It is *open*
until an event ``anomaly.acknowledged`` names it (``fields.anomaly``): the id of the alert, or the
id of its record. That is an event like any other, so the chain says who acknowledged it, and when:

    emit(ctx, "anomaly.acknowledged", {"anomaly": "…", "note": "a planned test"})
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from audit_emit._format.record import parsed

ANOMALY = "audit.anomaly"
ACKNOWLEDGED = "anomaly.acknowledged"
_LONGEST = 200


class Acknowledgement(NamedTuple):
    """Who looked at an alert, and when."""

    by: str
    ts: str


class Recorded(NamedTuple):
    """One alert that is a record.

    Attributes:
        seq: the number of its record; 0 where that is in no chain.
        ts: when it was written.
        id: of the alert; of the record where that names none.
        rule, title, level, reason: as the detector says; empty where it says nothing.
        records: the numbers of the records that it is about, at most 100 of them.
        acknowledged: ``None`` while it is open.
    """

    seq: int
    ts: str
    id: str
    rule: str
    title: str
    level: str
    reason: str
    records: tuple[int, ...]
    acknowledged: Acknowledgement | None


def alerts_in(anomalies: Iterable[bytes], acknowledgements: Iterable[bytes]) -> list[Recorded]:
    """The alerts of some records, in their order, each with who acknowledged it.

    Args:
        anomalies: lines of type ``audit.anomaly``.
        acknowledgements: lines of type ``anomaly.acknowledged``.
    """
    seen = acknowledged_in(acknowledgements)
    return [_recorded(line, seen) for line in anomalies]


def acknowledged_in(lines: Iterable[bytes]) -> dict[str, Acknowledgement]:
    """Who acknowledged what first, by the id that the event names.

    Args:
        lines: of type ``anomaly.acknowledged``.
    """
    seen: dict[str, Acknowledgement] = {}
    for line in lines:
        record, fields = _of(line)
        name = _text(fields, "anomaly")
        if name:
            seen.setdefault(name, Acknowledgement(_text(record, "user_id"), _text(record, "ts")))
    return seen


def state_of(seen: Acknowledgement | None) -> str:
    """``open``, or who acknowledged it."""
    if seen is None:
        return "open"
    return f"acknowledged by {seen.by or 'nobody named'}, {seen.ts[:19]}Z"


def _recorded(line: bytes, seen: dict[str, Acknowledgement]) -> Recorded:
    record, fields = _of(line)
    names = [name for name in (_text(fields, "id"), _text(record, "id")) if name]
    numbers = fields.get("seqs")
    seqs = tuple(one for one in numbers[:100] if _is_seq(one)) if type(numbers) is list else ()
    seq = record.get("seq")
    return Recorded(
        int(seq or 0) if _is_seq(seq) else 0,
        _text(record, "ts"),
        names[0] if names else "",
        _text(fields, "rule"),
        _text(fields, "title"),
        _text(fields, "level"),
        _text(fields, "reason"),
        seqs,
        next((seen[name] for name in names if name in seen), None),
    )


def _of(line: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    record = parsed(line) or {}
    fields = record.get("fields")
    return record, fields if isinstance(fields, dict) else {}


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    return value[:_LONGEST] if isinstance(value, str) else ""


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**63
