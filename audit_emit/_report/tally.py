"""What a report counts, in one pass and in bounded memory. Pure: it is fed with what readers give.

Everything about who did what comes from one table: how many records there are of each event type,
by each actor, with each outcome. What it has no room for is counted without being told apart, and
the report says so: a number is exact, or it says that it is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.record import TYPE, TYPE_LIMIT, ns_of, parsed
from audit_emit._loki.labels import OTHER
from audit_emit._readers.base import Block, Flaw
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, AlertBook
from audit_emit._report.counts import (
    LONGEST,
    OTHERS,
    REFUSED_OTHERS,
    UNTOLD,
    Counts,
    Who,
    WhoRow,
    count_all,
)
from audit_emit._report.period import SECOND, Period, padded
from audit_emit._report.refusals import is_refused
from audit_emit._report.seen import Seen, records_in

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
"""Records of losses that are kept, the newest."""

_LONGEST_KEPT = 16_384
"""Bytes of such a record."""

_MINUTES = 4_096
"""Minutes whose place in the plots is remembered."""

_TS = attrgetter("ts")
_MINUTE = itemgetter(slice(0, len("2026-05-19T20:00:")))
_WHO = attrgetter("event_type", "user_id", "actor_kind", "fields.outcome")
_CORRELATION = attrgetter("correlation_id")
_TABLES = (
    ("workspaces", attrgetter("workspace_id")),
    ("keys", attrgetter("fields.key")),
    ("addresses", attrgetter("fields.client_ip")),
)


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
        gaps: the newest records of losses.
        alerts: those that are records.
    """

    def __init__(self, period: Period, beside: Callable[[list[bytes]], None] | None = None) -> None:
        self.period = period
        self._beside = beside
        self.records = self.outside = self.strange = 0
        self.missing: list[str] = []
        self.who: dict[Who, WhoRow] = {}
        self.untold = 0
        self.workspaces: Counts = Counts(VALUES)
        self.keys: Counts = Counts(VALUES)
        self.addresses: Counts = Counts(VALUES)
        self.bars: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.hours: Counter[int] = Counter()
        self.lost = 0
        self.with_actor = self.with_kind = self.with_correlation = self.with_outcome = 0
        self.newest = b""
        self.gaps: deque[bytes] = deque(maxlen=KEPT)
        self.alerts = AlertBook()
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
        lines = split_lines(block)
        self.newest = lines[-1]
        if self._beside is not None:
            self._beside(lines)
        seen, of_records = records_in(block)
        self.strange += len(lines) - len(seen)
        # They are in order of time, so those of the period follow each other.
        begin = bisect_left(seen, self._since, key=_TS)
        end = bisect_left(seen, self._until, key=_TS)
        self.outside += len(seen) - max(end - begin, 0)
        if begin < end:
            self._count(seen[begin:end], of_records[begin:end])

    def _count(self, seen: list[Seen], lines: list[bytes]) -> None:
        times = list(map(_TS, seen))
        who: list[Any] = list(map(_WHO, seen))
        self.records += len(seen)
        refused: set[Any] = set()
        own = False

        def row_of(key: tuple[str, str, str, str], count: int) -> WhoRow:
            nonlocal own
            self.with_actor += count * bool(key[1])
            self.with_kind += count * bool(key[2])
            self.with_outcome += count * bool(key[3])
            own = own or key[0] in OWN
            row = self.who.get(Who(*key)) or self._row(Who(*key), count)
            if row.refused:
                refused.add(key)
            return row

        count_all(who, times, row_of)
        if own:
            self._keep(seen, lines)
        minutes = list(map(_MINUTE, times))
        for minute, count in Counter(minutes).items():
            moment = self._moment(minute)
            self.bars[moment.bar] += count
            self.hours[moment.hour] += count
        if refused:
            for minute in (at for at, key in zip(minutes, who, strict=True) if key in refused):
                self.refused[self._moment(minute).bar] += 1
        self.with_correlation += sum(map(bool, map(_CORRELATION, seen)))
        for table, member in _TABLES:
            values = list(map(member, seen))
            if any(values):
                getattr(self, table).add(values, times)

    def _moment(self, minute: str) -> Moment:
        """A minute, by the beginning of ``ts``."""
        found = self._moments.get(minute)
        if found is None:
            if len(self._moments) >= _MINUTES:
                self._moments.clear()
            ns = ns_of(f"{minute}00.000000000Z")
            found = self._moments[minute] = Moment(ns, self._step)
        return found

    def _keep(self, seen: list[Seen], lines: list[bytes]) -> None:
        """Records whose fields are looked at later."""
        for one, line in zip(seen, lines, strict=True):
            if one.event_type == GAP:
                self.lost += lost_in(parsed(line) or {})
                if len(line) <= _LONGEST_KEPT:
                    self.gaps.append(line)
            elif one.event_type in OWN:
                self.alerts.look(one.event_type, line)

    def _row(self, who: Who, count: int) -> WhoRow:
        """The row of a combination that is new, or has none of its own."""
        event_type, actor, kind, outcome = who
        if len(event_type) > TYPE_LIMIT or TYPE.fullmatch(event_type) is None:
            event_type = OTHER
        refused = is_refused(event_type, outcome)
        others = REFUSED_OTHERS if refused else OTHERS
        if event_type not in self._types:
            if len(self._types) < TYPES:
                self._types.add(event_type)
            else:
                event_type = others
        if outcome not in self._outcomes:
            if len(outcome) <= LONGEST and len(self._outcomes) < OUTCOMES:
                self._outcomes.add(outcome)
            else:
                outcome = others
        actor, kind = (OTHERS if len(one) > LONGEST else one for one in (actor, kind))
        key = Who(event_type, actor, kind, outcome)
        if key not in self.who and len(self.who) >= TOLD_APART:
            key = Who(event_type, OTHERS, OTHERS, outcome)
        self.untold += count * (not UNTOLD.isdisjoint(key))
        row = self.who.get(key)
        if row is None:
            row = self.who[key] = WhoRow(refused=refused)
        return row


def lost_in(record: dict[str, Any]) -> int:
    """How many events a record ``audit.gap`` says were lost."""
    fields = record.get("fields")
    lost = fields.get("lost") if isinstance(fields, dict) else None
    return lost if type(lost) is int and 0 < lost < 2**63 else 0
