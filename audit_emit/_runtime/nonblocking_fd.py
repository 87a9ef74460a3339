"""Writing to an inherited descriptor (1 or 2) without blocking and without touching its flags.

The flags of descriptor 1 live on an open file description that is shared with the parent and with
every other writer, so ``O_NONBLOCK`` is never set on it. A single write is made non-blocking by
``pwritev(…, RWF_NOWAIT)`` instead (Linux 4.14 and later, pipe and socket). Up to ``PIPE_BUF`` bytes
such a write is all or nothing.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Callable
from time import monotonic_ns, time_ns

from audit_emit._runtime.compiled import DescriptorState
from audit_emit._runtime.interrupts import Held, let_through
from audit_emit._runtime.owned_fds import Identity, Owned, identity_of
from audit_emit._runtime.standard_streams import is_null, is_replacement, is_strangers

try:
    import fcntl
except ImportError:  # not a POSIX platform
    fcntl = None  # type: ignore[assignment]

RECHECK_NS = 1_000_000
"""How long a descriptor is taken for what it was when last looked at."""

_HIGH, _LOW = 64, 3
"""Where the duplicate's number is looked for: above those that are reused at once, else below."""

_AGAIN_NS = 50_000_000
"""How long no duplicate is asked for after the system had none to give."""

_SLOW_SECONDS = 0.005
"""How long a line waits for another thread that ends one which was begun."""

PIPE_BUF = 4096
"""Bytes that a pipe takes whole or not at all (Linux)."""

BEGUN = "begun"
"""The ``fault`` when the system took a part of a line; ``finish`` brings it to its end."""

CLOSED, REPLACED = "closed", "replaced"
"""The ``fault`` when the number is not open, or is something that lines do not belong into."""

_LONGEST_UNSURE = PIPE_BUF
_CAN_BLOCK = frozenset({"pipe", "socket", "terminal"})
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0) if hasattr(os, "pwritev") else 0
_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def _cut(line: bytes, room: int) -> bytes:
    return line[: room - 1] + b"\n"


