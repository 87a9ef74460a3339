"""Where in a file the record with a number is: found by halving, as ``seq`` only grows in a log.

A file in which somebody put lines elsewhere may hide them from this; ``verify`` reports those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from audit_emit._format.line_splitter import MAX_LINE, line_end, lines_end, may_be_chained
from audit_emit._format.record import head_of

_WINDOW = 64 * 1024
_ENOUGH = 64 * 1024
"""Bytes that are read as a whole: about as many as are read for one step."""


class Found(NamedTuple):
    """A record with its place in the file.

    Attributes:
        offset: of its first byte.
        line: without its newline.
        seq: its number.
    """

    offset: int
    line: bytes
    seq: int


def find_seq(descriptor: int, size: int, seq: int) -> Found | None:
    """The record with this number; ``None`` where it should be there is none.

    Args:
        descriptor: a file that can be read at any place.
        size: bytes of it to look at.

    Raises:
        OSError: it cannot be read.
    """
    low, high = 0, size
    while high - low > _ENOUGH:
        middle = (low + high) // 2
        found = next(_records(descriptor, middle, high), None)
        if found is None or found.seq > seq:
            high = middle
        elif found.seq == seq:
            return found
        else:
            low = found.offset
    for found in _records(descriptor, low, high):
        if found.seq >= seq:
            return found if found.seq == seq else None
    return None


def _records(descriptor: int, at: int, end: int) -> Iterator[Found]:
    """The records that begin from ``at`` on and before ``end``."""
    begin = max(0, at - 1)  # what begins at ``at`` has a newline before it
    position, rest, skipping = begin, b"", at > 0
    while begin < end and (data := os.pread(descriptor, _WINDOW, position)):
        position += len(data)
        data = rest + data
        if skipping:
            first = line_end(data)
            data, begin, skipping = data[first:], begin + first, not first
        cut = 0 if skipping else lines_end(data)
        for stop, line in may_be_chained(data[:cut]):
            offset = begin + stop - len(line) - 1
            head = head_of(line)
            if head is not None and offset < end:
                yield Found(offset, line, head.seq)
        begin, rest = begin + cut, data[cut:]
        if skipping or len(rest) > MAX_LINE:
            # No record is that long: the rest of it is passed over.
            begin, rest, skipping = position, b"", True


def last_record(descriptor: int, size: int) -> Found | None:
    """The last record in a file, whatever follows it.

    Args:
        size: bytes of the file to look at.

    Raises:
        OSError: it cannot be read.
    """
    position, rest = size, b""
    while position > 0:
        start = max(0, position - _WINDOW)
        data = os.pread(descriptor, position - start, start) + rest
        cut = line_end(data) if start else 0
        whole = data[cut : lines_end(data)]
        for stop, line in reversed(list(may_be_chained(whole))):
            head = head_of(line)
            if head is not None:
                return Found(start + cut + stop - len(line) - 1, line, head.seq)
        # The line that goes on before the window; of one that is too long its end suffices.
        position, rest = start, data[:cut] or data
        if len(rest) > MAX_LINE:
            rest = rest[-1:]
    return None
