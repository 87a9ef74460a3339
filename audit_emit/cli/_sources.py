"""Where ``tail`` reads: a log that is being written, or bytes that only go forward."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import click

from audit_emit._query.search import lines_of
from audit_emit._settings.address import is_address
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.cli._logs import not_there
from audit_emit.cli._text import visible
from audit_emit.errors import NotRegularError
from audit_emit.log import AuditLog

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
        """The lines that have come, over rotation and truncation."""
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
