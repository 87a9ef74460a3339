"""One pass over the files of a log that notes, per block, which times and numbers are in it.

The position of a record in the files follows from its number and not from its time: clocks step
back, and a record that had to wait keeps the time of its event. So all files are read once. A row
for each block (some hundred bytes for a mebibyte of log) then says which times and which parts of
which chains are in it, and later only the blocks that are needed are read again.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from audit_emit._format.line_splitter import Lines, TooLong, split_lines, whole_lines
from audit_emit._loki.labels import service_of
from audit_emit._loki.records import Extent, LoggedRecord, parse_record
from audit_emit._readers.files.logfiles import LogFile, open_log
from audit_emit._readers.files.unpacked import Unpacked
from audit_emit._runtime.lazy import lazy_attribute
from audit_emit._stores.jsonl.directory import Layout

BLOCK = 1 << 20
"""Bytes of a block."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""


class Row(NamedTuple):
    """One block of whole lines.

    Attributes:
        file: the number of the file, in the order in which the files were found.
        offset, size: where the block is in the (unpacked) file, in bytes.
        low, high: the earliest and the latest time in it, in nanoseconds since 1970.
        spans: for each chain in it, the lowest and the highest ``seq``.
    """

    file: int
    offset: int
    size: int
    low: int
    high: int
    spans: dict[str, tuple[int, int]]


class Ranges:
    """Finds rows by ranges of values, which may overlap.

    Args:
        items: the lowest and the highest value of each row, and the row.
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
        """Earliest time and size in bytes of each row that begins between the two values."""
        for _, _, row in self._items[bisect_left(self.lows, low) : bisect_right(self.lows, high)]:
            yield row.low, row.size


class Block:
    """The records of one block, and the size of its other lines.

    Args:
        data: whole lines, with their newlines.
    """

    def __init__(self, data: bytes) -> None:
        lines = split_lines(data)
        found = [parse_record(line) for line in lines]
        self.records = [one for one in found if one is not None]
        self.foreign = sum(
            len(line) + 1 for line, one in zip(lines, found, strict=True) if one is None
        )

    @lazy_attribute
    def by_seq(self) -> dict[tuple[str, int], list[LoggedRecord]]:
        """The chained records by chain and number; several share one only after tampering."""
        places: dict[tuple[str, int], list[LoggedRecord]] = {}
        for one in self.records:
            if one.chain:
                places.setdefault((one.chain, one.seq), []).append(one)
        return places

    @lazy_attribute
    def by_time(self) -> list[LoggedRecord]:
        """All records, the earliest first."""
        return sorted(self.records, key=lambda one: one.ts)


class LogScan:
    """The files of one or more logs, and the rows of their blocks.

    Args:
        layouts: where the logs are.
        away: segments that are in an archive.
        fresh: the first and the last time at which a record was written so recently that it may
            still be on its way to Loki.

    Attributes:
        files: the open files, in the order in which they were found.
        rows: one for each block that holds records.
        extents: what the log holds of each chain.
        services: the ``service`` labels of the records.
        strange: the number of lines that are not records, which the pipeline sets aside.
    """

    def __init__(
        self, layouts: Sequence[Layout], fresh: tuple[int, int], away: Sequence[LogFile] = ()
    ) -> None:
        self.files: list[LogFile] = []
        self.rows: list[Row] = []
        self.extents: dict[str, Extent] = {}
        self.services: set[str] = set()
        self.strange: int = 0
        self._layouts = layouts
        self._away = away
        self._fresh = fresh
        self._foreign: Counter[int] = Counter()
        self._torn: dict[int, int] = {}
        self._scanned: dict[tuple[int, int], tuple[int, int]] = {}
        self._seen: list[tuple[int, int, int]] = []
        self._stream = Unpacked()

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self.files)

    def close(self) -> None:
        """Close all files."""
        self._stream.close()
        for file in self.files:
            file.close()

    def closed_segments(self) -> list[tuple[str, list[Row], int]]:
        """The closed segments, oldest first: path, rows, and bytes that are not records."""
        active = {layout.active for layout in self._layouts}
        rows: dict[int, list[Row]] = {}
        for row in self.rows:
            rows.setdefault(row.file, []).append(row)
        return [
            (file.path, rows.get(number, []), self._foreign[number] + self._torn.get(number, 0))
            for number, file in enumerate(self.files)
            if file.path not in active
        ]

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a file, unpacked.

        Raises:
            OSError: the file cannot be read.
        """
        file = self.files[number]
        if file.packed:
            return self._stream.read(file, offset, size)
        with file.opened() as descriptor:
            return os.pread(descriptor, size, offset)

    def has_grown(self) -> bool:
        """Whether an active segment has changed since the last ``update``; cheap."""
        return self._state() != self._seen

    def update(self, progress: Progress | None) -> None:
        """Read what was added to the files since the last call.

        Raises:
            OSError: a file cannot be read.
            UnsupportedError: a file is packed in a way that cannot be read here.
        """
        self._seen = self._state()
        logs = [open_log(layout, layout.directory) for layout in self._layouts]
        found = [*self._away, *(file for log in logs for file in log.files)]
        total = sum(max(file.size, 0) for file in found)
        done = 0
        for file in found:
            number, position = self._scanned.get(file.identity, (len(self.files), 0))
            if number == len(self.files):
                self.files.append(file)
            elif self.files[number].descriptor < 0:
                self.files[number] = file
            else:
                file.close()
            for row, end in self._new_rows(number, position):
                if row is not None:
                    self.rows.append(row)
                self._scanned[file.identity] = number, end
                if progress is not None:
                    progress(done + min(end, file.size), total)
            done += max(file.size, 0)

    def _state(self) -> list[tuple[int, int, int]]:
        """Device, inode and size of the active segments."""
        found = []
        for layout in self._layouts:
            try:
                state = os.stat(layout.active)
            except FileNotFoundError:
                continue
            found.append((state.st_dev, state.st_ino, state.st_size))
        return found

    def _new_rows(self, number: int, position: int) -> Iterator[tuple[Row | None, int]]:
        """The rows from ``position`` on, each with the offset at which its block ends."""
        lines = Lines(longest=BLOCK)
        for part, end in whole_lines(lines, partial(self.read, number), position, BLOCK):
            if isinstance(part, TooLong):
                self.strange += 1
                self._foreign[number] += part.size + 1
                yield None, end
            else:
                yield self._row(number, end - len(part), part), end
        self._torn[number] = lines.rest()[1]  # or a line that is still being written

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

    def _extend(self, row: Row, records: list[LoggedRecord]) -> None:
        """Add a row to what is known of the chains in it."""
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
