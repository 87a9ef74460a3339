"""Where in the files of a log the records of a time, or of a part of a chain, are.

A record's place follows from its number, not from its time: clocks step back, and records that had
to wait keep their own time. So the files are read once, a row per block says which times and which
numbers are in it, and from then on only the blocks that are asked for are read again. A row is some
hundred bytes for a mebibyte of log; of the log itself no more than a few blocks are in memory.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Self

from audit_emit._loki.expected import Extent, Held, held
from audit_emit._loki.labels import service_of
from audit_emit._readers.files.logfiles import LogFile, open_log
from audit_emit._readers.files.unpacked import Unpacked
from audit_emit._stores.jsonl.directory import Layout

BLOCK = 1 << 20
WINDOW = 8 * BLOCK
"""Bytes of records that are compared at a time, about."""

HOUR = 3600 * 10**9
DAY = 24 * HOUR
YEAR = 365 * DAY
KEPT_IN_LOKI = 400 * DAY
"""What is older Loki seldom has (``retention_period``): a clock that began in 1970 leaves half a
century without a record, and nobody should be asked about each day of it."""

_KEPT = 4

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes that there are."""


class Row(NamedTuple):
    """One block of whole lines.

    Attributes:
        file: which of the files.
        low, high: the earliest and the latest time in it.
        spans: for each chain in it the lowest and the highest ``seq``.
    """

    file: int
    offset: int
    size: int
    low: int
    high: int
    spans: dict[str, tuple[int, int]]


