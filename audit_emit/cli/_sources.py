"""Where ``tail`` reads: a log that is being written, or bytes that only go forward."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import click

from audit_emit._query.search import lines_of
from audit_emit._readers.files.logfiles import LogFile, in_order, look_at, segment_paths
from audit_emit._readers.files.opening import layout_of
from audit_emit._readers.files.times import Times
from audit_emit._settings.address import is_address
from audit_emit.cli._lines import Follower, backward, complete_end, forward
from audit_emit.cli._logs import not_there
from audit_emit.cli._text import visible

_CLOSED = re.compile(r"-[0-9]{20}[.]")
"""In the name of a segment that its writer has closed; others may be copies of the active one."""

SHOWN = 200
"""Bytes of a torn end that are looked at."""


class Source(Protocol):
    """Lines without their newline, of one log."""

    def newest_first(self) -> Iterator[bytes] | None:
        """All lines, the last one first; ``None`` where they can only be read forward."""

    def since(self, since: str) -> Iterator[bytes]:
        """The lines in their order; those that are certainly earlier may be left out."""

    def poll(self) -> Iterator[bytes]:
        """The lines that have come since the last look."""

    def ended(self) -> bool:
        """Whether nothing can come any more."""

    def torn(self) -> bytes:
        """What stands after the last newline."""

    def close(self) -> None:
        """Let go of the files."""


def source(log: str, cut: Callable[[Path | None], None], *, wait: bool) -> Source:
    """The source for a LOG of the command line.

    Args:
        cut: see ``Follower``.
        wait: a log that is not there yet is waited for.

    Raises:
        NoLog: it is not there.
        UsageError: it is no file of a log.
    """
    if log == "-" or is_address(log) or log.endswith((".gz", ".zst")):
        return Forward(log)
    return Growing(log, cut, wait=wait)


class Forward:
    """Standard input, a packed segment or a database. It is followed by reading it to its end."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._read = False

    def newest_first(self) -> None:
        """There is no way back."""
        return

    def since(self, since: str) -> Iterator[bytes]:  # noqa: ARG002 - nothing can be left out
        """All lines."""
        self._read = True
        yield from lines_of(self._log)

    def poll(self) -> Iterator[bytes]:
        """All lines as they come, if they were not read yet."""
        if not self._read:
            yield from self.since("")

    def ended(self) -> bool:
        """It was read to its end."""
        return self._read

    def torn(self) -> bytes:
        """Unknown."""
        return b""

    def close(self) -> None:
        """Nothing is held."""


class Growing:
    """An active segment, with the segments that were closed before it."""

    def __init__(self, log: str, cut: Callable[[Path | None], None], *, wait: bool) -> None:
        self._layout = layout_of(log)
        active = Path(self._layout.active)
        self._fd = _open(active, log, wait=wait or bool(segment_paths(self._layout)))
        end = complete_end(self._fd) if self._fd is not None else 0
        self._follower = Follower(active, self._fd, end, cut)
        if wait and self._fd is None:
            click.echo(f"waiting for {visible(str(active))}", err=True)

    def newest_first(self) -> Iterator[bytes]:
        """The lines of the open file, then those of the segments before it."""
        if self._fd is not None:
            yield from backward(self._fd, self._follower.position)
        for file in reversed(self._older()):
            yield from _backward(file)

    def since(self, since: str) -> Iterator[bytes]:
        """Without the parts of files that hold nothing but earlier records."""
        times = Times(self._layout.directory)
        for file in self._older():
            yield from lines_of(file.path) if file.packed else _later(file, times, since)
        if self._fd is not None:
            here, end = os.fstat(self._fd), self._follower.position
            identity = (here.st_dev, here.st_ino)
            file = LogFile(self._layout.active, identity, end, descriptor=self._fd)
            yield from _later(file, times, since, end)
        times.save()

    def poll(self) -> Iterator[bytes]:
        """The lines that have come, over rotation and truncation."""
        return self._follower.poll()

    def ended(self) -> bool:
        """Its writer may always go on."""
        return False

    def torn(self) -> bytes:
        """The beginning of a line that has no end yet."""
        return b"" if self._fd is None else os.pread(self._fd, SHOWN + 1, self._follower.position)

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


def _open(active: Path, log: str, *, wait: bool) -> int | None:
    try:
        # Opening a named pipe would wait for its writer.
        fd = os.open(active, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if not wait:
            raise not_there(log) from None
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise click.UsageError(f"{visible(str(active))} is not a regular file")
    return fd


def _later(file: LogFile, times: Times, since: str, end: int | None = None) -> Iterator[bytes]:
    rows = times.rows(file)
    with file.opened() as descriptor:
        for row in rows:
            stop = row.end if end is None else min(row.end, end)
            if row.begin < stop and row.within(since, ""):
                yield from forward(descriptor, row.begin, stop)


def _backward(file: LogFile) -> Iterator[bytes]:
    if file.packed:  # there is no other way than from its beginning
        yield from reversed(list(lines_of(file.path)))
        return
    with file.opened() as descriptor:
        yield from backward(descriptor, complete_end(descriptor))
