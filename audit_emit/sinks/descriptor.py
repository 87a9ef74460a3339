"""Writing to an inherited descriptor (1 or 2) without blocking and without touching its flags.

The flags of descriptor 1 live on an open file description that is shared with the parent and with
every other writer, so ``O_NONBLOCK`` is never set on it. A single write is made non-blocking by
``pwritev(…, RWF_NOWAIT)`` instead (Linux 4.14 and later, pipe and socket). Up to ``PIPE_BUF`` bytes such
a write is all or nothing.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time

try:
    import fcntl
except ImportError:  # not a POSIX platform
    fcntl = None  # type: ignore[assignment]

_RECHECK_NS = 50_000
_HIGH = 64
"""Where the duplicate's number is looked for: above those that are reused at once."""

_CAN_BLOCK = frozenset({"pipe", "socket"})
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0) if hasattr(os, "pwritev") else 0
_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Descriptor:
    """A private duplicate of an inherited descriptor, and the identity of what it was.

    A duplicate keeps pointing to the original file when the application closes the descriptor
    or gives its number to something else, so no line can end up in somebody else's file. When the
    descriptor is no longer what it was, writing stops, and starts again if it comes back.

    Args:
        number: 1 or 2.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.kind = "closed"
        self.fault: str | None = None
        """Why nothing is written, as one word; ``None`` while all is well."""
        self._dup = -1
        self._identity: tuple[int, int] | None = None
        self._checked = 0
        self._nowait = False
        self._owed = b""
        """The rest of a line of which the system took only a part."""
        self._open()

    def _open(self) -> None:
        try:
            found = os.fstat(self.number)
            self._dup = _duplicate(self.number)
        except OSError:
            self.fault = "closed"
            return
        self._identity = (found.st_dev, found.st_ino)
        self.kind = _kind(self._dup, found.st_mode)
        self._nowait = bool(NOWAIT) and self.kind in _CAN_BLOCK
        self.fault = None

    def write(self, line: bytes) -> bool:
        """Write one line whole or not at all; never blocks on a pipe or a socket.

        Returns:
            Whether it was written; ``fault`` says why not.
        """
        now = time.monotonic_ns()
        if now - self._checked > _RECHECK_NS and not self._is_ours(now):
            return False
        if self._owed and not self._settle():
            return False
        return self._attempt(line)

    def _attempt(self, line: bytes) -> bool:
        try:
            if self._nowait:
                written = os.pwritev(self._dup, (line,), -1, NOWAIT)
            elif self.kind in _CAN_BLOCK and not self._ready(line):
                return False
            else:
                written = os.write(self._dup, line)
        except OSError as error:
            if self._nowait and error.errno in _UNSUPPORTED:
                self._nowait = False
                return self._attempt(line)
            self.fault = "full" if isinstance(error, BlockingIOError) else error_word(error)
            return False
        if written != len(line):
            # What is begun must be ended, or the next line would be glued to it.
            self._owed = line[written:]
        self.fault = None
        return True

    def _settle(self) -> bool:
        owed, self._owed = self._owed, b""
        if self._attempt(owed):
            return not self._owed
        self._owed = owed
        return False

    def close(self) -> None:
        """Give the duplicate back, if it is still ours."""
        if self._dup >= 0 and _identity(self._dup) == self._identity:
            os.close(self._dup)
        self._dup = -1

    def _is_ours(self, now: int) -> bool:
        """Whether the number and the duplicate are still the file that we were given."""
        if self._identity is None:
            self.fault = "closed"
            return False
        current = _identity(self.number)
        if current != self._identity:
            self.close()
            self.fault = "closed" if current is None else "replaced"
            return False
        if self._dup < 0 or _identity(self._dup) != self._identity:
            # The application closed every descriptor; ours may be somebody else's by now.
            self._dup = -1
            self._open()
            if self._dup < 0:
                return False
        self._checked = now
        return True

    def _ready(self, line: bytes) -> bool:
        """The fallback without ``RWF_NOWAIT``: a pipe that is ready takes ``PIPE_BUF`` bytes whole.

        Longer lines are refused, because they could block. Another writer can still take the room
        between the question and the write; where ``RWF_NOWAIT`` works that cannot happen.
        """
        poller = select.poll()
        poller.register(self._dup, select.POLLOUT)
        events = poller.poll(0)
        if not events or not events[0][1] & select.POLLOUT:
            self.fault = "full"
            return False
        if len(line) > select.PIPE_BUF:
            self.fault = "too-long"
            return False
        return True


def error_word(error: OSError) -> str:
    """``ENOSPC`` and its like; the name of the class when there is no number."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _duplicate(number: int) -> int:
    if fcntl is None:
        return os.dup(number)
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH)


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _kind(number: int, mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISREG(mode):
        return "file"
    return "terminal" if os.isatty(number) else "device"
