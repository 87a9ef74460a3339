"""Reporting what went wrong without making it worse: counters, and rate-limited lines on stderr.

Nothing here raises, blocks, or uses ``logging`` (an audit handler of the application would call
this library again).
"""

from __future__ import annotations

import time
from codecs import unicode_escape_encode
from collections import deque
from typing import Any

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import BEGUN, Descriptor

_QUIET_SECONDS = 60.0
_MAX_PENDING = 8
"""How many lines are kept while stderr does not accept them."""


class Counters:
    """Plain integers, counted since the process began. They count events unless noted otherwise.

    Attributes:
        unchained: events that went to stdout only, because no file is configured.
        drained: events that waited in the backlog and are in the file now.
        lost: events that will never be in the file.
        truncated: records in which a limit cut something off.
        redacted: values that were redacted.
        recovered: incomplete or foreign ends of the file that were closed and declared.
        stdout_lost: lines that standard output did not accept.
        backlogged: events that could not be written when they happened.
        rotated: segments that were closed.
        processor_errors: events that were recorded without fields because a processor failed.
        internal_errors: exceptions that the guard of ``emit`` stopped.
        invalid_event_types: calls with a malformed event type.
        invalid_contexts: calls with a ``ctx`` that is not a context, or has an unknown member.
        schema_violations: events whose fields do not fit the schema of their type.
        withheld: values of persons that are in no record, as there was no key to seal them under.
        measured: no count, but times and sizes, once ``_core/measured.py`` measures them.
    """

    _NAMES = (
        "backlogged",
        "drained",
        "internal_errors",
        "invalid_contexts",
        "invalid_event_types",
        "lost",
        "processor_errors",
        "recovered",
        "redacted",
        "rotated",
        "schema_violations",
        "stdout_lost",
        "truncated",
        "unchained",
        "withheld",
    )
    __slots__ = (*_NAMES, "measured")

    def __init__(self) -> None:
        self.measured: dict[str, Any] = {}
        self.reset()

    def reset(self) -> None:
        """Set all counts to 0, and discard all measured times and sizes."""
        for name in self._NAMES:
            setattr(self, name, 0)
        for one in self.measured.values():
            one.reset()

    backlogged: int
    drained: int
    internal_errors: int
    invalid_contexts: int
    invalid_event_types: int
    lost: int
    processor_errors: int
    recovered: int
    redacted: int
    rotated: int
    schema_violations: int
    stdout_lost: int
    truncated: int
    unchained: int
    withheld: int

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in self._NAMES}


class StderrLog:
    """Writes lines to stderr, at most one per kind and minute.

    A line that stderr does not accept now is kept, and written later.

    Args:
        descriptor: the descriptor to write to.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._stderr = Descriptor(descriptor)
        self._told: dict[str, tuple[float, int]] = {}
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)
        """Lines that stderr has not accepted yet, the oldest first."""

    def report(self, kind: str, message: str, *details: object) -> None:
        """Write a message, or only count it if one of the same kind was written within a minute.

        Args:
            kind: the kind that is rate-limited.
            message: one sentence, which must not contain values of an event.
            details: inserted into ``message`` with ``%``, if it is written at all.
        """
        now = time.monotonic()
        last, unsaid = self._told.get(kind, (-_QUIET_SECONDS, 0))
        if now - last < _QUIET_SECONDS:
            self._told[kind] = (last, unsaid + 1)
            return
        self._told[kind] = (now, 0)
        message = message % details if details else message
        more = f" ({unsaid} more of these since)" if unsaid else ""
        # A path in the message may hold any character, but this must be one line of printable
        # text. ``encode("unicode_escape")`` would import the codec here, and when the process has
        # run out of descriptors, no module can be imported.
        self._pending.append(b"audit_emit: %b\n" % unicode_escape_encode(f"{message}{more}")[0])
        self.flush()

    def flush(self) -> None:
        """Write the lines that are kept, as far as stderr accepts them now."""
        while self._pending:
            try:
                line = self._pending.popleft()
            except IndexError as error:  # another thread has taken the last one
                let_through(error)
                return
            if not self._stderr.write(line) and self._stderr.fault != BEGUN:
                self._pending.appendleft(line)
                return

    def leave_parent(self) -> None:
        """Start again in a forked child: the lines that are kept are the parent's to write."""
        self._pending.clear()
        self._stderr.leave_parent()

    def close(self) -> None:
        """Close the descriptor; the next message opens one again."""
        self._stderr.close()
