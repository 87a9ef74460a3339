"""An index of times: which parts of a file can hold records of a time, so that others are skipped.

Records are in the order of ``seq``, not of ``ts``: clocks step back, and records that had to wait
keep their own time. So the times at the ends of a part do not bound those within it. Each file is
read once, and a row for each 8 MiB has the earliest and the latest time in it. Parts with lines
that may be no records have no times, and are always read.

The rows are kept in a directory that only this user can write. They are used as long as the file is
unchanged or has only grown, which is seen from its change time and the last record of the rows.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from typing import NamedTuple

import msgspec

from audit_emit._format.block import ERRORS, SHAPE
from audit_emit._format.line_splitter import Lines, ended_lines
from audit_emit._readers.files.cache_directory import private_directory
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._readers.files.unpacked import Unpacked

BLOCK = 1 << 20
ROW = 8 * BLOCK
_MARK = 96
"""Bytes before the end of the rows by which that place is recognised: they have a record's hash."""

_HEAD = slice(len('{"ts":"2026-05-19T20:00:00.123456789Z'))
_TS = slice(len('{"ts":"'), len('{"ts":"') + 30)
_TIMES = re.compile(
    rb'(?:\{"ts":"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z)+'
)
_SHORTEST = len('{"ts":"2026-05-19T20:00:00.123456789Z","event_type":"a","v":1}')
_FILES = 10_000
"""How many files are remembered, including those that are gone."""

_RACY = 2 * 10**9
"""Nanoseconds within which a file can be changed again without another change time."""


class Row(NamedTuple):
    """A part of a file, of whole lines.

    Attributes:
        begin, end: its first byte and the one after its last.
        low, high: the earliest and the latest ``ts`` in it; empty where something in it may be no
            record.
    """

    begin: int
    end: int
    low: str
    high: str

    def within(self, since: str, until: str) -> bool:
        """Whether it may hold what is from ``since`` on and before ``until`` (if there is one)."""
        if not self.low:
            return True
        return self.high >= since and (not until or self.low < until)


class _Known(msgspec.Struct, array_like=True):
    size: int
    changed: int
    mark: bytes
    rows: list[tuple[int, int, str, str]]


_Kept = dict[str, _Known]
_DECODER = msgspec.msgpack.Decoder(_Kept)


class Times:
    """The rows of the files of one log.

    Args:
        directory: of the log.
    """

    def __init__(self, directory: str) -> None:
        self._path = ""
        self._known: _Kept = {}
        self._used: _Kept = {}
        with suppress(OSError, *ERRORS):
            self._path = os.path.join(private_directory(directory or "."), "times")
            with open(self._path, "rb") as file:
                self._known = _DECODER.decode(file.read())

    def rows(self, file: LogFile) -> list[Row]:
        """All rows of a regular file, up to the end of its last whole line.

        Raises:
            OSError: it cannot be read.
        """
        with file.opened() as descriptor:
            found = os.fstat(descriptor)
            name = f"{found.st_dev}:{found.st_ino}"
            known = self._valid(self._known.get(name), file, found, descriptor)
            rows = [Row(*row) for row in known.rows] if known is not None else []
            if known is None or found.st_size != known.size:
                if rows and rows[-1].end - rows[-1].begin < ROW:
                    begin = rows.pop().begin
                else:
                    begin = rows[-1].end if rows else 0
                rows += _scanned(file, descriptor, begin)
            racy = time.time_ns() - found.st_ctime_ns < _RACY
            changed = 0 if racy else found.st_ctime_ns
            mark = b"" if file.packed else _mark(descriptor, rows[-1].end if rows else 0)
            kept = [(row.begin, row.end, row.low, row.high) for row in rows]
            self._used[name] = _Known(found.st_size, changed, mark, kept)
        return rows

    def _valid(
        self, known: _Known | None, file: LogFile, found: os.stat_result, descriptor: int
    ) -> _Known | None:
        if known is None:
            return None
        if (known.size, known.changed) == (found.st_size, found.st_ctime_ns):
            return known
        if file.packed or found.st_size <= known.size or not known.rows:
            return None
        place = known.rows[-1][1] - len(known.mark)
        return known if os.pread(descriptor, len(known.mark), place) == known.mark else None

    def save(self) -> None:
        """Keep the rows for the next time; where that is not possible they are made again."""
        kept = {**self._known, **self._used}
        if not self._path or kept == self._known:
            return
        fresh = f"{self._path}.{os.getpid()}"
        with suppress(OSError):
            with open(fresh, "wb") as file:
                file.write(msgspec.msgpack.encode(kept if len(kept) <= _FILES else self._used))
            os.replace(fresh, self._path)


def _mark(descriptor: int, end: int) -> bytes:
    size = min(_MARK, end)
    return os.pread(descriptor, size, end - size)


def _scanned(file: LogFile, descriptor: int, begin: int) -> Iterator[Row]:
    """The rows from a place on, made by reading the file."""
    lines, end, low, high, plain = Lines(), begin, "", "", True
    for data in _read(file, descriptor, begin):
        for block in lines.feed(data):
            whole = isinstance(block, bytes)
            span = span_of(block) if isinstance(block, bytes) else None
            end += len(block) if whole else block.size + 1  # type: ignore[union-attr]
            if span is None:
                plain = False
            else:
                low, high = min(low or span[0], span[0]), max(high, span[1])
            if end - begin >= ROW:
                yield Row(begin, end, *((low, high) if plain else ("", "")))
                begin, low, high, plain = end, "", "", True
    if end > begin:
        yield Row(begin, end, *((low, high) if plain else ("", "")))


def _read(file: LogFile, descriptor: int, position: int) -> Iterator[bytes]:
    if file.packed:
        stream = Unpacked()
        try:
            while data := stream.read(file, position, BLOCK):
                position += len(data)
                yield data
        finally:
            stream.close()
        return
    while data := os.pread(descriptor, BLOCK, position):
        position += len(data)
        yield data


def span_of(block: bytes) -> tuple[str, str] | None:
    """The earliest and the latest ``ts`` in a block of whole lines, if all of them are records."""
    if block.count(b"\n") * _SHORTEST > len(block):
        return None
    lines = ended_lines(block)
    if not _TIMES.fullmatch(b"".join(map(itemgetter(_HEAD), lines))):
        return None
    try:
        if len(SHAPE.decode_lines(block)) != len(lines):
            return None
    except ERRORS:
        return None
    return min(lines)[_TS].decode(), max(lines)[_TS].decode()
