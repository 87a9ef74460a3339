"""What went wrong, told without making it worse: counters, and a rate-limited line on stderr.

Nothing here raises, blocks, or uses ``logging`` (a handler that audits would call itself).
"""

from __future__ import annotations

import time
from codecs import unicode_escape_encode
from collections import deque

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import BEGUN, Descriptor

_QUIET_SECONDS = 60.0
_UNTOLD = 8


class Counters:
    """Plain integers, always on. Attributes are counts of events unless said otherwise.

    Attributes:
        unchained: events that went to stdout only, because no file is kept.
        drained: events that were backlogged and are in the file now.
        lost: events that will never be in the file.
        truncated: records in which a limit cut something.
        redacted: values held back.
        recovered: torn or foreign ends of the file that were closed and declared.
        stdout_lost: lines.
        backlogged: events that could not be written when they happened.
        rotated: segments closed.
        processor_errors: events whose fields are withheld, as a processor failed.
        internal_errors: exceptions stopped by the guard of ``emit``.
        invalid_event_types: calls whose event type is none.
        invalid_contexts: calls whose context is none, or has a member that is none.
    """

    __slots__ = (
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
        "stdout_lost",
        "truncated",
        "unchained",
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        for name in self.__slots__:
            setattr(self, name, 0)

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
    stdout_lost: int
    truncated: int
    unchained: int

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Complaints:
    """One line per kind of trouble and minute on stderr."""

    def __init__(self, descriptor: int = 2) -> None:
        self._stderr = Descriptor(descriptor)
        self._told: dict[str, tuple[float, int]] = {}
        self._untold: deque[bytes] = deque(maxlen=_UNTOLD)
        """Lines that stderr did not take when they came up, the oldest first."""

    def tell(self, kind: str, message: str, *details: object) -> None:
        """Say it now, or count it when the same kind was told within the last minute.

        Args:
            kind: what is rate-limited.
            message: one sentence; the caller keeps values out of it.
            details: put into ``message`` with ``%``, if it is said at all.
        """
        now = time.monotonic()
        last, unsaid = self._told.get(kind, (-_QUIET_SECONDS, 0))
        if now - last < _QUIET_SECONDS:
            self._told[kind] = (last, unsaid + 1)
            return
        self._told[kind] = (now, 0)
        message = message % details if details else message
        more = f" ({unsaid} more of these since)" if unsaid else ""
        # A path in the message may hold anything; the line is one line of printable text. By its
        # name the codec would be imported here, for which there may be no descriptor.
        self._untold.append(b"audit_emit: %b\n" % unicode_escape_encode(f"{message}{more}")[0])
        self.tell_untold()

    def tell_untold(self) -> None:
        """Say what could not be said when it came up, as far as that is possible now."""
        while self._untold:
            try:
                line = self._untold.popleft()
            except IndexError as error:  # another thread was faster
                let_through(error)
                return
            if not self._stderr.write(line) and self._stderr.fault != BEGUN:
                self._untold.appendleft(line)
                return

    def leave_parent(self) -> None:
        """Begin anew in a forked child: the parent tells what it has not told."""
        self._untold.clear()
        self._stderr.leave_parent()

    def close(self) -> None:
        """Give the descriptor back; the next complaint takes one again."""
        self._stderr.close()
