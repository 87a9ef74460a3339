"""Finds the records of a log by time and by number, reading only the blocks that are needed.

``log_scan`` reads all files once and keeps a row per block. Of the log itself no more than a few
blocks are in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from audit_emit._loki.log_scan import BLOCK, Block, LogScan, Progress, Ranges, Row
from audit_emit._loki.reader_scan import ReaderScan
from audit_emit._loki.records import Extent, LoggedRecord
from audit_emit._readers.base import LogReader
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._stores.jsonl.directory import Layout

WINDOW = 8 * BLOCK
"""About how many bytes of records are compared at a time."""

HOUR = 3600 * 10**9
DAY = 24 * HOUR
YEAR = 365 * DAY
KEPT_IN_LOKI = 400 * DAY
"""Loki seldom keeps older records (``retention_period``). A clock that started at 1970 leaves half
a century without records, which is queried in periods of a year and not of a day."""

_KEPT = 4
"""The number of blocks that are kept in memory."""


class Window(NamedTuple):
    """A period of time and the records of the log in it.

    Attributes:
        start, stop: nanoseconds since 1970; ``stop`` is not included.
        records: in order of time.
    """

    start: int
    stop: int
    records: list[LoggedRecord]


class LogIndex:
    """Finds the records of one or more logs by time and by number. A context manager.

    Args:
        layouts: where the logs are.
        away: segments of them that are in an archive.
        readers: logs that are no files, by their readers; then there are no others.
        fresh: the first and the last time at which a record was written so recently that it may
            still be on its way to Loki.
        progress: see ``Progress``.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        *,
        away: Sequence[LogFile] = (),
        readers: Sequence[LogReader] = (),
        fresh: tuple[int, int] = (1 << 63, 1 << 63),
        progress: Progress | None = None,
    ) -> None:
        self._scan: LogScan = (
            ReaderScan(readers, fresh) if readers else LogScan(layouts, fresh, away)
        )
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._times: Ranges | None = None
        self._places: dict[str, Ranges] = {}
        self._update(progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scan.close()

    @property
    def extents(self) -> dict[str, Extent]:
        """What the log holds of each chain; grows with the log."""
        return self._scan.extents

    @property
    def services(self) -> set[str]:
        """The ``service`` labels of the records."""
        return self._scan.services

    @property
    def strange(self) -> int:
        """The number of lines that are not records, which the pipeline sets aside."""
        return self._scan.strange

    @property
    def files(self) -> int:
        """The number of files."""
        return self._scan.count

    @property
    def times(self) -> tuple[int, int] | None:
        """The earliest and the latest time of a record; ``None`` when there is none."""
        if not self._scan.rows:
            return None
        return min(row.low for row in self._scan.rows), max(row.high for row in self._scan.rows)

    def size(self, start: int, end: int) -> int:
        """The bytes of all blocks with records of a period; ``end`` is not included."""
        return sum(row.size for row in self._by_time.covering(start, end - 1))

    def windows(self, start: int, end: int) -> Iterator[Window]:
        """The period from ``start`` to ``end``, divided so that each part fits into memory."""
        while start < end:
            stop = self._stop(start, end)
            yield from self._window(start, stop)
            start = stop

    def records(self, chain: str, seq: int) -> Sequence[LoggedRecord]:
        """The records with one number in a chain. If the log has grown, the new part is read."""
        found = self._at(chain, seq)
        extent = self.extents.get(chain)
        if not found and (extent is None or seq > extent.last) and self._scan.has_grown():
            self._update(None)
            found = self._at(chain, seq)
        return found

    def closed(self) -> list[tuple[str, list[Row], int]]:
        """The closed segments, oldest first: path, rows, and bytes that are not records."""
        return self._scan.closed_segments()

    def records_in(self, row: Row) -> Sequence[LoggedRecord]:
        """The records of a block."""
        return self._block(row).records

    def near(self, ts: int, slack: int) -> Iterator[LoggedRecord]:
        """The records from the time ``ts`` up to ``slack`` nanoseconds later."""
        for row in self._by_time.covering(ts, ts + slack):
            records = self._block(row).by_time
            at = bisect_left(records, ts, key=lambda one: one.ts)
            while at < len(records) and records[at].ts <= ts + slack:
                yield records[at]
                at += 1

    def part(self, chain: str, first: int, last: int) -> Iterator[LoggedRecord]:
        """The records of a part of a chain, both ends included."""
        for row in self._by_seq(chain).covering(first, last):
            for one in self._block(row).records:
                if one.chain == chain and first <= one.seq <= last:
                    yield one

    def _update(self, progress: Progress | None) -> None:
        self._times, self._places = None, {}
        self._scan.update(progress)

    def _stop(self, start: int, end: int) -> int:
        """The end of the window that begins at ``start``."""
        stop = min(start + HOUR, end)
        following = self._next(start, stop)
        if following >= stop:
            reach = DAY if start >= end - KEPT_IN_LOKI else YEAR
            return min(following, start + reach, end)
        size = 0
        for low, more in self._by_time.sizes(start, stop - 1):
            size += more
            if size > WINDOW and low > start:
                return low
        return stop

    def _next(self, start: int, stop: int) -> int:
        """The time of the first record from ``start`` on; any time before ``stop`` will do."""
        ranges = self._by_time
        rows = ranges.covering(start, stop - 1)
        if len(rows) > _KEPT or any(start <= row.low for row in rows):
            return start
        at = bisect_left(ranges.lows, stop)
        first = ranges.lows[at] if at < len(ranges.lows) else 1 << 63
        for row in rows:
            records = self._block(row).by_time
            at = bisect_left(records, start, key=lambda one: one.ts)
            first = min(first, records[at].ts) if at < len(records) else first
        return first

    def _window(self, start: int, stop: int) -> Iterator[Window]:
        records: list[LoggedRecord] = []
        size = 0
        for row in self._by_time.covering(start, stop - 1):
            inside = [one for one in self._block(row).records if start <= one.ts < stop]
            records += inside
            size += sum(len(one.line) for one in inside)
            if size > 4 * WINDOW and stop - start > 1:
                # Several blocks cover the same long period: halve the window.
                middle = start + (stop - start) // 2
                records.clear()
                yield from self._window(start, middle)
                yield from self._window(middle, stop)
                return
        records.sort(key=lambda one: one.ts)
        yield Window(start, stop, records)

    def _at(self, chain: str, seq: int) -> list[LoggedRecord]:
        return [
            one
            for row in self._by_seq(chain).covering(seq, seq)
            for one in self._block(row).by_seq.get((chain, seq), ())
        ]

    @property
    def _by_time(self) -> Ranges:
        if self._times is None:
            self._times = Ranges((row.low, row.high, row) for row in self._scan.rows)
        return self._times

    def _by_seq(self, chain: str) -> Ranges:
        if chain not in self._places:
            rows = (row for row in self._scan.rows if chain in row.spans)
            self._places[chain] = Ranges((*row.spans[chain], row) for row in rows)
        return self._places[chain]

    def _block(self, row: Row) -> Block:
        key = row.file, row.offset
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = Block(self._scan.read(row.file, row.offset, row.size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return block