class Descriptor(DescriptorState):
    """A private duplicate of an inherited descriptor, and the identity of what it was.

    A duplicate keeps pointing to the original file when the application closes the descriptor
    or gives its number to something else, so no line can end up in somebody else's file. When the
    descriptor is no longer what it was, lines follow to what has replaced it on purpose
    (``standard.is_replacement``); else writing stops, and starts again if it comes back.

    Args:
        number: 1 or 2.
        prefix: what every line begins with.
        max_bytes: of the longest line, prefix and newline included. Up to ``PIPE_BUF`` lines of
            several processes on one pipe never interleave.
        shorten: makes a line, without the prefix, fit a number of bytes.
    """

    def __init__(
        self,
        number: int,
        *,
        prefix: bytes = b"",
        max_bytes: int = 4096,
        shorten: Callable[[bytes, int], bytes] = _cut,
    ) -> None:
        self.number = number
        self.kind: str = "closed"
        self.fault: str | None = None
        """Why nothing is written, as one word; ``None`` while all is well."""
        self.last: bytes = b""
        """The last line that its owner brought out, without the prefix."""
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._shorten = shorten
        self._dup: Owned | int = -1
        self._identity: Identity | None = None
        self._checked = 0
        self._nowait = False
        self._null = False
        """Whether a plain write waits for nobody."""
        self._asks = False
        """Whether there must be room before each write, because a write could wait."""
        self._slow = threading.Lock()
        self._owed = b""
        """The rest of a line of which the system took only a part."""
        self._given_up = False
        self._again = 0
        self._given: Identity | None = None
        """What the number was at first: it is taken again when it comes back."""
        if is_strangers(number):
            self.fault = REPLACED
        else:
            self._open()
            self._given = self._identity

    def _open(self) -> bool:
        """Take a duplicate. It may be closed again, by another thread, when this returns true."""
        try:
            found = os.fstat(self.number)
        except OSError as error:
            let_through(error)
            self.fault = CLOSED
            return False
        # Known from here on: should there be no number for a duplicate now, there may be later.
        self._identity = (found.st_dev, found.st_ino)
        try:
            dup = _own_terminal(self.number, found) if os.isatty(self.number) else -1
            if dup < 0:
                dup = _duplicate(self.number)
        except OSError as error:
            let_through(error)
            self.fault = error_word(error)
            self._again = monotonic_ns() + _AGAIN_NS
            return False
        self.kind = _kind(dup, found.st_mode)
        self._nowait = bool(NOWAIT) and self.kind in {"pipe", "socket"}
        self._null = is_null(found)
        # What a pipe may take in part is written by one thread at a time.
        self._asks = self.kind in _CAN_BLOCK and (not self._nowait or self._max_bytes > PIPE_BUF)
        self.fault = None
        # Last, as other threads write to it from here on.
        self._dup = Owned.of(dup)
        return True

    def write(self, line: bytes) -> bool:
        """Write one line whole or not at all; never blocks on a pipe or a socket.

        Args:
            line: with its newline, without the prefix.

        Returns:
            Whether it was written; ``fault`` says why not. With ``BEGUN`` a part of it was, and
            the rest follows: before the next line, or with ``finish``.
        """
        data = self._prefix + line
        if len(data) > self._max_bytes:
            data = self._shortened(line)
        now = time_ns()
        if not 0 <= now - self._checked <= RECHECK_NS and not self._is_ours(now):
            return False
        if self._owed or self._asks:
            whole = self._write_slowly(data)
            if whole or self.fault == BEGUN:
                self.last = line
            return whole
        dup = self._dup
        try:
            written = os.pwritev(dup, (data,), -1, NOWAIT) if self._nowait else os.write(dup, data)
        except OSError as error:
            let_through(error)
            whole = self._refused(error, data, dup)
            if whole or self.fault == BEGUN:
                self.last = line
            return whole
        self.last = line
        if written != len(data):
            return self._begin(data[written:])
        self.fault = None
        return True

    def look(self) -> bool:
        """Whether there is something to write to; clears ``fault`` when it has come back."""
        return self._is_ours(time_ns())

    @property
    def owes(self) -> bool:
        """Whether a line was taken in part, and nobody gave up its rest."""
        return bool(self._owed) and not self._given_up

    def finish(self) -> bool:
        """Write the rest of a line that was taken in part; whether none of it is left."""
        now = time_ns()
        if not 0 <= now - self._checked <= RECHECK_NS and not self._is_ours(now):
            return not self._owed
        return self._write_slowly(b"")

    def give_up(self) -> bool:
        """Count on the rest of a line no more, though it still goes before the next line.

        Returns:
            Whether there was one to give up.
        """
        owed = self.owes
        self._given_up = bool(self._owed)
        return owed

    def leave_parent(self) -> None:
        """Begin anew in a forked child: the rest of a line is the parent's to write."""
        self._owed = b""
        self._slow = threading.Lock()

    def _begin(self, rest: bytes) -> bool:
        """Remember what is begun: it must be ended, or the next line would be glued to it."""
        self._owed = rest
        self._given_up = False
        self.fault = BEGUN
        return False

    def _write_slowly(self, data: bytes) -> bool:
        """The way of files and terminals, and of a line after one that was taken in part."""
        slow, held = self._slow, Held()
        try:
            if not held.take(slow, _SLOW_SECONDS):
                self.fault = "full"
                return False
            if self._owed:
                given_up = self._given_up
                if not self._attempt(self._owed):
                    self._given_up = given_up
                    self.fault = "full" if self.fault == BEGUN else self.fault
                    return False
                self._owed = b""
            return not data or self._attempt(data)
        finally:
            if True in held:
                slow.release()

    def _attempt(self, data: bytes) -> bool:
        dup = self._dup
        try:
            if self._nowait:
                written = os.pwritev(dup, (data,), -1, NOWAIT)
            elif self._asks and not self._ready(dup, data):
                return False
            else:
                written = os.write(dup, data)
        except OSError as error:
            let_through(error)
            return self._refused(error, data, dup)
        if written != len(data):
            return self._begin(data[written:])
        self.fault = None
        return True

    def _refused(self, error: OSError, data: bytes, dup: int) -> bool:
        if error.errno == errno.EBADF and (dup is not self._dup or dup < 0):
            # Another thread has closed it since it was looked at.
            return self._is_ours(time_ns()) and self._attempt(data)
        if self._nowait and error.errno in _UNSUPPORTED:
            self._nowait = False
            self._asks = self.kind in _CAN_BLOCK
            return self._attempt(data)
        self.fault = "full" if isinstance(error, BlockingIOError) else error_word(error)
        return False

    def close(self) -> None:
        """Give the duplicate back, if it is still ours; the next line takes one again."""
        dup, self._dup = self._dup, -1
        self._checked = 0
        if isinstance(dup, Owned):
            dup.withdraw()

    def _is_ours(self, now: int) -> bool:
        """Whether the number and the duplicate are the file that lines belong into."""
        current = identity_of(self.number)
        if current != self._identity and not self._follow(current):
            self.close()
            if self._identity is not None:  # else it never was ours, and the fault says why
                self.fault = CLOSED if current is None else REPLACED
            return False
        dup = self._dup
        if dup < 0 or identity_of(dup) != self._identity:
            # The application closed every descriptor; ours may be somebody else's by now.
            self._dup = -1
            if monotonic_ns() < self._again:
                return False
            if not self._open():
                return False
        self._checked = now
        return True

    def _follow(self, current: Identity | None) -> bool:
        """Go on with what the number is now, if that is standard output as well."""
        try:
            found = os.fstat(self.number)
            if current is None or (
                current != self._given and not is_replacement(self.number, found)
            ):
                return False
        except OSError as error:
            let_through(error)
            return False
        self.close()
        self._identity = current
        self._again = 0
        if self._owed:
            # What was begun elsewhere cannot be ended here.
            self._owed = self._shortened(self.last)
        return True

    def _shortened(self, line: bytes) -> bytes:
        """A line with its prefix, and cut to fit if it must be."""
        room = self._max_bytes - len(self._prefix)
        return self._prefix + (line if len(line) <= room else self._shorten(line, room))

    def _ready(self, dup: int, line: bytes) -> bool:
        """The fallback without ``RWF_NOWAIT``: ask for room first, and refuse long lines.

        What is ready takes ``PIPE_BUF`` bytes at least (Linux 4096, macOS 512). A longer line, or
        another writer that takes the room meanwhile, can make a write wait for a reader that stops
        just then; where ``RWF_NOWAIT`` works that cannot happen.
        """
        if dup < 0:
            return True  # closed by another thread, which the write tells
        poller = select.poll()
        poller.register(dup, select.POLLOUT)
        events = poller.poll(0)
        if not events or not events[0][1] & select.POLLOUT:
            self.fault = "full"
            return False
        if len(line) > _LONGEST_UNSURE:
            self.fault = "too-long"
            return False
        return True


