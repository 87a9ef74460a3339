"""Our detectors at work, and all kinds of correlations by their names. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from audit_emit._detection.counting import EventCount, Temporal, ValueCount, ValueSum
from audit_emit._detection.detectors import Beat, Buckets, Hours, Known, Value
from audit_emit._detection.groups import Key, Pool, short
from audit_emit._detection.members import lasting
from audit_emit._detection.networks import Networks
from audit_emit._detection.rule import Rule
from audit_emit._detection.unrolled import Text
from audit_emit._detection.watcher import (
    ALWAYS,
    KEPT,
    WAITING,
    Found,
    Take,
    Usual,
    Watcher,
    amount,
)
from audit_emit._detection.windows import Event, Hit

NOT_BEGUN = 1 << 63
"""Later than any record: see ``FirstSeen.begun``."""


class FirstSeen(Watcher):
    """``first_seen``: nothing is new before the log is as old as ``learning``."""

    state = Known

    def __init__(self, rule: Rule, pool: Pool) -> None:
        super().__init__(rule, pool)
        # What was not seen before names the group, too.
        self.fields = (*self.spec.group_by, self.spec.field)
        self.names = [(*names, self.spec.field) for names in self.names]
        self.history = int(self.spec.options["history"])
        self.begun = NOT_BEGUN
        self._networks = Networks()

    def written(self, field: str, text: Text) -> str:
        """See ``Watcher``."""
        if field == self.spec.field and self.spec.options["network"]:
            return self._networks.written(field, text)
        return super().written(field, text)

    def usual(self, text: Text) -> Usual:
        """See ``Watcher``: seen within ``history``, and the log is no older than it seemed."""
        me, history = text.value(self), text.value(self.history)
        return Usual(f"ns - state.latest <= {history} and ns >= {me}.begun", "state.latest = ns")

    def taker(self, part: int) -> Take:
        """See ``Watcher``."""
        del part
        groups, history, learning = self.groups, self.history, self.spec.options["learning"]

        def take(key: Key, value: Any, event: Event) -> Hit | None:
            del value
            ns, state = event.ns, groups.get(key)
            self.begun = min(self.begun, ns)  # the first one may be dated into the future
            if state is not None:
                before, state.latest = state.latest, ns
                if ns - before <= history:
                    return None
            else:
                groups.add(key, Known(ns))
                groups.grown(0, ns)
            return Hit(event, 1, fresh=True) if ns - self.begun >= learning else None

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
    reads = True

    def read(self, value: Any) -> str | None:
        """See ``Watcher``."""
        return short(value)

    def add(self, state: Value, part: int, value: str, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        return state.take(event, value)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"{self.spec.field} changed since record {hit.event.seqs[0]}"


class Baseline(Watcher):
    """``baseline``."""

    state = Buckets
    reads = True

    def read(self, value: Any) -> float | None:
        """See ``Watcher``."""
        return amount(value)

    def add(self, state: Buckets, part: int, value: float, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        return state.take(event, value, **self.spec.options)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        what = f"{self.spec.field} adds up to" if self.spec.field else "records:"
        bucket = lasting(int(self.spec.options["bucket"]))
        return f"{what} {hit.figure:.15g} in {bucket}, far more than usual"


class Silence(Watcher):
    """``silence``: found by the time of the next record of any kind, not by one of its own."""

    state = Beat

    def __init__(self, rule: Rule, pool: Pool) -> None:
        super().__init__(rule, pool)
        self.due: list[tuple[int, int, Key]] = []
        self.next_due = ALWAYS
        self._pushed = 0
        self._span = self.spec.timespan
        self._last_due = 0

    def usual(self, text: Text) -> Usual:
        """See ``Watcher``.

        A record that somebody dated into the future puts nothing off for longer than to the next
        one.
        """
        span = text.value(self._span)
        when = f"not state.told and ns + {span} >= state.due"
        return Usual(when, "state.latest, state.seq = ns, number")

    def taker(self, part: int) -> Take:
        """See ``Watcher``."""
        del part
        groups, span = self.groups, self._span

        def take(key: Key, value: Any, event: Event) -> Hit | None:
            del value
            ns, number, state = event.ns, event.seqs[-1], groups.get(key)
            if state is None:
                state = Beat(ns, number)
                groups.add(key, state)
                groups.grown(0, ns)
            else:
                state.latest, state.seq = ns, number
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
        """The alerts for groups that have been silent for too long at this time."""
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
