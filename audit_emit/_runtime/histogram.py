"""A histogram of plain numbers: what is counted costs a tenth of a microsecond."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """How many values there were up to each bound, and their sum.

    Not locked: a number may be lost where two threads add at once, as in no other counter here.

    Args:
        bounds: upper bounds, included, in ascending order; one without a bound comes after them.

    Attributes:
        bounds: see above.
        counts: one for each bound, of the values above the one before it; the last has no bound.
        total: the sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.counts: list[int] = []
        self.total: float = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget every value."""
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
