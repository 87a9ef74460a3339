"""One correlation at work: which group a record belongs to, what its rule remembers of it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from audit_emit._detection.detectors import Beat, Hours, Known, Usual, Value
from audit_emit._detection.groups import Groups, Key, Pool, keyed, short
from audit_emit._detection.members import lasting
from audit_emit._detection.networks import networks
from audit_emit._detection.rule import Correlation, Rule
from audit_emit._detection.values import Get, Record, getter, number_of, scalars, text_of
from audit_emit._detection.windows import MOST, Event, Hit, Parts, Sliding, Values

ALWAYS = 1 << 62
_NAMED = 64
"""Records that a count names at least, if there are so many."""

KEPT = 1024
"""Records that a sum names; more than these are one item together."""


class Found(NamedTuple):
    """What one correlation found."""

    key: Key
    hit: Hit


Take = Callable[[int, Record, Event], Found | None]

WAITING = Found((), Hit(Event(0, (), 0), 0, fresh=False))
"""What ``Silence`` gives when a group is to be waited for."""


class Watcher:
    """One correlation; the kinds are below.

    Args:
        rule: a correlation.
        pool: what the groups of all rules take.

    Attributes:
        groups: what is remembered.
        next_due: when something may be found without a record, in nanoseconds since 1970.
    """

    state: Any
    next_due = ALWAYS

    def __init__(self, rule: Rule, pool: Pool) -> None:
        assert rule.correlation is not None  # noqa: S101 - for the type checker
        self.rule = rule
        self.spec: Correlation = rule.correlation
        self.groups: Groups[Any] = Groups(
            pool, self.spec.timespan or int(self.spec.options.get("history", ALWAYS))
        )
        self.fields = (*self.spec.group_by, *self.own_fields())
        aliases = self.spec.aliases
        names = [
            [aliases.get(name, {}).get(part, name) for name in self.spec.group_by]
            for part in self.spec.rules
        ]
        self.keys = [keyed(each, self.own_getter()) for each in names]
        self._field: Get = getter(self.spec.field or "event_type")

    def own_fields(self) -> tuple[str, ...]:
        """What names a group besides ``group-by``: one field at most."""
        return ()

    def own_getter(self) -> Get | None:
        """What reads that; ``None`` for none."""
        return None

    def take(self, part: int, record: Record, event: Event) -> Found | None:
        """A record that fits one of the rules.

        Args:
            part: which one.
        """
        key = self.keys[part](record)
        state = self.groups.get(key)
        new = state is None
        if state is None:
            state = self.state()
            self.groups.add(key, state)
        before = state.size
        hit = self.add(state, part, record, event)
        after = state.size
        if new or after != before:
            self.groups.grown(after - before, event.ns)
        return None if hit is None else Found(key, hit)

    def add(self, state: Any, part: int, record: Record, event: Event) -> Hit | None:
        """Add it to what is remembered of its group."""
        raise NotImplementedError

    def said(self, hit: Hit) -> str:
        """What was found, in words."""
        raise NotImplementedError


class EventCount(Watcher):
    """``event_count``."""

    state = Sliding

    def add(self, state: Sliding, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part, record
        spec = self.spec
        most = max(int(spec.least) + 1, _NAMED)
        return state.take(event, 1, span=spec.timespan, least=spec.least, most=most)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"{hit.figure:.0f} records within {lasting(self.spec.timespan)}"


class ValueCount(Watcher):
    """``value_count``."""

    state = Values

    def add(self, state: Values, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        found = None
        for one in list(scalars(self._field(record)))[:KEPT]:
            text = short(one)
            if text is not None:
                spec = self.spec
                hit = state.take(event, text, span=spec.timespan, least=int(spec.least))
                found = hit if hit is not None and (found is None or hit.fresh) else found
        return found

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        spec = self.spec
        return f"{hit.figure:.0f} different {spec.field} within {lasting(spec.timespan)}"


class ValueSum(Watcher):
    """``value_sum``; negative numbers would let somebody subtract what he took."""

    state = Sliding

    def take(self, part: int, record: Record, event: Event) -> Found | None:
        """See ``Watcher``."""
        value = number_of(self._field(record))
        return super().take(part, record, event) if value is not None and value > 0 else None

    def add(self, state: Sliding, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        value, spec = number_of(self._field(record)) or 0.0, self.spec
        return state.take(event, min(value, MOST), span=spec.timespan, least=spec.least, most=KEPT)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        spec = self.spec
        return f"{spec.field} adds up to {hit.figure:.15g} within {lasting(spec.timespan)}"


class Temporal(Watcher):
    """``temporal`` and ``temporal_ordered``."""

    state = Parts

    def add(self, state: Parts, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del record
        spec = self.spec
        return state.take(
            event,
            part,
            span=spec.timespan,
            parts=len(spec.rules),
            ordered=spec.type == "temporal_ordered",
        )

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        del hit
        word = " then " if self.spec.type == "temporal_ordered" else " and "
        return f"{word.join(self.spec.rules)} within {lasting(self.spec.timespan)}"


class FirstSeen(Watcher):
    """``first_seen``: nothing is new before the log is as old as ``learning``."""

    state = Known

    def __init__(self, rule: Rule, pool: Pool) -> None:
        super().__init__(rule, pool)
        self.history = int(self.spec.options["history"])
        self.begun = 0

    def own_fields(self) -> tuple[str, ...]:
        """See ``Watcher``."""
        return (self.spec.field,)

    def own_getter(self) -> Get:
        """See ``Watcher``."""
        get = getter(self.spec.field)
        return networks(get) if self.spec.options["network"] else get

    def take(self, part: int, record: Record, event: Event) -> Found | None:
        """See ``Watcher``: for most records of a log, so that it does no more than it must."""
        key, ns, table = self.keys[part](record), event[0], self.groups.table
        if ns < self.begun or not self.begun:  # the first one may be dated into the future
            self.begun = ns
        state = table.get(key)
        if state is not None:
            table.move_to_end(key)
            before, state.latest = state.latest, ns
            if ns - before <= self.history:
                return None
        else:
            self.groups.add(key, Known(ns))
            self.groups.grown(0, ns)
        if ns - self.begun < self.spec.options["learning"]:
            return None
        return Found(key, Hit(event, 1, fresh=True))

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        del hit
        return f"not seen within {lasting(self.history)} before"


class RareHour(Watcher):
    """``rare_hour``."""

    state = Hours

    def add(self, state: Hours, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part, record
        options = self.spec.options
        return state.take(event, least=options["least"], percent=options["percent"])

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        hour = hit.event.ns // (3600 * 10**9) % 24
        return f"at {hour:02d} h UTC, where {hit.figure:.0f} records were before"


class Changed(Watcher):
    """``changed``."""

    state = Value

    def take(self, part: int, record: Record, event: Event) -> Found | None:
        """See ``Watcher``."""
        there = text_of(self._field(record)) is not None
        return super().take(part, record, event) if there else None

    def add(self, state: Value, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        return state.take(event, str(short(self._field(record))))

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"{self.spec.field} changed since record {hit.event.seqs[0]}"


class Baseline(Watcher):
    """``baseline``."""

    state = Usual

    def add(self, state: Usual, part: int, record: Record, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        value = number_of(self._field(record)) if self.spec.field else 1.0
        if value is None or value <= 0:
            return None
        return state.take(event, min(value, MOST), **self.spec.options)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        what = f"{self.spec.field} adds up to" if self.spec.field else "records:"
        bucket = lasting(int(self.spec.options["bucket"]))
        return f"{what} {hit.figure:.15g} in {bucket}, far more than usual"


class Silence(Watcher):
    """``silence``: found by the time of whatever comes next, not by a record of its own."""

    state = Beat

    def __init__(self, rule: Rule, pool: Pool) -> None:
        super().__init__(rule, pool)
        self.due: list[tuple[int, int, Key]] = []
        self.next_due = ALWAYS
        self._pushed = 0
        self._span = self.spec.timespan
        self._last_due = 0

    def take(self, part: int, record: Record, event: Event) -> Found | None:
        """See ``Watcher``: for nearly every record, so that it does no more than it must."""
        key, ns, table = self.keys[part](record), event[0], self.groups.table
        state = table.get(key)
        if state is None:
            state = Beat(ns, event.seqs[-1])
            self.groups.add(key, state)
            self.groups.grown(0, ns)
            self._wait(state, key)
            return WAITING
        table.move_to_end(key)
        told = state.told
        state.latest, state.seq, state.told = ns, event.seqs[-1], False
        # A record that somebody dated into the future puts nothing off for longer than to the next.
        if not told and ns + self._span >= state.due:
            return None
        self._wait(state, key)
        return WAITING

    def _wait(self, state: Beat, key: Key) -> None:
        """Look at a group when it may have fallen silent; names of groups are not compared."""
        self._pushed += 1
        if len(self.due) > 2 * len(self.groups.table) + KEPT:  # of groups that were forgotten
            self.due = [one for one in self.due if self._is_awaited(one)]
            heapq.heapify(self.due)
        state.due = state.latest + self._span
        heapq.heappush(self.due, (state.due, self._pushed, key))
        self.next_due = self.due[0][0]
        self._last_due = max(self._last_due, state.due)

    def _is_awaited(self, entry: tuple[int, int, Key]) -> bool:
        """Whether an entry is the one of its group, and none that an earlier one replaced."""
        state = self.groups.table.get(entry[2])
        return state is not None and state.due == entry[0]

    def wait_again(self) -> None:
        """Wait for all groups that were remembered."""
        self.due, self.next_due, self._last_due = [], ALWAYS, 0
        for key, state in self.groups.table.items():
            if not state.told:
                self._wait(state, key)

    def nothing_after(self, ns: int) -> None:
        """It is that late, so that no sign of life can be of later: its clock was wrong."""
        if self._last_due > ns + self._span:
            for state in self.groups.table.values():
                state.latest = min(state.latest, ns)
            self.wait_again()

    def tick(self, ns: int) -> Iterator[Found]:
        """It is that late: who has been silent?"""
        while self.due and self.due[0][0] < ns:
            due, _, key = heapq.heappop(self.due)
            self.next_due = self.due[0][0] if self.due else ALWAYS
            state = self.groups.table.get(key)
            if state is None or state.told or state.due != due:
                continue
            if state.latest + self._span >= ns:
                self._wait(state, key)
                continue
            state.told = True
            event = Event(state.latest, (state.seq,), state.latest)
            due = state.latest + self._span
            yield Found(key, Hit(event, float(ns - state.latest), fresh=True, at=due))

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"nothing came after record {hit.event.seqs[0]} for {lasting(int(hit.figure))}"


KINDS: dict[str, type[Watcher]] = {
    "event_count": EventCount,
    "value_count": ValueCount,
    "value_sum": ValueSum,
    "temporal": Temporal,
    "temporal_ordered": Temporal,
    "first_seen": FirstSeen,
    "rare_hour": RareHour,
    "changed": Changed,
    "baseline": Baseline,
    "silence": Silence,
}
