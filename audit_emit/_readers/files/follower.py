"""Lines of a log that somebody else is writing: the last ones, and the ones still to come.

Lines come as bytes without their newline. Memory is bounded whatever the file holds: of a line
longer than ``MAX_LINE`` only the beginning is kept.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from audit_emit._format.line_splitter import CroppedLines
from audit_emit._readers.files.plain_lines import BLOCK
from audit_emit._stores.jsonl.directory import Layout

MARK = 64
"""Bytes before a place by which it is recognised: the end of a record, so its hash."""


class Follower:
    """Continues to read a file that grows, across rotation, truncation and deletion.

    A file that was truncated in place (logrotate's ``copytruncate``) is recognised by the bytes
    before the last read place, even if it is longer again by then. What it held beyond that place
    is read from the copy, if that is in the same directory.

    Args:
        path: the active file; it may come and go.
        fd: the file that is open now, or ``None`` to wait for one. The follower closes it.
        position: where to read on.
        cut: called when the file was truncated: with the copy, or with ``None`` without one.
    """

    def __init__(
        self,
        path: Path,
        fd: int | None,
        position: int,
        cut: Callable[[Path | None], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._fd = fd
        self.position = position
        self._lines = CroppedLines()
        self._cut = cut
        self._mark = b""
        if fd is not None and position:
            self._mark = _before(fd, position)

    def poll(self) -> Iterator[bytes]:
        """The lines that are complete by now. A rotated file is read to its end first."""
        yield from self._drain()
        successor = self._successor()
        if successor is None:
            return
        # The writer may have appended between our last read and its rename.
        yield from self._drain()
        yield from filter(None, [self._lines.take()])
        skipped = self._skipped(successor)
        self._replace(successor)
        for path in skipped:
            yield from _whole(path)
        yield from self._drain()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _drain(self) -> Iterator[bytes]:
        while self._fd is not None:
            mark = self._mark
            data = os.pread(self._fd, len(mark) + BLOCK, self.position - len(mark))
            if not data.startswith(mark):
                yield from self._cut_off()
            elif len(data) == len(mark):
                return
            else:
                yield from self._split(data[len(mark) :])
                self._mark = data[-MARK:]

    def _split(self, chunk: bytes) -> Iterator[bytes]:
        self.position += len(chunk)
        yield from self._lines.feed(chunk)

    def _cut_off(self) -> Iterator[bytes]:
        """What a copy holds beyond our place; then from the beginning."""
        copy = self._copy()
        self._cut(copy)
        if copy is not None:
            try:
                with copy.open("rb") as file:
                    file.seek(self.position)
                    while chunk := file.read(BLOCK):
                        yield from self._split(chunk)
            except OSError:
                self._cut(None)  # it is gone again
            yield from filter(None, [self._lines.take()])
        self.position, self._lines, self._mark = 0, CroppedLines(), b""

    def _copy(self) -> Path | None:
        """The newest file beside ours that has our last bytes where we have read them."""
        found: list[tuple[int, Path]] = []
        for path in self.path.parent.glob(f"{glob.escape(self.path.stem)}*"):
            try:
                state = path.lstat()
                if not stat.S_ISREG(state.st_mode) or path.name == self.path.name:
                    continue
                with path.open("rb") as file:
                    if _before(file.fileno(), self.position) == self._mark:
                        found.append((state.st_mtime_ns, path))
            except OSError:
                continue
        return max(found)[1] if found else None

    def _successor(self) -> int | None:
        """A descriptor of what is at the path now, if that is not the file that is open."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None  # between a rename and a create; the next poll looks again
        if self._fd is not None and os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
            os.close(fd)
            return None
        return fd

    def _skipped(self, successor: int) -> list[Path]:
        """The segments written and closed since the last poll: after ours, before the successor."""
        if self._fd is None:
            return []
        ours, newest = os.fstat(self._fd), os.fstat(successor)
        after: list[Path] | None = None
        for path in map(Path, Layout.of(str(self.path)).closed_segments()):
            state = path.stat()
            if os.path.samestat(state, newest):
                break
            if after is not None:
                after.append(path)
            elif os.path.samestat(state, ours):
                after = []
        return after or []

    def _replace(self, fd: int) -> None:
        self.close()
        self._fd, self.position, self._lines, self._mark = fd, 0, CroppedLines(), b""


def _before(fd: int, position: int) -> bytes:
    """The bytes by which a place in a file is known again."""
    size = min(MARK, position)
    return os.pread(fd, size, position - size)


def _whole(path: Path) -> Iterator[bytes]:
    lines = CroppedLines()
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            yield from lines.feed(data)
    yield from filter(None, [lines.take()])
