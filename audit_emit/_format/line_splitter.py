"""Splits bytes that arrive in pieces of any length into whole lines. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

from audit_emit._format.link import HASH

MAX_LINE = 1024 * 1024
"""Bytes of the longest line that is kept; a record has at most 64 KiB."""


def ended_lines(block: bytes) -> list[bytes]:
    """The lines of a block of whole lines, with their newlines."""
    return BytesIO(block).readlines()  # faster than split()


def split_lines(block: bytes) -> list[bytes]:
    """The lines of a block, without their newlines; bytes after the last newline are left out."""
    lines = [line[:-1] for line in BytesIO(block)]
    if not block.endswith(b"\n"):
        del lines[-1:]
    return lines


def first_lines(block: bytes, most: int) -> list[bytes]:
    """The first lines of a block of whole lines, without their newlines.

    Args:
        most: how many, at most.
    """
    return [line[:-1] for line in islice(BytesIO(block), max(most, 0))]


def last_line(data: bytes) -> bytes:
    """The last line that ends with a newline, without it; empty where there is none."""
    return data[: max(data.rfind(b"\n"), 0)].rpartition(b"\n")[2]


def line_end(data: bytes, start: int = 0) -> int:
    """The end of the line that has the byte at ``start``, newline included; 0 without a newline."""
    return data.find(b"\n", start) + 1


def lines_end(data: bytes, stop: int = sys.maxsize) -> int:
    """The end of the last line that ends before ``stop``, newline included; 0 where none does."""
    return data.rfind(b"\n", 0, stop) + 1


def line_around(block: bytes, at: int) -> tuple[int, int]:
    """The beginning of the line that has the byte at ``at``, and the place of its newline.

    Args:
        block: whole lines.
        at: a place in the line, its newline included.
    """
    return block.rfind(b"\n", 0, at) + 1, block.index(b"\n", at)


def placed_lines(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a block of whole lines: where each ends, newline included, and the line."""
    end = 0
    for line in BytesIO(block):
        end += len(line)
        yield end, line[:-1]


def may_be_chained(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a block with a ``hash`` member, as every chained record has; without newlines.

    Other lines are skipped by one search for it, however many and short they are.

    Args:
        block: whole lines.

    Returns:
        Where each line ends, newline included, and the line.
    """
    at = block.find(HASH)
    while at >= 0:
        begin, end = line_around(block, at)
        yield end + 1, block[begin:end]
        at = block.find(HASH, end)


class TooLong(NamedTuple):
    """A line that is too long to be kept.

    Attributes:
        size: its bytes, without the newline.
        hashed: the hash object that has taken these bytes.
    """

    size: int
    hashed: Any


class Lines:
    """Splits one file after the other into blocks of whole lines, in bounded memory.

    Args:
        hasher: makes a hash object for a line that is too long to be kept.
        longest: bytes of the longest line that is kept.
    """

    def __init__(self, hasher: Callable[[], Any] = sha256, longest: int = MAX_LINE) -> None:
        self._hasher = hasher
        self._longest = longest
        self._rest: list[bytes] = []
        self._hash: Any = None
        self._size = 0

    @property
    def inside(self) -> bool:
        """Whether the bytes so far end inside a line."""
        return self._size > 0

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Take the next bytes; gives blocks of whole lines, with newlines, and too long lines."""
        cut = lines_end(data)
        if cut and self._size:
            first = line_end(data)
            yield self._close(data[:first])
            data, cut = data[first:], cut - first
        if cut:
            yield data[:cut]
        if cut < len(data):
            self._keep(data[cut:])

    def rest(self) -> tuple[bytes, int]:
        """Take the bytes after the last newline, and their number; begin with another file.

        Of a line that is too long, no bytes are returned, only their number.
        """
        left = b"".join(self._rest), self._size
        self._rest, self._hash, self._size = [], None, 0
        return left

    def _keep(self, data: bytes) -> None:
        self._rest.append(data)
        self._size += len(data)
        if self._size > self._longest:
            if self._hash is None:
                self._hash = self._hasher()
            self._hash.update(b"".join(self._rest))
            self._rest = []

    def _close(self, end: bytes) -> bytes | TooLong:
        hashed = self._hash
        line, size = self.rest()
        if hashed is None and size + len(end) - 1 <= self._longest:
            return line + end
        if hashed is None:
            hashed = self._hasher()
            hashed.update(line)
        hashed.update(end[:-1])
        return TooLong(size + len(end) - 1, hashed)


class CroppedLines:
    """Splits bytes into single lines; of a long line only the first bytes are kept.

    Args:
        longest: how many bytes of a line are kept.
    """

    def __init__(self, longest: int = MAX_LINE) -> None:
        self._longest = longest
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that end in these bytes, without their newline."""
        first, *rest = data.split(b"\n")
        self._kept = (self._kept + first)[: self._longest]
        for following in rest:
            yield self.take()
            self._kept = following

    def take(self) -> bytes:
        """Take the bytes that have no newline yet; the next bytes begin another line."""
        line, self._kept = self._kept, b""
        return line


def whole_lines(
    lines: Lines, read: Callable[[int, int], bytes], offset: int, size: int
) -> Iterator[tuple[bytes | TooLong, int]]:
    """Read blocks of whole lines, each with the offset of its end.

    Args:
        lines: splits the bytes; in the end it holds those that have no newline.
        read: takes an offset and a number of bytes, and reads that many, or fewer at the end.
        offset: where to begin.
        size: bytes to read at a time.
    """
    end = offset
    while data := read(offset, size):
        if not lines.inside:
            # A line that is cut off here is read again: only longer ones are put together.
            data = data[: lines_end(data)] or data
        offset += len(data)
        for part in lines.feed(data):
            end += part.size + 1 if isinstance(part, TooLong) else len(part)
            yield part, end
