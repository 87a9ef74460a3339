"""Our detectors at work, and all kinds of correlations by their names. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from audit_emit._detection.counting import EventCount, Temporal, ValueCount, ValueSum
from audit_emit._detection.detectors import Beat, Hours, Known, Usual, Value
from audit_emit._detection.groups import Key, Pool, keyed, short
from audit_emit._detection.members import lasting
from audit_emit._detection.networks import with_network
from audit_emit._detection.rule import Rule
from audit_emit._detection.values import Get, Record, getter
from audit_emit._detection.watcher import ALWAYS, KEPT, WAITING, Found, Take, Watcher, amount
from audit_emit._detection.windows import Event, Hit


class FirstSeen(Watcher):
    """``first_seen``: nothing is new before the log is as old as ``learning``."""

    state = Known

    def __init__(self, rule: Rule, pool: Pool) -> None:
        super().__init__(rule, pool)
        self.fields = (*self.spec.group_by, self.spec.field)
        self.history = int(self.spec.options["history"])
        self.begun = 0

    def keyed(self, fields: Sequence[str]) -> Callable[[Record], Key]:
        """See ``Watcher``: what was not seen before names the group, too."""
        if self.spec.options["network"]:
            return with_network(fields, self.spec.field)
        return keyed([*fields, self.spec.field])

    def taker(self, part: int) -> Take:
        """See ``Watcher``: for most records of a log, so that it does no more than it must."""
        key_of, groups, history = self.keys[part], self.groups, self.history
        find, touch = groups.table.get, groups.table.move_to_end

        def take(record: Record, event: Event) -> Found | None:
            key, ns = key_of(record), event[0]
            if ns < self.begun or not self.begun:  # the first one may be dated into the future
                self.begun = ns
            state = find(key)
            if state is not None:
                touch(key)
                before, state.latest = state.latest, ns
                if ns - before <= history:
                    return None
            else:
                groups.add(key, Known(ns))
                groups.grown(0, ns)
            if ns - self.begun < self.spec.options["learning"]:
                return None
            return Found(key, Hit(event, 1, fresh=True))

        return take

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        del hit
        return f"not seen within {lasting(self.history)} before"


class RareHour(Watcher):
    """``rare_hour``."""

    state = Hours

    def add(self, state: Hours, part: int, value: Any, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part, value
        options = self.spec.options
        return state.take(event, least=options["least"], percent=options["percent"])

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        hour = hit.event.ns // (3600 * 10**9) % 24
        return f"at {hour:02d} h UTC, where {hit.figure:.0f} records were before"


class Changed(Watcher):
    """``changed``."""

    state = Value

    def reader(self) -> Get:
        """See ``Watcher``."""
        get = getter(self.spec.field)
        return lambda record: short(get(record))

    def add(self, state: Value, part: int, value: str, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        return state.take(event, value)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"{self.spec.field} changed since record {hit.event.seqs[0]}"


class Baseline(Watcher):
    """``baseline``."""

    state = Usual

    def reader(self) -> Get:
        """See ``Watcher``."""
        return amount(self.spec.field) if self.spec.field else super().reader()

    def add(self, state: Usual, part: int, value: float, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        return state.take(event, value, **self.spec.options)

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

    def taker(self, part: int) -> Take:
        """See ``Watcher``: for nearly every record, so that it does no more than it must."""
        key_of, groups, span = self.keys[part], self.groups, self._span
        find, touch = groups.table.get, groups.table.move_to_end

        def take(record: Record, event: Event) -> Found | None:
            key, (ns, seqs, _) = key_of(record), event
            state = find(key)
            if state is None:
                state = Beat(ns, seqs[-1])
                groups.add(key, state)
                groups.grown(0, ns)
            else:
                touch(key)
                state.latest, state.seq = ns, seqs[-1]
                # A record that somebody dated into the future puts nothing off for longer than to
                # the next one.
                if not state.told and ns + span >= state.due:
                    return None
                state.told = False
            self._wait(state, key)
            return WAITING

        return take

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
