"""The one pass: lines in, alerts out. Pure, and bounded in what it remembers.

Most records are of a type that no rule is about. The type stands in the same place of every line,
so these records are not decoded, let alone compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from audit_emit._detection.alert import CLOCK_STEP, STATE_FULL, Alert
from audit_emit._detection.groups import TOTAL_BYTES, Key, Pool
from audit_emit._detection.looking import Look, Steps
from audit_emit._detection.plans import NOTHING, Plans
from audit_emit._detection.rule import Rule
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.values import Record
from audit_emit._detection.watcher import ALWAYS, WAITING, Watcher
from audit_emit._detection.watchers import KINDS, Silence
from audit_emit._detection.windows import Event, Hit
from audit_emit._format.record import MAX_SEQ, TYPE_LIMIT, head_of, ns_of, parsed, ts_of
from audit_emit._runtime.interrupts import let_through

RECORD = "audit.anomaly"
"""The type of the records that alerts become; no rule looks at them."""

_TS, _END_OF_TS, _TYPE = slice(7, 37), 37, 53
_BETWEEN = b'","event_type":"'
_TYPES = 4096
"""Types of events whose rules are remembered; none that is longer than a type may be."""

_LONGEST = len(_BETWEEN) + TYPE_LIMIT

_STEP_NS = 2 * 10**9
"""How much earlier than the record before a time must be to count as a step of the clock."""

_HOUR_NS = 3600 * 10**9
_FIRST_NS, _LAST_NS = 100 * 10**9, 9 * 10**18
"""In 1970 and in 2255: minutes before and after are taken for these, so that times with their
windows fit 64 bits and none is below 0."""


class Engine:
    """Looks at every line of a log in its order.

    Args:
        rules: what to look for.
        most: bytes that may be remembered, by the figures of ``groups``.

    Attributes:
        records: lines that were looked at.
        last_ts, last_ns: time of the last record, and of the last one that a rule is about.
        steps: when the clock was last said to have stepped back, and by how much.
        forgotten: rules for which an alert has said that groups were forgotten.
    """

    def __init__(self, rules: RuleSet, most: int = TOTAL_BYTES) -> None:
        self.rules = rules
        self.records = 0
        self.chain = ""
        correlations = [rule for rule in rules.rules.values() if rule.correlation is not None]
        self.pool = Pool(most)
        self.watchers: dict[str, Watcher] = {}
        for rule in correlations:
            assert rule.correlation is not None  # noqa: S101 - for the type checker
            self.watchers[rule.name] = KINDS[rule.correlation.type](rule, self.pool)
        self._place = self._placing()
        steps = Steps(self._place, self._holds, self._found)
        self._plans = Plans(rules, self.watchers, steps)
        self._silences = [one for one in self.watchers.values() if isinstance(one, Silence)]
        self._known: dict[bytes, Look] = {}
        self.forgotten: set[str] = set()
        self.due = ALWAYS
        self._due_ts = b"~"
        self.last_ts = b""
        self.last_ns = 0
        self.steps = (-ALWAYS, 0)
        self._alerts: list[Alert] = []

    def feed(self, lines: list[bytes]) -> list[Alert]:
        """The alerts that these lines lead to, in their order.

        Args:
            lines: of the log, without their newlines.
        """
        known, last = self._known, self.last_ts
        if not self.chain:
            heads = filter(None, map(head_of, lines))
            self.chain = next((head.chain for head in heads), "")
        for line in lines:
            kind = line[_END_OF_TS : line.find(b'"', _TYPE)]
            plan = known.get(kind)
            if plan is None:
                plan = self._first_plan(kind, line)
                if kind not in known:  # a line of another form: its first bytes are no time
                    plan(line)
                    continue
            ts = line[_TS]
            if ts < last:
                self._stepped_back(line, last)
            if ts > self._due_ts and (ns := _ns(ts)) is not None:
                self._pass_time(ns)
            last = ts
            if plan is not NOTHING:
                plan(line)
        self.last_ts = last
        self.records += len(lines)
        if self.pool.forgot:
            self._full()
        alerts, self._alerts = self._alerts, []
        return alerts

    def _first_plan(self, kind: bytes, line: bytes) -> Look:
        """What to do with a type that was not met yet, or with a line of another form."""
        if not kind.startswith(_BETWEEN) or b"\\" in kind or len(kind) > _LONGEST:
            record = parsed(line)
            name = record.get("event_type") if record is not None else None
            return self._plan(name) if isinstance(name, str) else NOTHING
        if len(self._known) >= _TYPES:
            self._known.clear()
        plan = self._known[kind] = self._plan(kind[len(_BETWEEN) :].decode("utf-8", "replace"))
        return plan

    def _plan(self, event_type: str) -> Look:
        return NOTHING if event_type == RECORD else self._plans.of(event_type)

    def _placing(self) -> Callable[[Any, Any], tuple[int, int]]:
        """What gives the number and the time of a record; the time before it where it has none."""
        minute, begun = "", 0

        def place(seq: Any, ts: Any) -> tuple[int, int]:
            nonlocal minute, begun
            try:
                if ts[:17] != minute:
                    first = ns_of(f"{ts[:17]}00.000000000Z")
                    minute, begun = ts[:17], min(max(first, _FIRST_NS), _LAST_NS)
                ns = self.last_ns = begun + int(ts[17:19] + ts[20:29])
            except (ValueError, TypeError, LookupError, OverflowError) as error:
                let_through(error)
                ns = self.last_ns
            return (seq if type(seq) is int and 0 <= seq <= MAX_SEQ else 0), ns

        return place

    def _holds(self, rule: Rule, event: Event) -> None:
        """A rule that is about single records holds."""
        self._alert(rule, Hit(event, 1, fresh=True), {}, "")

    def _full(self) -> None:
        """Rules have forgotten groups: each of them tells it once."""
        self.pool.forgot = False
        for name, watcher in self.watchers.items():
            if watcher.groups.forgotten and name not in self.forgotten:
                self.forgotten.add(name)
                self._own(
                    STATE_FULL,
                    "More groups than are remembered",
                    "medium",
                    Event(self.last_ns, (), self.last_ns),
                    f"{name} has more groups than fit into its memory; those that were not seen "
                    "for longest are forgotten",
                )

    def _found(self, watcher: Watcher, key: Key, hit: Hit, record: Record | None) -> None:
        rule = watcher.rule
        if hit is WAITING:
            self.wait()
            return
        if hit.fresh and rule.name not in self.rules.quiet:
            group = dict(zip(watcher.fields, key, strict=True))
            self._alert(rule, hit, group, watcher.said(hit))
        if record is not None:
            for above, given in self._plans.above(rule):
                led = given(record, hit.event)
                if led is not None:
                    self._found(above, *led, record)

    def _alert(self, rule: Rule, hit: Hit, group: Mapping[str, str | None], reason: str) -> None:
        event = hit.event
        self._alerts.append(
            Alert(
                rule=rule.name,
                title=rule.title,
                level=rule.level,
                chain=self.chain,
                seqs=event.seqs,
                group=group,
                first_ts=ts_of(event.first),
                last_ts=ts_of(event.ns),
                reason=reason or rule.reason or rule.description,
                at=ts_of(hit.at or event.ns),
                tags=rule.tags,
                unnamed=hit.unnamed,
            )
        )

    def _own(self, rule: str, title: str, level: str, event: Event, reason: str) -> None:
        """An alert about the log, or about this search."""
        times = ts_of(event.first), ts_of(event.ns)
        self._alerts.append(
            Alert(
                rule=rule,
                title=title,
                level=level,
                chain=self.chain,
                seqs=event.seqs,
                group={},
                first_ts=times[0],
                last_ts=times[1],
                reason=reason,
                at=times[1],
            )
        )

    def _stepped_back(self, line: bytes, last: bytes) -> None:
        """A record that is earlier than the one before: it came late, or a clock was set.

        One alert in an hour, or when the step is twice as large: two hosts whose clocks differ
        would cause one with every record.
        """
        record = parsed(line)
        before = _ns(last)
        if record is None or before is None:
            return
        seq, ns = self._place(record.get("seq"), record.get("ts"))
        step = before - ns
        told, size = self.steps
        if step < _STEP_NS or (abs(ns - told) < _HOUR_NS and step < 2 * size):
            return
        self.steps = ns, step
        self._own(
            CLOCK_STEP,
            "Time went back",
            "low",
            Event(ns, (seq,), ns),
            f"the record is {step / 1e9:.1f} s earlier than the one before it: it came late, or a "
            "clock was set",
        )

    def wait(self) -> None:
        """See when something is due next."""
        due = min((one.next_due for one in self._silences), default=ALWAYS)
        if due != self.due:
            self.due = due
            self._due_ts = ts_of(due).encode() if due < ALWAYS else b"~"

    def _pass_time(self, ns: int) -> None:
        for watcher in self._silences:
            for found in watcher.tick(ns):
                self._found(watcher, *found, None)
        self.wait()

    def now(self, ns: int) -> list[Alert]:
        """The alerts that follow from its being that late, with no further record."""
        for watcher in self._silences:
            watcher.nothing_after(ns)
        if self._silences:
            self._pass_time(ns)
        alerts, self._alerts = self._alerts, []
        return alerts


def _ns(ts: bytes) -> int | None:
    try:
        return ns_of(ts.decode())
    except (ValueError, OverflowError) as error:
        let_through(error)
        return None
