"""What Sigma's correlations remember of one group, and when they hold. Pure.

Records come in the order of the chain (``seq``), and windows are of their times (``ts``), which
need not be in that order: records come late, and clocks step. So what came last is kept, whatever
its time, and nothing that somebody dates into the future can push the rest out of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

_EXACT = 2.0**53
"""Beyond it a sum of floating-point numbers does not go back to what it was."""

MOST = 1e15
"""What one record counts at most: more than any threshold that is worth a name."""


class Event(NamedTuple):
    """One record, or what a correlation found that another one is about.

    Attributes:
        ns: its time.
        seqs: its numbers.
        first: the earliest time.
    """

    ns: int
    seqs: tuple[int, ...]
    first: int


class Hit(NamedTuple):
    """A correlation holds, with this record.

    Attributes:
        event: what it is about.
        figure: what was reached.
        fresh: it did not hold before.
        unnamed: records that are not among the numbers.
        at: when it began to hold; 0: with the last record.
    """

    event: Event
    figure: float
    fresh: bool
    unnamed: int = 0
    at: int = 0


class Sliding(msgspec.Struct, gc=False):
    """The last records of a group with their values, for counts and sums.

    Attributes:
        items: time, number and value, in the order of the chain.
        start: where the window of the last record begins, while times are in order.
        total: of the values in it.
        calm: records that came in the order of their times, since one did not.
        above: the condition held last time.
        merged: records that the first item stands for, besides its own.
    """

    items: list[tuple[int, int, float]] = []
    start: int = 0
    total: float = 0
    calm: int = 0
    above: bool = False
    merged: int = 0

    @property
    def size(self) -> int:
        """Entries in it."""
        return len(self.items)

    @property
    def latest(self) -> int:
        """The time of what came last."""
        return self.items[-1][0]

    def take(self, event: Event, value: float, *, span: int, least: float, most: int) -> Hit | None:
        """Add a record; what holds with it.

        Args:
            most: items that are kept, and of which twice as many may be here.
        """
        items, ns = self.items, event.ns
        late = bool(items) and ns < items[-1][0]
        self.calm = 0 if late else self.calm + 1
        items.append((ns, event.seqs[-1], value))
        if self.calm >= len(items):
            self._slide(ns - span, value)
            total, found = self.total, (self.start, len(items))
            named = items[found[0] :] if total >= least else []
        else:
            total, named = self._search(ns, span)
            self.start, self.total = len(items), 0.0  # counted anew when times are in order again
        if len(items) >= 2 * most:
            self._shorten(most)
        if total < least:
            if not late:
                self.above = False
            return None
        fresh, self.above = not self.above, True
        unnamed = self.merged if named and named[0] is items[0] else 0
        return Hit(_all_of(named), total, fresh, unnamed)

    def _slide(self, since: int, value: float) -> None:
        items = self.items
        if self.start >= len(items) - 1:  # nothing was counted, or times are in order again
            self.start, self.total = 0, sum(item[2] for item in items)
        else:
            self.total += value
        before = self.start
        while items[self.start][0] < since:
            self.total -= items[self.start][2]
            self.start += 1
        if before != self.start and self.total > _EXACT:
            self.total = sum(item[2] for item in items[self.start :])

    def _search(self, ns: int, span: int) -> tuple[float, list[tuple[int, int, float]]]:
        """The best window that this record is in, among all that are kept."""
        near = sorted(item for item in self.items if abs(item[0] - ns) <= span)
        best, found, low, total = 0.0, (0, 0), 0, 0.0
        for high, item in enumerate(near):
            total += item[2]
            while item[0] - near[low][0] > span:
                total -= near[low][2]
                low += 1
            if near[low][0] <= ns <= item[0] and total > best:
                best, found = total, (low, high + 1)
        return best, near[found[0] : found[1]]

    def _shorten(self, most: int) -> None:
        """Keep what came last; what a window still needs of the rest becomes one item."""
        cut = len(self.items) - most
        gone = self.items[: cut + 1]
        within = gone[self.start :] if self.start <= cut else []
        ns, seq, value = gone[-1]
        if within:
            value = sum(item[2] for item in within)
            self.merged = len(within) - 1 + (self.merged if self.start == 0 else 0)
        else:
            self.merged = 0
        self.items[: cut + 1] = [(ns, seq, value)]
        self.start = max(0, self.start - cut)


class Values(msgspec.Struct, gc=False):
    """The different values of a field that came last.

    Attributes:
        last: time and number of each, in the order in which they came last.
        calm, above: as of ``Sliding``.
        latest: time of the record that came last.
    """

    last: dict[str, tuple[int, int]] = {}
    calm: int = 0
    above: bool = False
    latest: int = 0

    @property
    def size(self) -> int:
        """Entries in it."""
        return len(self.last)

    def take(self, event: Event, value: str, *, span: int, least: int) -> Hit | None:
        """Add a record; what holds with it."""
        last, ns = self.last, event.ns
        late = ns < self.latest
        self.calm, self.latest = (0 if late else self.calm + 1), ns
        last.pop(value, None)
        last[value] = (ns, event.seqs[-1])
        if len(last) > 2 * least:
            del last[next(iter(last))]
        if len(last) < least:
            named = []
        elif self.calm >= len(last):
            named = self._newest(ns - span, least)
        else:
            named = self._search(ns, span)
        if len(named) < least:
            if not late:
                self.above = False
            return None
        fresh, self.above = not self.above, True
        return Hit(_all_of(named), len(named), fresh)

    def _newest(self, since: int, least: int) -> list[tuple[int, int]]:
        kept = reversed(self.last.values())
        decisive = next(islice(reversed(self.last.values()), least - 1, None))
        if decisive[0] < since:
            return []
        return [item for item in kept if item[0] >= since]

    def _search(self, ns: int, span: int) -> list[tuple[int, int]]:
        near = sorted(item for item in self.last.values() if abs(item[0] - ns) <= span)
        best, low = (0, 0), 0
        for high, item in enumerate(near):
            while item[0] - near[low][0] > span:
                low += 1
            if near[low][0] <= ns <= item[0] and high + 1 - low > best[1] - best[0]:
                best = (low, high + 1)
        return near[best[0] : best[1]]


class Parts(msgspec.Struct, gc=False):
    """Which of several rules a group has met, for ``temporal`` and ``temporal_ordered``.

    Attributes:
        met: by the position of the rule, what met it last; in order, with all that led to it.
        since: by the same position, when that began. What a correlation found counts from its end
            on: a group that continues for longer than a window would else never be found.
        told: the last alert, if there was one: its records and its time make no other alert.
        latest: time of the record that came last.
    """

    met: dict[int, Event] = {}
    since: dict[int, int] = {}
    told: tuple[int, int] | None = None
    latest: int = 0

    @property
    def size(self) -> int:
        """Entries in it."""
        return sum(len(one.seqs) + 2 for one in self.met.values())

    def take(self, event: Event, part: int, *, span: int, parts: int, ordered: bool) -> Hit | None:
        """Add what met a rule; what holds with it."""
        met, self.latest, since = self.met, event.ns, event.ns
        if ordered and part:
            before = met.get(part - 1)
            if before is None or event.seqs[-1] <= before.seqs[-1]:
                return None  # one record is not two steps
            since = min(since, self.since[part - 1])
            event = _joined([before, event])
            if event.ns - since > span:
                return None
        met[part], self.since[part] = event, since
        if len(met) < parts or (ordered and part != parts - 1):
            return None
        found = event if ordered else _joined(list(met.values()))
        if found.ns - min(self.since.values() if not ordered else [since]) > span:
            return None
        if self.told and (found.seqs[0] <= self.told[0] or abs(found.ns - self.told[1]) <= span):
            return None
        self.told = found.seqs[-1], found.ns
        return Hit(found, parts, fresh=True)


def _all_of(items: Sequence[tuple[Any, ...]]) -> Event:
    """What was kept of several records, each beginning with its time and its number, as one."""
    times = [item[0] for item in items]
    return Event(max(times), tuple(sorted(item[1] for item in items)), min(times))


def _joined(events: list[Event]) -> Event:
    return Event(
        max(one.ns for one in events),
        tuple(sorted({seq for one in events for seq in one.seqs})),
        min(one.first for one in events),
    )
