"""The bytes of one file of a log in its order, plain or packed, or from standard input."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Self

from audit_emit._format.line_splitter import MAX_LINE, Lines, TooLong, line_end, lines_end
from audit_emit._readers.files.logfiles import BLOCK, LogFile
from audit_emit._readers.files.packing import unpacked


class Stream:
    """Reads a file up to the size that it had when it was looked at; a packed one only forward.

    Reading raises what ``broken()`` names where a packed file is damaged.
    """

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.inside_line = False
        """Whether what was read so far ends inside a line."""
        self._stack = ExitStack()
        self._descriptor = -1
        self._packed: IO[bytes] | None = None
        self._position = 0
        self._rest = b""

    def __enter__(self) -> Self:
        if self.file.fetch is None:
            self._open()
        return self

    def _open(self) -> int:
        """The descriptor; of a file that is kept elsewhere only when something is read of it."""
        if self._descriptor < 0:
            self._descriptor = self._stack.enter_context(self.file.opened())
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def may_grow(self) -> bool:
        """Whether somebody may be writing it, and all of it is wanted."""
        return self.file.size >= 0 and not self.file.packed and self.file.end < 0

    def idle_seconds(self) -> float:
        """For how long nothing was written to the file; below 0 where a clock was set back."""
        return time.time() - os.fstat(self._descriptor).st_mtime

    def read(self, position: int, end: int = sys.maxsize) -> bytes:
        """The next whole lines; a part of a line where that is too long; empty at the end.

        Args:
            position: where the last ones ended; or further on.
            end: where to end, just after a line.
        """
        if self.file.size >= 0 and not self.file.packed:
            size = min(BLOCK, min(end, self.file.size) - position)
            data = os.pread(self._descriptor, size, position) if size > 0 else b""
            # The beginning of an incomplete line is read again with the next block.
            data = data[: lines_end(data)] or data
        else:
            data = self._forward(position, end)
        if data:
            self.inside_line = not data.endswith(b"\n")
        return data

    def at(self, position: int, size: int) -> bytes:
        """``size`` bytes from a place on."""
        if not self.file.packed:
            data = os.pread(self._descriptor, size, position)
        else:
            self._go_to(position)
            data = self._next(size)
        if data:
            self.inside_line = not data.endswith(b"\n")
        return data

    def more(self, position: int) -> bytes:
        """The rest of a line that was incomplete, as far as it has been written since."""
        data = os.pread(self._descriptor, BLOCK, position)
        data = data[: line_end(data)] or data
        if data:
            self.inside_line = not data.endswith(b"\n")
        return data

    def _forward(self, position: int, end: int) -> bytes:
        """Whole lines of a stream that can only be read forward."""
        if self.file.packed:
            self._go_to(position + len(self._rest))
        end = min(end, self.file.end) if self.file.end >= 0 else end
        left = end - self._position if self.file.packed else sys.maxsize
        parts = [self._rest]
        size = len(self._rest)
        while size <= MAX_LINE and (data := self._next(min(BLOCK, left))):
            left -= len(data)
            cut = lines_end(data)
            if cut:
                self._rest = data[cut:]
                return b"".join(parts) + data[:cut]
            parts.append(data)
            size += len(data)
        self._rest = b""
        return b"".join(parts)

    def _go_to(self, position: int) -> None:
        while self._position < position and self._next(min(BLOCK, position - self._position)):
            pass

    def _next(self, size: int) -> bytes:
        if self.file.size < 0:
            return os.read(self._descriptor, size)
        if self._packed is None:
            self._packed = self._stack.enter_context(unpacked(self.file, self._open()))
        parts = []
        while size > 0 and (data := self._packed.read(size)):
            parts.append(data)
            size -= len(data)
            self._position += len(data)
        return b"".join(parts)


def whole_lines(
    stream: Stream, begin: int = 0, end: int = sys.maxsize
) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines that may be records, and where they begin.

    Args:
        begin, end: where to read, both just after a line.
    """
    lines, position, start = Lines(), begin, begin
    while data := stream.read(position, end):
        position += len(data)
        for block in lines.feed(data):
            if isinstance(block, TooLong):
                start += block.size + 1
                continue
            yield start, block
            start += len(block)