class Ranges:
    """Rows by ranges that may overlap.

    Args:
        items: lowest and highest value of each row.
    """

    def __init__(self, items: Iterable[tuple[int, int, Row]]) -> None:
        self._items = sorted(items, key=lambda item: item[:2])
        self.lows = [low for low, _, _ in self._items]
        self._reach = list(accumulate((high for _, high, _ in self._items), max))

    def covering(self, low: int, high: int) -> list[Row]:
        """The rows that hold values from ``low`` to ``high``, both included."""
        first = bisect_left(self._reach, low)
        last = bisect_right(self.lows, high)
        return [row for _, top, row in self._items[first:last] if top >= low]

    def sizes(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Where each row begins that begins between the two, and its bytes."""
        for _, _, row in self._items[bisect_left(self.lows, low) : bisect_right(self.lows, high)]:
            yield row.low, row.size


class Block:
    """The records of one block, and the bytes of its other lines."""

    def __init__(self, data: bytes) -> None:
        lines = data.split(b"\n")[:-1]
        found = [held(line) for line in lines]
        self.records = [one for one in found if one is not None]
        self.foreign = sum(
            len(line) + 1 for line, one in zip(lines, found, strict=True) if one is None
        )

    @cached_property
    def by_seq(self) -> dict[tuple[str, int], list[Held]]:
        """The chained ones by their place; more than one have it only where somebody meddled."""
        places: dict[tuple[str, int], list[Held]] = {}
        for one in self.records:
            if one.chain:
                places.setdefault((one.chain, one.seq), []).append(one)
        return places

    @cached_property
    def by_time(self) -> list[Held]:
        """All of them, earliest first."""
        return sorted(self.records, key=lambda one: one.ts)


class Window(NamedTuple):
    """A stretch of time and what the log holds of it.

    Attributes:
        start, stop: nanoseconds since 1970; ``stop`` does not belong to it.
        records: in order of time.
    """

    start: int
    stop: int
    records: list[Held]


class LogIndex:
    """The files of one log or of several.

    Args:
        layouts: where they are.
        fresh: the first and the last time at which a record was written so lately that it may
            still be on its way.
        progress: see ``Progress``.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.

    Attributes:
        extents: by chain.
        services: the labels of the records.
        strange: lines that are no records, which the pipeline sets aside.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        *,
        fresh: tuple[int, int] = (1 << 63, 1 << 63),
        progress: Progress | None = None,
    ) -> None:
        self.extents: dict[str, Extent] = {}
        self.services: set[str] = set()
        self.strange: int = 0
        self._foreign: Counter[int] = Counter()
        self._torn: dict[int, int] = {}
        self._layouts = layouts
        self._fresh = fresh
        self._files: list[LogFile] = []
        self._scanned: dict[tuple[int, int], tuple[int, int]] = {}
        self._rows: list[Row] = []
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._stream = Unpacked()
        self._times: Ranges | None = None
        self._places: dict[str, Ranges] = {}
        self._seen: list[tuple[int, int, int]] = []
        self._scan(progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        for file in self._files:
            file.close()

    @property
    def files(self) -> int:
        """How many there are."""
        return len(self._files)

    @property
    def times(self) -> tuple[int, int] | None:
        """The earliest and the latest time of a record; ``None`` when there is none."""
        if not self._rows:
            return None
        return min(row.low for row in self._rows), max(row.high for row in self._rows)

    def size(self, start: int, end: int) -> int:
        """Bytes of the blocks that hold records of a time, ``end`` not included."""
        return sum(row.size for row in self._by_time.covering(start, end - 1))

    def windows(self, start: int, end: int) -> Iterator[Window]:
        """The time from ``start`` to ``end``, cut so that each piece fits into memory."""
        while start < end:
            stop = self._stop(start, end)
            yield from self._window(start, stop)
            start = stop

    def records(self, chain: str, seq: int) -> Sequence[Held]:
        """What the log holds at one place of a chain; it is looked at again if it grew."""
        found = self._at(chain, seq)
        extent = self.extents.get(chain)
        if not found and (extent is None or seq > extent.last) and self._grew():
            self._scan(None)
            found = self._at(chain, seq)
        return found

    def closed(self) -> list[tuple[str, list[Row], int]]:
        """The closed segments, oldest first: path, blocks of records, bytes of what is none."""
        active = {layout.active for layout in self._layouts}
        rows: dict[int, list[Row]] = {}
        for row in self._rows:
            rows.setdefault(row.file, []).append(row)
        return [
            (file.path, rows.get(number, []), self._foreign[number] + self._torn.get(number, 0))
            for number, file in enumerate(self._files)
            if file.path not in active
        ]

    def held(self, row: Row) -> Sequence[Held]:
        """The records of a block."""
        return self._block(row).records

    def near(self, ts: int, slack: int) -> Iterator[Held]:
        """The records from a time on, for so many nanoseconds."""
        for row in self._by_time.covering(ts, ts + slack):
            records = self._block(row).by_time
            at = bisect_left(records, ts, key=lambda one: one.ts)
            while at < len(records) and records[at].ts <= ts + slack:
                yield records[at]
                at += 1

    def part(self, chain: str, first: int, last: int) -> Iterator[Held]:
        """The records of a part of a chain, both ends included, a block at a time."""
        for row in self._by_seq(chain).covering(first, last):
            for one in self._block(row).records:
                if one.chain == chain and first <= one.seq <= last:
                    yield one

    # Reading all of it once.

    def _scan(self, progress: Progress | None) -> None:
        self._seen = self._state()
        self._times, self._places = None, {}
        logs = [open_log(layout, layout.directory) for layout in self._layouts]
        found = [file for log in logs for file in log.files]
        total = sum(max(file.size, 0) for file in found)
        done = 0
        for file in found:
            number, position = self._scanned.get(file.identity, (len(self._files), 0))
            if number == len(self._files):
                self._files.append(file)
            elif self._files[number].descriptor < 0:
                self._files[number] = file
            else:
                file.close()
            for row, end in self._new_rows(number, position):
                if row is not None:
                    self._rows.append(row)
                self._scanned[file.identity] = number, end
                if progress is not None:
                    progress(done + min(end, file.size), total)
            done += max(file.size, 0)

    def _state(self) -> list[tuple[int, int, int]]:
        """What shows that a log grew, cheaply."""
        found = []
        for layout in self._layouts:
            try:
                state = os.stat(layout.active)
            except FileNotFoundError:
                continue
            found.append((state.st_dev, state.st_ino, state.st_size))
        return found

    def _grew(self) -> bool:
        return self._state() != self._seen

    def _new_rows(self, number: int, position: int) -> Iterator[tuple[Row | None, int]]:
        """The rows from ``position`` on, each with where its block ends."""
        skipping = False
        self._torn[number] = 0
        while data := self._read(number, position, BLOCK):
            if skipping:
                cut = data.find(b"\n") + 1
                skipping = not cut
                position += cut or len(data)
                self.strange += bool(cut)
                self._foreign[number] += cut or len(data)
                continue
            cut = data.rfind(b"\n") + 1
            if cut:
                yield self._row(number, position, data[:cut]), position + cut
                position += cut
            elif len(data) < BLOCK:
                self._torn[number] = len(data)  # or a line that is still being written
                return
            else:
                skipping = True

    def _row(self, number: int, offset: int, data: bytes) -> Row | None:
        block = Block(data)
        records = block.records
        self._foreign[number] += block.foreign
        self.strange += data.count(b"\n") - len(records)
        if not records:
            return None
        spans: dict[str, tuple[int, int]] = {}
        for chain in {one.chain for one in records} - {""}:
            seqs = [one.seq for one in records if one.chain == chain]
            spans[chain] = min(seqs), max(seqs)
        self.services.update({service_of(one.line) for one in records})
        times = [one.ts for one in records]
        row = Row(number, offset, len(data), min(times), max(times), spans)
        self._extend(row, records)
        return row

    def _extend(self, row: Row, records: list[Held]) -> None:
        for chain, (first, last) in row.spans.items():
            known = self.extents.get(chain, Extent(first, last))
            self.extents[chain] = Extent(
                min(known.first, first), max(known.last, last), known.fresh
            )
        if row.high < self._fresh[0]:
            return
        for one in records:
            extent = self.extents.get(one.chain)
            if extent and not extent.fresh and self._fresh[0] <= one.ts <= self._fresh[1]:
                self.extents[one.chain] = extent._replace(fresh=one.seq)

    # Reading parts of it again.

    def _stop(self, start: int, end: int) -> int:
        """Where the piece that begins at ``start`` ends."""
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
        """The time of the first record from ``start`` on; any before ``stop`` will do."""
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
        records: list[Held] = []
        size = 0
        for row in self._by_time.covering(start, stop - 1):
            inside = [one for one in self._block(row).records if start <= one.ts < stop]
            records += inside
            size += sum(len(one.line) for one in inside)
            if size > 4 * WINDOW and stop - start > 1:
                # Blocks that reach far back, one over the other.
                middle = start + (stop - start) // 2
                records.clear()
                yield from self._window(start, middle)
                yield from self._window(middle, stop)
                return
        records.sort(key=lambda one: one.ts)
        yield Window(start, stop, records)

    def _at(self, chain: str, seq: int) -> list[Held]:
        return [
            one
            for row in self._by_seq(chain).covering(seq, seq)
            for one in self._block(row).by_seq.get((chain, seq), ())
        ]

    @property
    def _by_time(self) -> Ranges:
        if self._times is None:
            self._times = Ranges((row.low, row.high, row) for row in self._rows)
        return self._times

    def _by_seq(self, chain: str) -> Ranges:
        if chain not in self._places:
            rows = (row for row in self._rows if chain in row.spans)
            self._places[chain] = Ranges((*row.spans[chain], row) for row in rows)
        return self._places[chain]

    def _block(self, row: Row) -> Block:
        key = row.file, row.offset
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = Block(self._read(row.file, row.offset, row.size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return block

    def _read(self, number: int, offset: int, size: int) -> bytes:
        file = self._files[number]
        if file.packed:
            return self._stream.read(file, offset, size)
        with file.opened() as descriptor:
            return os.pread(descriptor, size, offset)
