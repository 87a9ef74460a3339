"""What a report counts, in one pass and in bounded memory. Pure: it is fed with what readers give.

Everything about who did what comes from one table: how many records there are of each event type,
by each actor, with each outcome. What it has no room for is counted without being told apart, and
the report says so: a number is exact, or it says that it is not.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.record import TYPE, TYPE_LIMIT, parsed
from audit_emit._loki.labels import OTHER, time_of
from audit_emit._readers.base import Block, Flaw
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY
from audit_emit._report.counts import LONGEST, OTHERS, Counts, Who, WhoRow
from audit_emit._report.period import SECOND, Period, padded
from audit_emit._report.refusals import is_refused
from audit_emit._report.seen import Seen, decoded, is_usual, looked_at

TOLD_APART = 50_000
"""Combinations of type, actor, kind of actor and outcome; a row takes about 400 bytes."""

TYPES = 2_000
OUTCOMES = 64
VALUES = 10_000
"""Workspaces, keys and addresses, each."""

GAP = "audit.gap"
OWN = frozenset({GAP, ANOMALY, ACKNOWLEDGED})
"""Types of records whose fields a report shows."""

KEPT = 200
"""Of these that are kept, of each type the newest."""

_LONGEST_KEPT = 16_384
"""Bytes of such a record."""

_MINUTES = 4_096
"""Minutes whose place in the plots is remembered."""

_SECONDS = re.compile(r"[0-5][0-9]\.[0-9]{9}Z\Z").match
_START = len("2026-05-19T20:00:")


class Moment:
    """One minute in the plots: which bar, and which hour of the week (0 is Monday, 00:00)."""

    __slots__ = ("bar", "hour")

    def __init__(self, ns: int, step: int) -> None:
        self.bar = ns // step
        at = datetime.fromtimestamp(ns // SECOND, UTC)
        self.hour = at.weekday() * 24 + at.hour


class Tally:
    """Counts the records of a period.

    Args:
        period: which ones.
        beside: shown every line, whatever it is.

    Attributes:
        records: of the period.
        outside: records before or after it.
        strange: lines that are no records.
        missing: parts of the log that are not there, or cannot be read.
        who: who did what.
        workspaces, keys, addresses: ``workspace_id``, ``fields.key`` and ``fields.client_ip``.
        bars, refused, hours: records of each bar, refusals of each, and records of each hour of the
            week.
        lost: events that the log says were lost.
        with_actor, with_kind, with_correlation, with_outcome: records that have this member.
        untold: records of which some value is not told apart.
        newest: the last line.
        own: the newest records whose fields are looked at, by their type.
    """

    def __init__(self, period: Period, beside: Callable[[list[bytes]], None] | None = None) -> None:
        self.period = period
        self._beside = beside
        self.records = self.outside = self.strange = 0
        self.missing: list[str] = []
        self.who: dict[Who, WhoRow] = {}
        self.untold = 0
        self.workspaces: Counts[str] = Counts(VALUES)
        self.keys: Counts[str] = Counts(VALUES)
        self.addresses: Counts[str] = Counts(VALUES)
        self.bars: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.hours: Counter[int] = Counter()
        self.lost = 0
        self.with_actor = self.with_kind = self.with_correlation = self.with_outcome = 0
        self.newest = b""
        self.own: dict[str, deque[bytes]] = {}
        self._step = period.step
        self._since, self._until = padded(period.since), padded(period.until)
        self._moments: dict[str, Moment] = {}
        self._types: set[str] = set()
        self._outcomes: set[str] = set()
        self._lines = Lines()
        self._part = ""

    def look(self, item: Block | Flaw) -> None:
        """The next of what a reader gives."""
        if isinstance(item, Flaw):
            self.missing.append(item.part)
            return
        if item.part != self._part or not item.offset:
            self._lines.rest()
            self._part = item.part
        for block in self._lines.feed(item.data):
            if isinstance(block, bytes):
                self._block(block)
            else:
                self.strange += 1

    def _block(self, block: bytes) -> None:
        usual = is_usual(block)
        lines = split_lines(block)
        self.newest = lines[-1]
        if self._beside is not None:
            self._beside(lines)
        for line in lines:
            seen = decoded(line) if usual or is_usual(line) else None
            moment = None if seen is None else self._moment(seen.ts)
            if moment is None:  # no record, or one in another form than the emitter's
                seen = looked_at(line)
                moment = None if seen is None else self._moment(seen.ts)
            if seen is None or moment is None:
                self.strange += 1
            elif self._since <= seen.ts < self._until:
                self._record(seen, moment, line)
            else:
                self.outside += 1

    def _moment(self, ts: str) -> Moment | None:
        """The minute of a time in the form of the emitter; ``None`` for all else."""
        if _SECONDS(ts, _START) is None:
            return None
        minute = ts[:_START]
        found = self._moments.get(minute)
        if found is None:
            ns = time_of(f"{minute}00.000000000Z")
            if ns is None:
                return None
            if len(self._moments) >= _MINUTES:
                self._moments.clear()
            found = self._moments[minute] = Moment(ns, self._step)
        return found

    def _record(self, seen: Seen, moment: Moment, line: bytes) -> None:
        ts, fields = seen.ts, seen.fields
        self.records += 1
        key = Who(seen.event_type, seen.user_id, seen.actor_kind, fields.outcome)
        row = self.who.get(key)
        if row is None:
            row = self._row(key, ts)
        else:
            row.add(ts)
        if row.refused:
            self.refused[moment.bar] += 1
        self.bars[moment.bar] += 1
        self.hours[moment.hour] += 1
        if seen.user_id:
            self.with_actor += 1
        if seen.actor_kind:
            self.with_kind += 1
        if seen.correlation_id:
            self.with_correlation += 1
        if fields.outcome:
            self.with_outcome += 1
        if seen.workspace_id:
            self.workspaces.add(seen.workspace_id, ts)
        if fields.key:
            self.keys.add(fields.key, ts)
        if fields.client_ip:
            self.addresses.add(fields.client_ip, ts)
        if seen.event_type in OWN:
            self._keep(seen.event_type, line)

    def _keep(self, event_type: str, line: bytes) -> None:
        """A record of the log about itself, whose fields are looked at later."""
        if event_type == GAP:
            self.lost += lost_in(parsed(line) or {})
        if len(line) <= _LONGEST_KEPT:
            self.own.setdefault(event_type, deque(maxlen=KEPT)).append(line)

    def _row(self, key: Who, ts: str) -> WhoRow:
        """Count a record whose combination is new, or has no row of its own."""
        event_type, actor, kind, outcome = key
        if len(event_type) > TYPE_LIMIT or TYPE.fullmatch(event_type) is None:
            event_type = OTHER
        if event_type not in self._types:
            if len(self._types) < TYPES:
                self._types.add(event_type)
            else:
                event_type = OTHERS
        if outcome not in self._outcomes:
            if len(outcome) <= LONGEST and len(self._outcomes) < OUTCOMES:
                self._outcomes.add(outcome)
            else:
                outcome = OTHERS
        actor, kind = (OTHERS if len(one) > LONGEST else one for one in (actor, kind))
        key = Who(event_type, actor, kind, outcome)
        if key not in self.who and len(self.who) >= TOLD_APART:
            key = Who(event_type, OTHERS, OTHERS, outcome)
        self.untold += OTHERS in key
        row = self.who.get(key)
        if row is None:
            row = self.who[key] = WhoRow(ts)
            row.refused = is_refused(event_type, outcome)
        else:
            row.add(ts)
        return row


def lost_in(record: dict[str, Any]) -> int:
    """How many events a record ``audit.gap`` says were lost."""
    fields = record.get("fields")
    lost = fields.get("lost") if isinstance(fields, dict) else None
    return lost if type(lost) is int and 0 < lost < 2**63 else 0
