"""The segments of a log in order, for reading. At most one closed segment is open at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from audit_emit._format.line_splitter import Lines, whole_lines
from audit_emit._readers.files.regular import open_regular
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

CHUNK = 64 * 1024
"""Bytes read at a time; between two reads other threads can run."""


class Segments:
    """All segments of a log, oldest first, as they were when this object was made.

    A log may have thousands of segments, and a process may have few descriptors. So only the active
    segment stays open. Closed segments keep their names, and are opened when they are read.

    Args:
        layout: where the log is.

    Raises:
        OSError: the directory, or the active segment, cannot be read.
    """

    def __init__(self, layout: Layout) -> None:
        self._active: int | None = None
        try:
            self._active = open_regular(layout.active)
        except FileNotFoundError:
            pass
        try:
            self._closed = layout.closed_segments()
            self._leave_out(layout)
        except BaseException:
            self.close()
            raise

    def _leave_out(self, layout: Layout) -> None:
        """Remove the active segment from the list of closed ones.

        It is in both if a rotation happened between opening it and listing the directory.
        """
        if self._active is None:
            return
        here = os.fstat(self._active)
        try:
            if os.path.samestat(os.stat(layout.active, follow_symlinks=False), here):
                return
        except FileNotFoundError:
            pass
        for position, name in enumerate(self._closed):
            try:
                found = os.stat(name, follow_symlinks=False)
            except FileNotFoundError:
                continue  # an error is raised when it is read
            if os.path.samestat(found, here):
                del self._closed[position:]
                return

    def __len__(self) -> int:
        return len(self._closed) + (self._active is not None)

    @contextmanager
    def opened(self, number: int) -> Iterator[int]:
        """A descriptor of a segment, for the duration of a ``with`` block.

        Raises:
            CheckpointError: the segment has been removed.
            OSError: it cannot be read.
        """
        if number == len(self._closed) and self._active is not None:
            yield self._active
            return
        try:
            descriptor = open_regular(self._closed[number])
        except FileNotFoundError:
            raise CheckpointError(
                "missing-segment", "a segment went away while it was read"
            ) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the active segment."""
        if self._active is not None:
            os.close(self._active)
            self._active = None


@contextmanager
def open_segments(layout: Layout) -> Iterator[Segments]:
    """The segments of a log, closed when the block ends.

    Raises:
        OSError: the directory, or the active segment, cannot be read.
    """
    segments = Segments(layout)
    try:
        yield segments
    finally:
        segments.close()


def blocks(descriptor: int, offset: int, size: int = CHUNK) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole lines from ``offset`` on, each with the offset at which it ends.

    An incomplete line at the end is left out, and so are lines longer than ``MAX_LINE``.

    Args:
        descriptor: of the file.
        offset: where to begin.
        size: bytes read at a time.
    """

    def read(at: int, length: int) -> bytes:
        return os.pread(descriptor, length, at)

    for part, end in whole_lines(Lines(), read, offset, size):
        if isinstance(part, bytes):
            yield part, end
