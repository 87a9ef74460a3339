"""The lines of a plain file, from either end. Memory is bounded, whatever the file holds."""

from __future__ import annotations

import os
from collections.abc import Iterator

from audit_emit._format.line_splitter import MAX_LINE, CroppedLines, lines_end, split_lines

BLOCK = 64 * 1024


def forward(descriptor: int, begin: int, end: int, longest: int = MAX_LINE) -> Iterator[bytes]:
    """The lines between two offsets, each of which is just after a newline, or 0.

    Args:
        descriptor: of a file; its position is neither used nor moved.
        longest: of a longer line only this many bytes are given, its first ones.
    """
    lines = CroppedLines(longest)
    while begin < end and (data := os.pread(descriptor, min(BLOCK, end - begin), begin)):
        begin += len(data)
        yield from lines.feed(data)


def backward(descriptor: int, end: int, longest: int = MAX_LINE) -> Iterator[bytes]:
    """The lines before ``end``, the last one first; with or without a newline at the end.

    Args:
        descriptor, longest: as of ``forward``.
    """
    if end <= 0:
        return
    position = end - (os.pread(descriptor, 1, end - 1) == b"\n")
    kept = b""
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        data = os.pread(descriptor, size, position) + kept + b"\n"
        first, *rest = split_lines(data)
        yield from (line[:longest] for line in reversed(rest))
        kept = first[:longest]
    yield kept


def complete_end(descriptor: int) -> int:
    """The offset just after the last newline: what follows is a line still being written."""
    position = os.fstat(descriptor).st_size
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        end = lines_end(os.pread(descriptor, size, position))
        if end:
            return position + end
    return 0
