"""A log that somebody is writing: its newest lines first, those since a time, and those to come."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from audit_emit._format.line_splitter import CroppedLines
from audit_emit._format.record import head_of
from audit_emit._readers.files.follower import Follower
from audit_emit._readers.files.logfiles import LogFile, in_order, look_at, segment_paths
from audit_emit._readers.files.opening import layout_of
from audit_emit._readers.files.places import find_seq
from audit_emit._readers.files.plain_lines import backward, complete_end, forward
from audit_emit._readers.files.times import Times
from audit_emit._readers.files.unpacked import Unpacked
from audit_emit.errors import NotRegularError

_CLOSED = re.compile(r"-[0-9]{20}[.]")
"""Matches the name of a segment that its writer has closed; others may be copies."""

_BLOCK = 1 << 20


class GrowingLog:
    """The active segment of a log, with the segments that were closed before it.

    Lines come without their newline, as the file has them; of what follows the last newline only
    ``torn`` tells.

    Args:
        where: the directory of the log, or its active segment.
        cut: see ``Follower``.
        wait: it may come into being later.

    Raises:
        FileNotFoundError: it is not there, nor is a closed segment of it.
        NotRegularError: what is there is no file.
        OSError: it cannot be read.
    """

    def __init__(
        self,
        where: str,
        cut: Callable[[Path | None], None] = lambda _: None,
        *,
        wait: bool = False,
    ) -> None:
        self._layout = layout_of(where)
        self._fd = _open(self._layout.active)
        if self._fd is None and not (wait or segment_paths(self._layout)):
            raise FileNotFoundError(errno.ENOENT, "there is no log", where)
        end = complete_end(self._fd) if self._fd is not None else 0
        self._follower = Follower(Path(self._layout.active), self._fd, end, cut)

    @property
    def path(self) -> str:
        """The active segment."""
        return self._layout.active

    @property
    def is_there(self) -> bool:
        """Whether the active segment was there."""
        return self._fd is not None

    def paths(self) -> list[str]:
        """The files of the log that are there: closed segments, then the active one."""
        there = [self._layout.active] if self._fd is not None else []
        return [*segment_paths(self._layout), *there]

    def newest_first(self, last: int = 0) -> Iterator[bytes]:
        """The lines of the active segment from its end on, then those of the closed ones.

        Args:
            last: records after this number may be left out; 0: all are given.
        """
        files = self._older()
        if self._fd is not None:
            here, end = os.fstat(self._fd), self._follower.position
            identity, first = (here.st_dev, here.st_ino), -1
            if last and (head := head_of(next(forward(self._fd, 0, end), b""))) is not None:
                first = head.seq
            path, fd = self._layout.active, self._fd
            files.append(LogFile(path, identity, end, first_seq=first, descriptor=fd))
        return newest_first(files, last)

    def since(self, since: str) -> Iterator[bytes]:
        """The lines in their order, without parts that hold nothing but earlier records.

        Args:
            since: a ``ts`` as records have it; empty for all lines.
        """
        times = Times(self._layout.directory)
        for file in self._older():
            yield from _unpacked(file) if file.packed else _later(file, times, since)
        if self._fd is not None:
            here, end = os.fstat(self._fd), self._follower.position
            identity = (here.st_dev, here.st_ino)
            file = LogFile(self._layout.active, identity, end, descriptor=self._fd)
            yield from _later(file, times, since, end)
        times.save()

    def poll(self) -> Iterator[bytes]:
        """The lines that have come since the last look, over rotation and truncation."""
        return self._follower.poll()

    def torn(self, limit: int) -> bytes:
        """The first ``limit`` bytes of a line that has no end yet."""
        return b"" if self._fd is None else os.pread(self._fd, limit, self._follower.position)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the open file."""
        self._follower.close()

    def _older(self) -> list[LogFile]:
        """The segments that were closed before the open file, oldest first."""
        here = None if self._fd is None else os.fstat(self._fd)
        found = []
        for path in filter(_CLOSED.search, segment_paths(self._layout)):
            file = look_at(path)
            if here is None or file.identity != (here.st_dev, here.st_ino):
                found.append(file)
        return in_order(found)


def _open(active: str) -> int | None:
    try:
        # Opening a named pipe would wait for its writer.
        fd = os.open(active, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotRegularError(errno.EINVAL, "is not a regular file", active)
    return fd


def _later(file: LogFile, times: Times, since: str, end: int | None = None) -> Iterator[bytes]:
    rows = times.rows(file)
    with file.opened() as descriptor:
        for row in rows:
            stop = row.end if end is None else min(row.end, end)
            if row.begin < stop and row.within(since, ""):
                yield from forward(descriptor, row.begin, stop)


def newest_first(files: Sequence[LogFile], last: int = 0) -> Iterator[bytes]:
    """The lines of some segments, the last one first.

    Args:
        files: oldest first.
        last: what comes after the record with this number may be left out, as far as the order of
            the segments and of plain ones says that it does; 0: nothing.
    """
    for file in reversed(files):
        if last and file.first_seq > last:
            continue
        if file.packed:  # there is no other way than from its beginning
            yield from reversed(list(_unpacked(file)))
            continue
        with file.opened() as descriptor:
            end = complete_end(descriptor) if file.descriptor < 0 else file.size
            found = find_seq(descriptor, end, last) if last else None
            if found is not None:
                end, last = found.offset + len(found.line) + 1, 0
            yield from backward(descriptor, end)


def _unpacked(file: LogFile) -> Iterator[bytes]:
    """The whole lines of a packed segment."""
    stream, position, lines = Unpacked(), 0, CroppedLines()
    try:
        while data := stream.read(file, position, _BLOCK):
            position += len(data)
            yield from lines.feed(data)
    finally:
        stream.close()
