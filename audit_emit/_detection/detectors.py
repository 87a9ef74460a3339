"""What our detectors remember of one group, and when they fire. Pure.

They find what Sigma has no words for: what is new, what changed, what is rare, what is more than
usual, what has ended. Times are those of the records, hours are of UTC.
"""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec

from audit_emit._detection.windows import Event, Hit

HOUR = 3600 * 10**9
NAMED = 1000
"""Numbers of records that are kept of one bucket of a baseline."""


class Known(msgspec.Struct, gc=False):
    """``first_seen``: that there was such a thing, and when last."""

    latest: int = 0
    size: ClassVar[int] = 0


class Value(msgspec.Struct, gc=False):
    """``changed``: the last value, and where it was."""

    text: str | None = None
    seq: int = 0
    latest: int = 0
    size: ClassVar[int] = 1

    def take(self, event: Event, text: str) -> Hit | None:
        """Add a record."""
        before, self.text = self.text, text
        seq, self.seq = self.seq, event.seqs[-1]
        ns, self.latest = self.latest, event.ns
        if before is None or before == text:
            return None
        return Hit(Event(event.ns, (seq, *event.seqs), ns), 2, fresh=True)


class Hours(msgspec.Struct, gc=False):
    """``rare_hour``: how often in which hour of the day."""

    counts: list[int] = []
    total: int = 0
    told: int = 0
    latest: int = 0
    size: ClassVar[int] = 2

    def take(self, event: Event, *, least: float, percent: float) -> Hit | None:
        """Add a record; it is rare if few of those before it were in this hour of the day."""
        if not self.counts:
            self.counts = [0] * 24
        self.latest = event.ns
        slot = event.ns // HOUR
        hour = slot % 24
        rare = self.total >= least and self.counts[hour] * 100 <= percent * self.total
        self.counts[hour] += 1
        self.total += 1
        if not rare or slot == self.told:
            return None
        self.told = slot
        return Hit(event, self.counts[hour] - 1, fresh=True)


class Beat(msgspec.Struct, gc=False):
    """``silence``: the last sign of life, and whether its absence was told.

    Attributes:
        due: when it is looked at next.
    """

    latest: int = 0
    seq: int = 0
    told: bool = False
    due: int = 0
    size: ClassVar[int] = 1


class Buckets(msgspec.Struct, gc=False):
    """``baseline``: how much there was in each of the last buckets of time."""

    slot: int = 0
    now: float = 0
    first: int = 0
    seqs: list[int] = []
    past: list[float] = []
    told: bool = False
    latest: int = 0
    unnamed: int = 0

    @property
    def size(self) -> int:
        """Entries in it."""
        return (len(self.seqs) + len(self.past)) // 3

    def take(
        self,
        event: Event,
        value: float,
        *,
        bucket: float,
        buckets: float,
        deviations: float,
        least: float,
    ) -> Hit | None:
        """Add a record; it is too much if far above what the buckets before it had."""
        slot = int(event.ns // bucket)
        if not self.latest:
            self.slot, self.first = slot, event.ns
        elif slot > self.slot:
            self._turn(slot, int(buckets))
            self.first = event.ns
        elif max(slot, int(self.latest // bucket)) < self.slot - buckets:
            # Two in a row are older than all that is remembered: the one before was of the future,
            # and the bucket of now would else be that one until then.
            self.slot, self.first = slot, event.ns
            self.now, self.seqs, self.told, self.unnamed = 0.0, [], False, 0
        # What is late counts to the bucket of now: nothing is lost, and nothing is counted twice.
        self.latest = event.ns
        self.now += value
        if len(self.seqs) < NAMED:
            self.seqs.append(event.seqs[-1])
        else:
            self.unnamed += 1
        if self.told or self.now < least or len(self.past) < buckets / 2:
            return None
        mean = math.fsum(self.past) / len(self.past)
        spread = math.sqrt(math.fsum((one - mean) ** 2 for one in self.past) / len(self.past))
        if self.now <= mean + deviations * spread:
            return None
        self.told = True
        found = Event(event.ns, tuple(self.seqs), min(self.first, event.ns))
        return Hit(found, self.now, fresh=True, unnamed=self.unnamed)

    def _turn(self, slot: int, buckets: int) -> None:
        """Another bucket begins; those between had nothing."""
        empty = min(slot - self.slot - 1, buckets)
        self.past = [*self.past, self.now, *([0.0] * empty)][-buckets:]
        self.slot, self.now, self.seqs = slot, 0.0, []
        self.told, self.unnamed = False, 0
