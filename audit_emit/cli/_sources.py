"""Where ``tail`` reads: a log that is being written, or a stream that cannot be read backwards."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

import click

from audit_emit._facade.queries import (
    Flaw,
    LogReader,
    away_reader,
    lines_in,
    lines_of,
    open_readers,
)
from audit_emit._facade.records import head_of, split_lines
from audit_emit._facade.settings import is_address, is_archive
from audit_emit._facade.text import visible
from audit_emit.cli._logs import not_there
from audit_emit.errors import NotRegularError
from audit_emit.log import AuditLog, Head, KeyRing

LOOK_SECONDS = 5.0
"""Seconds between two looks for chains that have begun."""

_TS = slice(7, 37)
SHOWN = 200
"""Bytes of a torn end that are kept for the message about it."""


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
        """The bytes after the last newline."""

    def close(self) -> None:
        """Let go of the files."""


def source(
    log: str,
    cut: Callable[[Path | None], None],
    *,
    wait: bool,
    archives: Sequence[str] = (),
    ring: KeyRing | None = None,
) -> Source:
    """The source for a LOG of the command line.

    Args:
        archives: where older parts of it may be.
        cut: see ``Follower``.
        wait: a log that is not there yet is waited for.
        ring: the keys that are given, if any; see ``open_readers``.

    Raises:
        NoLog: it is not there.
        UsageError: it is no file of a log.
    """
    if is_archive(log):
        return Rows(log, grows=False, ring=ring)
    if archives:
        return Continued([log, *archives], source(log, cut, wait=wait), ring)
    if is_address(log):
        return Rows(log)
    if log == "-" or log.endswith((".gz", ".zst")):
        return Forward(log)
    return Growing(log, cut, wait=wait)


class Forward:
    """Standard input, or a packed segment, read forward to its end."""

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


class Continued:
    """A log of which older parts are in an archive: those first, then the source of the rest."""

    def __init__(self, where: Sequence[str], rest: Source, ring: KeyRing | None) -> None:
        self._rest = rest
        self._away = away_reader(where, ring)

    def newest_first(self) -> Iterator[bytes] | None:
        """See ``Source``."""
        rest = self._rest.newest_first()
        return None if rest is None else chain(rest, self._backward())

    def _backward(self) -> Iterator[bytes]:
        for block in self._away.search():
            yield from reversed(split_lines(block.data))

    def since(self, since: str) -> Iterator[bytes]:
        """See ``Source``."""
        yield from lines_in(self._away)
        yield from self._rest.since(since)

    def poll(self) -> Iterator[bytes]:
        """See ``Source``."""
        return self._rest.poll()

    def ended(self) -> bool:
        """See ``Source``."""
        return self._rest.ended()

    def torn(self) -> bytes:
        """See ``Source``."""
        return self._rest.torn()

    def close(self) -> None:
        """See ``Source``."""
        self._away.close()
        self._rest.close()


class Rows:
    """The chains at an address of a database, also those that begin later; or in an archive.

    Args:
        log: the address.
        grows: whether more may come.
        ring: the keys that are given, if any.
    """

    def __init__(self, log: str, *, grows: bool = True, ring: KeyRing | None = None) -> None:
        self._log = log
        self._ring = ring
        self._grows = grows
        self._readers: dict[str, LogReader] = {}
        self._ends: dict[str, Head | None] = {}
        self._looked = 0.0
        self._look()

    def _look(self) -> list[str]:
        """See which chains there are; those that are new."""
        self._looked = time.monotonic()
        new = []
        for reader in open_readers([self._log], self._ring):
            if reader.name in self._readers:
                reader.close()
                continue
            self._readers[reader.name] = reader
            self._ends[reader.name] = reader.bounds().last
            new.append(reader.name)
        return new

    def newest_first(self) -> Iterator[bytes]:
        """The lines of each chain from its end on, put in order by their time."""
        ways = [self._backward(name) for name in self._readers]
        return heapq.merge(*ways, key=lambda line: line[_TS], reverse=True)

    def _backward(self, name: str) -> Iterator[bytes]:
        end = self._ends[name]
        for block in self._readers[name].search():
            for line in reversed(split_lines(block.data)):
                found = head_of(line)
                # What came since is for ``poll``.
                if end is not None and (found is None or found.seq <= end.seq):
                    yield line

    def since(self, since: str) -> Iterator[bytes]:  # noqa: ARG002 - a time says nothing of a place
        """The lines of each chain in their order, put in order by their time."""
        ways = [self._forward(name) for name in self._readers]
        return heapq.merge(*ways, key=lambda line: line[_TS])

    def _forward(self, name: str) -> Iterator[bytes]:
        end = self._ends[name]
        if end is None:
            return
        for line in lines_in(self._readers[name]):
            yield line
            found = head_of(line)
            if found is not None and found.seq >= end.seq:
                return

    def poll(self) -> Iterator[bytes]:
        """The records that were appended since the last look."""
        if not self._grows:
            return
        if time.monotonic() - self._looked > LOOK_SECONDS:
            for name in self._look():
                self._ends[name] = None  # all of it is new
        for name, reader in self._readers.items():
            for block in reader.since(self._ends[name]):
                if isinstance(block, Flaw):
                    continue
                for line in split_lines(block.data):
                    self._ends[name] = head_of(line) or self._ends[name]
                    yield line

    def ended(self) -> bool:
        """Its writers may always go on; what is archived is read to its end."""
        return not self._grows

    def torn(self) -> bytes:
        """A row is whole."""
        return b""

    def close(self) -> None:
        """Let go of the connection."""
        for reader in self._readers.values():
            reader.close()


class Growing:
    """A log of files, which may go on."""

    def __init__(self, log: str, cut: Callable[[Path | None], None], *, wait: bool) -> None:
        try:
            self._log = AuditLog(os.path.abspath(log), KeyRing()).follow(cut, wait=wait)
        except NotRegularError:
            raise click.UsageError(f"{visible(log)} is not a regular file") from None
        except FileNotFoundError:
            raise not_there(log) from None
        if wait and not self._log.is_there:
            click.echo(f"waiting for {visible(self._log.path)}", err=True)

    def newest_first(self) -> Iterator[bytes]:
        """The lines of the open file, then those of the segments before it."""
        return self._log.newest_first()

    def since(self, since: str) -> Iterator[bytes]:
        """Without the parts of files that hold nothing but earlier records."""
        return self._log.since(since)

    def poll(self) -> Iterator[bytes]:
        """The lines that have come since, also after a rotation or a truncation."""
        return self._log.poll()

    def ended(self) -> bool:
        """Its writer may always go on."""
        return False

    def torn(self) -> bytes:
        """The beginning of a line that has no end yet."""
        return self._log.torn(SHOWN + 1)

    def close(self) -> None:
        """Let go of the open file."""
        self._log.close()
