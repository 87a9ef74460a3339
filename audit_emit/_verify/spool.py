"""Small rows of bytes: in memory while they are few, in a temporary file beyond that.

A log may have millions of checkpoints, and a forged log any number. What a verifier keeps of each
is written here, so that its memory is bounded.
"""

from __future__ import annotations

import os
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice, pairwise
from typing import IO, overload

PAGE = 16 * 1024
"""Bytes of a page, the unit in which the file is read."""

_KEEP = 16 * PAGE
"""Bytes that wait in memory to be written."""

_PAGES = 16
"""How many pages are cached."""

_RUN = 32 * 1024
"""How many rows are sorted in memory at a time."""


class Spool:
    """Bytes that are appended, and read at any place."""

    def __init__(self) -> None:
        self._new = bytearray()
        self._file: IO[bytes] | None = None
        self._written = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def __len__(self) -> int:
        return self._written + len(self._new)

    def append(self, data: bytes) -> int:
        """Where the data begins.

        Raises:
            OSError: there is no room for a temporary file.
        """
        at = len(self)
        self._new += data
        if len(self._new) >= _KEEP:
            self._write(len(self._new) // PAGE * PAGE)
        return at

    def _write(self, size: int) -> None:
        if self._file is None:
            import tempfile  # noqa: PLC0415 - few logs have so many checkpoints

            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as this lives
            weakref.finalize(self, self._file.close)
        with memoryview(self._new) as view:
            done = 0
            while done < size:
                done += self._file.write(view[done:size]) or 0
        del self._new[:size]
        self._written += size

    def read(self, at: int, size: int) -> bytes:
        """``size`` bytes from a place on, all of which were appended."""
        if at >= self._written:
            return bytes(self._new[at - self._written : at - self._written + size])
        number, begin = divmod(at, PAGE)
        data = self._page(number)[begin : begin + size]
        return data if len(data) == size else data + self.read(at + len(data), size - len(data))

    def chunks(self, begin: int, end: int, size: int) -> Iterator[bytes]:
        """The bytes between two places, ``size`` at a time; they are not cached."""
        for at in range(begin, end, size):
            stop = min(at + size, end)
            stored = max(min(stop, self._written) - at, 0)
            data = os.pread(self._file.fileno(), stored, at) if self._file and stored else b""
            yield data + self.read(at + stored, stop - at - stored)

    def _page(self, number: int) -> bytes:
        found = self._pages.get(number)
        if found is None:
            if self._file is None:
                return b""
            # pread, as forked processes share the file position.
            found = os.pread(self._file.fileno(), PAGE, number * PAGE)
            self._pages[number] = found
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return found


class Rows:
    """Records of one width, by their number."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._spool = Spool()

    def __len__(self) -> int:
        return len(self._spool) // self._width

    def append(self, row: bytes) -> None:
        """Add a row."""
        self._spool.append(row)

    def __getitem__(self, number: int) -> bytes:
        return self._spool.read(number * self._width, self._width)

    def __iter__(self) -> Iterator[bytes]:
        return map(self.__getitem__, range(len(self)))

    def many(self, first: int, count: int) -> bytes:
        """``count`` rows from one on, or fewer at the end."""
        count = min(count, len(self) - first)
        return self._spool.read(first * self._width, count * self._width)


class Sorted:
    """Records of one width, in ascending order, each with its number there.

    Args:
        width: bytes of a record.
        rows: in ascending order.
    """

    def __init__(self, width: int, rows: Iterable[bytes]) -> None:
        self._width = width
        self._rows = Rows(width)
        self._stride = max(PAGE // width, 1)
        self._firsts: list[bytes] = []
        self._part = -1
        self._data = b""
        for number, row in enumerate(rows):
            if not number % self._stride:
                self._firsts.append(row)
            self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> bytes:
        part, row = divmod(number, self._stride)
        if part != self._part:
            self._part, self._data = part, self._rows.many(part * self._stride, self._stride)
        return self._data[row * self._width : (row + 1) * self._width]

    def find(self, key: bytes) -> int:
        """The number of the first record that is not below ``key``."""
        part = max(bisect_right(self._firsts, key) - 1, 0)
        low = part * self._stride
        return bisect_left(self, key, low, min(low + self._stride, len(self)))

    def starting_with(self, key: bytes) -> Iterator[bytes]:
        """The records that begin with ``key``."""
        for number in range(self.find(key), len(self)):
            row = self[number]
            if not row.startswith(key):
                return
            yield row


def in_order(rows: Iterable[bytes]) -> Iterator[bytes]:
    """The same records, of one width, in ascending order; sorted in runs, which are merged."""
    rows = iter(rows)
    spool, ends, width = Spool(), [0], 1
    while run := sorted(islice(rows, _RUN)):
        if len(run) < _RUN and len(ends) == 1:
            return iter(run)
        width = len(run[0])
        spool.append(b"".join(run))
        ends.append(len(spool))
    return merge(*(_rows(spool, *places, width) for places in pairwise(ends)))


def _rows(spool: Spool, begin: int, end: int, width: int) -> Iterator[bytes]:
    for chunk in spool.chunks(begin, end, max(PAGE // width, 1) * width):
        for at in range(0, len(chunk), width):
            yield chunk[at : at + width]


def distinct(rows: Iterable[bytes]) -> int:
    """How many different records there are, all of one width."""
    count, last = 0, b""
    for row in in_order(rows):
        count += row != last
        last = row
    return count


class Numbers(Sequence[int]):
    """Numbers in ascending order, without duplicates; forked processes can read them, too.

    Args:
        numbers: in ascending order.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._rows = Rows(8)
        last = -1
        for number in numbers:
            if number > last:
                self._rows.append(number.to_bytes(8, "big"))
                last = number

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> array[int]: ...

    def __getitem__(self, index: int | slice) -> int | array[int]:
        if isinstance(index, slice):
            return array("Q", (self[each] for each in range(*index.indices(len(self)))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return int.from_bytes(self._rows[index % len(self)], "big")

    def __reduce__(self) -> tuple[type[array[int]], tuple[str, bytes]]:
        """As an array, for processes that were not forked."""
        return array, ("Q", self[:].tobytes())