def close_quietly(number: int) -> bool:
    """Close a descriptor; whether the system found nothing wrong (NFS tells failed writes here).

    One that is ``Owned``, and somebody else's by now, is left alone.
    """
    try:
        if isinstance(number, Owned):
            number.close()
        else:
            os.close(number)
    except OSError as error:
        let_through(error)
        return False
    return True


def error_word(error: OSError) -> str:
    """``ENOSPC`` and its like; the name of the class when there is no number."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _duplicate(number: int) -> int:
    if fcntl is None:
        return os.dup(number)
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError as error:
        let_through(error)
        # Up there nothing is free, or the limit is below it (``ulimit -n 64``).
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _LOW)


def _own_terminal(number: int, given: os.stat_result) -> int:
    """The same terminal opened anew without blocking, -1 where that cannot be had.

    A terminal that is stopped (Ctrl-S) or that nobody reads would hold up a write for ever, and
    it knows no ``RWF_NOWAIT``. The flag is set on a description of our own, not on the shared one.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | getattr(os, "O_CLOEXEC", 0)
    try:
        opened = os.open(os.ttyname(number), flags)
    except OSError as error:
        let_through(error)
        return -1
    try:
        found = os.fstat(opened)
        same = (found.st_dev, found.st_ino) == (given.st_dev, given.st_ino)
        return _duplicate(opened) if same else -1
    except OSError as error:
        let_through(error)
        return -1
    finally:
        os.close(opened)


def _kind(number: int, mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISREG(mode):
        return "file"
    return "terminal" if os.isatty(number) else "device"
