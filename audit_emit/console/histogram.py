"""How many records there were when: bars of a round length of time, each with its own filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._facade.records import ts_of
from audit_emit.console.filters import Filters

BARS = 60
WIDTH, HEIGHT = 960, 80
_EARLIEST, _LATEST = 0, 253_402_300_799_999 * 10**6
"""The times that a filter accepts: from 1970 to the end of 9999."""

_MILLISECOND = 10**6
_SECOND = 10**9
_STEPS = tuple(
    seconds * _SECOND
    for seconds in (
        *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200),
        *(86400, 2 * 86400, 7 * 86400, 14 * 86400, 28 * 86400, 84 * 86400, 364 * 86400),
    )
)
"""Lengths of a bar; shorter and longer ones are these times a power of ten."""


class Bar(NamedTuple):
    """The records of one interval.

    Attributes:
        begin, end: in UTC, as records write a time, to the millisecond; ``end`` is not in it.
        records: how many.
        x, width, y, height: where it is in the picture.
        query: of the page with these records only.
    """

    begin: str
    end: str
    records: int
    x: float
    width: float
    y: float
    height: float
    query: str


class Histogram(NamedTuple):
    """Bars from the oldest to the newest; an interval without records has none.

    Attributes:
        records: that were counted.
        cut: there are more, older ones.
        most: records of the longest bar.
        first, last: where the picture begins and ends; empty without records.
    """

    bars: list[Bar]
    records: int
    cut: bool
    most: int
    first: str
    last: str


def histogram_of(times: Sequence[int], given: Filters, *, cut: bool) -> Histogram:
    """The histogram of some records.

    Args:
        times: theirs, in nanoseconds since 1970.
        given: the filters that they answer, which the addresses of the bars keep.
        cut: there are more than these, older ones.
    """
    if not times:
        return Histogram([], 0, cut, 0, "", "")
    step = _step(min(times), max(times))
    counts = Counter(one // step for one in times)
    first, last, most = min(counts), max(counts), max(counts.values())
    width = WIDTH / (last - first + 1)
    bars = []
    for at, records in sorted(counts.items()):
        begin, end = _text(at * step), _text((at + 1) * step)
        height = max(2.0, (HEIGHT - 2) * records / most)
        query = given.query(since=begin, until=end)
        x = round((at - first) * width, 1)
        bars.append(Bar(begin, end, records, x, round(width, 1), HEIGHT - height, height, query))
    return Histogram(bars, len(times), cut, most, _text(first * step), _text((last + 1) * step))


def _step(first: int, last: int) -> int:
    """The shortest round interval of which at most ``BARS`` cover the whole time."""
    step = _MILLISECOND
    while step < _SECOND:
        if last // step - first // step < BARS:
            return step
        step *= 10
    for one in _STEPS:
        if last // one - first // one < BARS:
            return one
    step = _STEPS[-1]
    while last // step - first // step >= BARS:
        step *= 2
    return step


def _text(moment: int) -> str:
    return ts_of(min(max(moment, _EARLIEST), _LATEST))[:23] + "Z"
