"""Where ``tail`` reads: a log that is being written, or bytes that only go forward."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

import click

from audit_emit._query.search import lines_of
from audit_emit._readers.files.logfiles import LogFile, look_at
from audit_emit._readers.files.times import Times
from audit_emit.cli._lines import Follower, backward, complete_end, forward, segments
from audit_emit.cli._logs import not_there
from audit_emit.cli._text import visible

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
    if log == "-" or log.endswith((".gz", ".zst")):
        return Forward(log)
    return Growing(Path(log) / "audit.jsonl" if os.path.isdir(log) else Path(log), cut, wait=wait)


class Forward:
    """Standard input, or a packed segment. It is followed by reading it to its end."""

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

    def __init__(self, active: Path, cut: Callable[[Path | None], None], *, wait: bool) -> None:
        self._active = active
        self._fd = _open(active, wait=wait)
        end = complete_end(self._fd) if self._fd is not None else 0
        self._follower = Follower(active, self._fd, end, cut)

    def newest_first(self) -> Iterator[bytes]:
        """The lines of the open file, then those of the segments before it."""
        if self._fd is None:
            return iter(())
        older = map(_closed, reversed(self._older(self._fd)))
        return chain(backward(self._fd, self._follower.position), chain.from_iterable(older))

    def since(self, since: str) -> Iterator[bytes]:
        """Without the parts of files that hold nothing but earlier records."""
        if self._fd is None:
            return
        here, end = os.fstat(self._fd), self._follower.position
        times = Times(str(self._active.parent))
        for path in self._older(self._fd):
            yield from _later(look_at(str(path)), times, since)
        identity = (here.st_dev, here.st_ino)
        file = LogFile(str(self._active), identity, end, descriptor=self._fd)
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

    def _older(self, fd: int) -> list[Path]:
        """The segments that were closed before the open file, oldest first."""
        here = os.fstat(fd)
        return [p for p in segments(self._active) if not os.path.samestat(p.stat(), here)]


def _open(active: Path, *, wait: bool) -> int | None:
    try:
        # Opening a named pipe would wait for its writer.
        fd = os.open(active, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if not wait:
            raise not_there(str(active)) from None
        click.echo(f"waiting for {visible(str(active))}", err=True)
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


def _closed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from backward(file.fileno(), complete_end(file.fileno()))
