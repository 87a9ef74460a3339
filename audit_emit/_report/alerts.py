"""Alerts that are records of the log, and whether somebody has looked at them. Pure.

``audit-emit anomalies --follow`` writes each alert as a record ``audit.anomaly``. It is *open*
until an event ``anomaly.acknowledged`` names it (``fields.anomaly``): the id of the alert, or the
id of its record. That is an event like any other, so the chain says who acknowledged it, and when:

    emit(ctx, "anomaly.acknowledged", {"anomaly": "…", "note": "a planned test"})
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from audit_emit._format.record import head_of, parsed

ANOMALY = "audit.anomaly"
ACKNOWLEDGED = "anomaly.acknowledged"
KEPT = 200
"""Alerts that are told one by one, the newest; all are counted."""

LONGEST_NOTE = 500
"""Characters of what somebody says of an alert."""

_LONGEST = 200
_NAMES = 20_000
"""Alerts and acknowledgements that are told apart; whoever writes records can choose both."""


class Acknowledgement(NamedTuple):
    """Who looked at an alert, when, and what he says of it; empty for nothing."""

    by: str
    ts: str
    note: str = ""


class Recorded(NamedTuple):
    """One alert that is a record.

    Attributes:
        seq: the number of its record; 0 where that is in no chain.
        ts: when it was written.
        id: of the alert; of the record where that names none.
        rule, title, level, reason: as the detector says; empty where it says nothing.
        whom: it is about: the fields of the rule's ``group-by`` with their values.
        records: the numbers of the records that it is about, at most 100 of them.
        acknowledged: ``None`` while it is open.
        chain: that its record is in; empty for none.
    """

    seq: int
    ts: str
    id: str
    rule: str
    title: str
    level: str
    reason: str
    whom: str
    records: tuple[int, ...]
    acknowledged: Acknowledgement | None
    chain: str


def alerts_in(anomalies: Iterable[bytes], acknowledgements: Iterable[bytes]) -> list[Recorded]:
    """The alerts of some records, in their order, each with who acknowledged it.

    Args:
        anomalies: lines of type ``audit.anomaly``.
        acknowledgements: lines of type ``anomaly.acknowledged``.
    """
    seen = acknowledged_in(acknowledgements)
    return [_with_state(*_recorded(line), seen) for line in anomalies]


def acknowledged_in(lines: Iterable[bytes]) -> dict[str, Acknowledgement]:
    """Who acknowledged what first, by the id that the event names.

    Args:
        lines: of type ``anomaly.acknowledged``, of several logs one after the other. By the times
            in them, what is written to one later does not stand for what was said in another.
    """
    seen: dict[str, Acknowledgement] = {}
    for line in lines:
        record, fields = _of(line)
        name = _text(fields, "anomaly")
        if name:
            by, ts = _text(record, "user_id"), _text(record, "ts")
            one = Acknowledgement(by, ts, _text(fields, "note", LONGEST_NOTE))
            if "" < ts < seen.setdefault(name, one).ts:
                seen[name] = one
    return seen


class AlertBook:
    """The alerts that come by, counted though only the newest are kept.

    Attributes:
        acknowledged: who acknowledged what first, by the id that the event names.
    """

    def __init__(self) -> None:
        self.acknowledged: dict[str, Acknowledgement] = {}
        self._newest: deque[tuple[Recorded, tuple[str, ...]]] = deque(maxlen=KEPT)
        self._names: list[tuple[str, ...]] = []
        self._more = 0

    def look(self, event_type: str, line: bytes) -> None:
        """The next record of type ``audit.anomaly`` or ``anomaly.acknowledged``."""
        if event_type == ACKNOWLEDGED:
            for name, one in acknowledged_in([line]).items():
                if len(self.acknowledged) < _NAMES:
                    self.acknowledged.setdefault(name, one)
            return
        found, names = _recorded(line)
        self._newest.append((found, names))
        if len(self._names) < _NAMES:
            self._names.append(names)
        else:
            self._more += 1

    @property
    def still(self) -> int:
        """How many are open; what was not told apart is, too."""
        seen = self.acknowledged
        return self._more + sum(not any(name in seen for name in names) for names in self._names)

    def newest(self) -> list[Recorded]:
        """The newest, in their order, each with who acknowledged it."""
        return [_with_state(*one, self.acknowledged) for one in self._newest]


def state_of(seen: Acknowledgement | None) -> str:
    """``open``, or who acknowledged it, and what he says of it."""
    if seen is None:
        return "open"
    note = f": {seen.note}" if seen.note else ""
    return f"acknowledged by {seen.by or 'nobody named'}, {seen.ts[:19]}Z{note}"


def _with_state(
    found: Recorded, names: tuple[str, ...], seen: dict[str, Acknowledgement]
) -> Recorded:
    return found._replace(acknowledged=next((seen[name] for name in names if name in seen), None))


def _recorded(line: bytes) -> tuple[Recorded, tuple[str, ...]]:
    """An alert, and the ids by which it can be acknowledged."""
    record, fields = _of(line)
    names = tuple(name for name in (_text(fields, "id"), _text(record, "id")) if name)
    numbers = fields.get("seqs")
    seqs = tuple(one for one in numbers[:100] if _is_seq(one)) if type(numbers) is list else ()
    seq, head = record.get("seq"), head_of(line)
    found = Recorded(
        int(seq or 0) if _is_seq(seq) else 0,
        _text(record, "ts"),
        names[0] if names else "",
        _text(fields, "rule"),
        _text(fields, "title"),
        _text(fields, "level"),
        _text(fields, "reason"),
        _whom(fields.get("group")),
        seqs,
        None,
        head.chain if head is not None else "",
    )
    return found, names


def _of(line: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    record = parsed(line) or {}
    fields = record.get("fields")
    return record, fields if isinstance(fields, dict) else {}


def _whom(group: Any) -> str:
    """The texts of a group, with their names; what else somebody wrote there is passed over."""
    if not isinstance(group, dict):
        return ""
    told = (f"{name} {one}" for name, one in islice(group.items(), 20) if isinstance(one, str))
    return ", ".join(told)[:_LONGEST]


def _text(values: dict[str, Any], name: str, longest: int = _LONGEST) -> str:
    value = values.get(name)
    return value[:longest] if isinstance(value, str) else ""


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**63
