"""Where in a file the record with a number is: found by halving, as ``seq`` only grows in a log.

A file in which somebody put lines elsewhere may hide them from this; ``verify`` reports those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from audit_emit._files.lines import MAX_LINE
from audit_emit.record import head_of

_WINDOW = 64 * 1024
_ENOUGH = 256 * 1024
"""Bytes that are read as a whole; a record has at most 64 KiB."""


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
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            head = None if skipping else head_of(line)
            if head is not None and begin < end:
                yield Found(begin, line, head.seq)
            skipping = False
            begin += len(line) + 1
        if len(rest) > MAX_LINE:
            # No record is that long: the rest of it is passed over.
            begin, rest, skipping = position, b"", True
