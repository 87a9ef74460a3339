"""Writes to an inherited descriptor (1 or 2) without blocking, and without changing its flags.

``O_NONBLOCK`` is a flag of the open file description, which the parent process and every other
writer share. If it were set here, their writes would begin to fail. So it is never set. Instead
each single write is made non-blocking with ``pwritev(…, RWF_NOWAIT)`` (Linux 4.14 and later, for
pipes and sockets). A write of up to ``PIPE_BUF`` bytes to a pipe succeeds as a whole or not at all.

Lines are written to a duplicate. It refers to the original file even after the application has
closed the descriptor or its number was reused, so no line can get into another file. When the
descriptor refers to another file, lines go there if it has replaced the original on purpose
(``standard_streams.is_replacement``). Otherwise writing stops, and starts again if the original
file comes back.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from struct import Struct
from time import monotonic_ns, time_ns
from typing import NamedTuple

from audit_emit._runtime.duplicates import PIPE_BUF, duplicate_of, kind_of, might_block
from audit_emit._runtime.interrupts import Acquisition, let_through
from audit_emit._runtime.owned_fds import Identity, Owned, identity_of
from audit_emit._runtime.standard_streams import belongs_to_application, is_null, is_replacement

RECHECK_NS = 1_000_000
"""The descriptor is checked again when the last check is older than this, in nanoseconds."""

_AGAIN_NS = 50_000_000
"""Nanoseconds until a duplicate is requested again after the system had no descriptor for one."""

_SLOW_SECONDS = 0.005
"""How long a line waits while another thread writes the rest of an earlier line."""

BEGUN = "begun"
"""The ``fault`` when the system has accepted only a part of a line; ``finish`` writes the rest."""

CLOSED, REPLACED = "closed", "replaced"
"""The ``fault`` when the descriptor is closed, or is a file of the application now."""

_CAN_BLOCK = frozenset({"pipe", "socket", "terminal"})
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0) if hasattr(os, "pwritev") else 0
_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


Shorten = Callable[[bytes, int], bytes]
"""Shortens a line (without prefix) to a number of bytes."""


def _cut(line: bytes, room: int) -> bytes:
    return line[: room - 1] + b"\n"


NUMBERS = Struct("=5q2Q")
"""The descriptor and its duplicate; the most bytes of a line; flags of ``pwritev``; nanoseconds for
which a check of the descriptor holds; device and inode of the file that both refer to."""


class Direct(NamedTuple):
    """A descriptor to which one system call writes a line as a whole or not at all.

    Attributes:
        numbers: see ``NUMBERS``.
        prefix: the beginning of every line.
        duplicate: stays open as long as this object exists.
    """

    numbers: bytes
    prefix: bytes
    duplicate: int


def _whole(prefix: bytes, line: bytes, most: int, shorten: Shorten) -> bytes:
    """A line with its prefix, shortened if it is too long."""
    room = most - len(prefix)
    return prefix + (line if len(line) <= room else shorten(line, room))


def _direct(numbers: tuple[int, ...], prefix: bytes, owned: Owned, most: int) -> Direct:
    number, flags, *identity = numbers
    longest = min(most, 1 << 62)
    packed = NUMBERS.pack(number, owned, longest, flags, RECHECK_NS, *identity)
    return Direct(packed, prefix, owned)


class Descriptor:
    """A private duplicate of an inherited descriptor, and the identity of its file.

    Args:
        number: 1 or 2.
        prefix: the beginning of every line.
        max_bytes: the most bytes of a line, including prefix and newline. Up to ``PIPE_BUF``,
            lines of several processes on one pipe never interleave.
    """

    def __init__(
        self, number: int, *, prefix: bytes = b"", max_bytes: int = 4096, shorten: Shorten = _cut
    ) -> None:
        self.number = number
        self.kind: str = "closed"
        self.fault: str | None = None
        """Why nothing can be written, as one word; ``None`` if it can."""
        self.last: bytes = b""
        """The last line that was written, completely or in part, without the prefix."""
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._shorten = shorten
        self._dup: Owned | int = -1
        self._identity: Identity | None = None
        self.checked: int = 0
        """When the descriptor was last checked (``time.time_ns``)."""
        self.direct: Direct | None = None
        """How a line may be written without ``write``; ``None`` while only ``write`` is safe."""
        self._nowait = False
        self._asks = False
        """Whether to ask for room before each write, because the write itself could block."""
        self._slow = threading.Lock()
        self._unfinished = b""
        """The rest of a line of which the system has accepted only a part."""
        self._given_up = False
        self._again = 0
        self._given: Identity | None = None
        """The file that the descriptor referred to first; it is used again if it comes back."""
        if belongs_to_application(number):
            self.fault = REPLACED
        else:
            self._open()
            self._given = self._identity

    def _open(self) -> bool:
        """Make the duplicate. Another thread may have closed it again when this returns true."""
        try:
            found = os.fstat(self.number)
        except OSError as error:
            let_through(error)
            self.fault = CLOSED
            return False
        # Stored before the duplicate is made: if that fails now, it may succeed later.
        self._identity = (found.st_dev, found.st_ino)
        try:
            dup = duplicate_of(self.number, found)
        except OSError as error:
            let_through(error)
            self.fault = error_word(error)
            self._again = monotonic_ns() + _AGAIN_NS
            return False
        self.kind = kind_of(dup, found.st_mode)
        self._nowait = bool(NOWAIT) and self.kind in {"pipe", "socket"}
        # A pipe may accept only a part of a longer line, so one thread at a time writes those.
        self._asks = self.kind in _CAN_BLOCK and (not self._nowait or self._max_bytes > PIPE_BUF)
        self.fault = None
        # This must be the last step: from here on other threads write to it.
        self._dup = owned = Owned.of(dup)
        whole = is_null(found) or (self.kind == "pipe" and self._nowait and not self._asks)
        if whole and not self._unfinished:
            numbers = (self.number, NOWAIT if self._nowait else 0, *self._identity)
            self.direct = _direct(numbers, self._prefix, owned, self._max_bytes)
        return True

    def write(self, line: bytes) -> bool:
        """Write one line, as a whole or not at all. Never blocks on a pipe or a socket.

        Args:
            line: the line with its newline, without the prefix.

        Returns:
            Whether it was written; otherwise ``fault`` says why not. With ``BEGUN`` a part of it
            was written, and the rest is written before the next line, or by ``finish``.
        """
        data = self._prefix + line
        if len(data) > self._max_bytes:
            data = self._prefix + self._shorten(line, self._max_bytes - len(self._prefix))
        now = time_ns()
        if not 0 <= now - self.checked <= RECHECK_NS and not self._is_ours(now):
            return False
        if self._unfinished or self._asks:
            return self._write_slowly(data, line)
        dup = self._dup
        try:
            whole = self._send(dup, data, line)
        except OSError as error:
            let_through(error)
            return self._refused(error, data, line, dup)
        if not whole:
            return self._begin()
        self.fault = None
        return True

    def look(self) -> bool:
        """Whether the descriptor can be written to now; clears ``fault`` if it has come back."""
        return self._is_ours(time_ns())

    @property
    def is_unfinished(self) -> bool:
        """Whether the rest of a line is still to be written, and was not given up."""
        return bool(self._unfinished) and not self._given_up

    def finish(self) -> bool:
        """Write the rest of a line, if there is one; whether nothing of it is left."""
        now = time_ns()
        if not 0 <= now - self.checked <= RECHECK_NS and not self._is_ours(now):
            return not self._unfinished
        return self._write_slowly(b"", b"")

    def give_up(self) -> bool:
        """Count a line that was written in part as lost; its rest still precedes the next line."""
        owed = self.is_unfinished
        self._given_up = bool(self._unfinished)
        return owed

    def leave_parent(self) -> None:
        """Start again in a forked child: the parent writes the rest of its line itself."""
        self._unfinished = b""
        self._slow = threading.Lock()

    def _send(self, dup: int, data: bytes, line: bytes, *, is_rest: bool = False) -> bool:
        """One system call; whether the system accepted all of it.

        The number of accepted bytes is known even if an interrupt comes right after the call: the
        call and the storing of its result are one step (``list.extend``), and the code that uses it
        (``finally``) calls nothing, so no interrupt can come before it. For the same reason no
        fork can come between the check whether this is the rest of a line, and the call.
        """
        size = len(data)
        sent: list[int] = []
        life = self._slow
        if self._nowait:
            sending = map(os.pwritev, (dup,), ((data,),), (-1,), (NOWAIT,))
        else:
            sending = map(os.write, (dup,), (data,))
        try:
            if is_rest and self._unfinished is not data:
                return True
            sent.extend(sending)
        finally:
            # In a child that a signal handler has forked meanwhile, the rest is the parent's.
            if sent and self._slow is life:
                self.last = line
                if sent[0] != size:
                    self._unfinished = data[sent[0] :]
                elif is_rest:
                    self._unfinished = b""
        return sent[0] == size

    def _begin(self) -> bool:
        """Have the rest of a line written before the next line can begin."""
        self.direct = None
        self._given_up = False
        self.fault = BEGUN
        return False

    def _write_slowly(self, data: bytes, line: bytes) -> bool:
        """Write with a lock: to descriptors that can block, and after a line written in part."""
        slow, acquisition = self._slow, Acquisition()
        try:
            if not acquisition.acquire(slow, _SLOW_SECONDS):
                self.fault = "full"
                return False
            if self._unfinished:
                given_up = self._given_up
                if not self._attempt(self._unfinished, self.last, is_rest=True):
                    self._given_up = given_up
                    self.fault = "full" if self.fault == BEGUN else self.fault
                    return False
            return not data or self._attempt(data, line)
        finally:
            if True in acquisition:
                slow.release()

    def _attempt(self, data: bytes, line: bytes, *, is_rest: bool = False) -> bool:
        dup = self._dup
        try:
            if self._asks and not self._nowait and (fault := might_block(dup, data)):
                self.fault = fault
                return False
            whole = self._send(dup, data, line, is_rest=is_rest)
        except OSError as error:
            let_through(error)
            return self._refused(error, data, line, dup, is_rest=is_rest)
        if not whole:
            return self._begin()
        self.fault = None
        return True

    def _refused(
        self, error: OSError, data: bytes, line: bytes, dup: int, *, is_rest: bool = False
    ) -> bool:
        if error.errno == errno.EBADF and (dup is not self._dup or dup < 0):
            # Another thread has closed the duplicate since it was checked.
            return self._is_ours(time_ns()) and self._attempt(data, line, is_rest=is_rest)
        if self._nowait and error.errno in _UNSUPPORTED:
            self.direct = None
            self._nowait = False
            self._asks = self.kind in _CAN_BLOCK
            return self._attempt(data, line, is_rest=is_rest)
        self.fault = "full" if isinstance(error, BlockingIOError) else error_word(error)
        return False

    def close(self) -> None:
        """Close the duplicate, if it is still ours; the next line makes a new one."""
        self.direct = None
        dup, self._dup = self._dup, -1
        self.checked = 0
        if isinstance(dup, Owned):
            dup.withdraw()

    def _is_ours(self, now: int) -> bool:
        """Whether descriptor and duplicate still refer to the file that lines go to."""
        current = identity_of(self.number)
        if current != self._identity and not self._follow(current):
            self.close()
            if self._identity is not None:  # otherwise it was never opened, and the fault is set
                self.fault = CLOSED if current is None else REPLACED
            return False
        dup = self._dup
        if dup < 0 or identity_of(dup) != self._identity:
            # The application has closed all descriptors, and our number may be another file now.
            self.direct = None
            self._dup = -1
            if monotonic_ns() < self._again or not self._open():
                return False
        self.checked = now
        return True

    def _follow(self, current: Identity | None) -> bool:
        """Continue with the file that the descriptor refers to now, if it is standard output."""
        if current is None or not (current == self._given or _is_replaced(self.number)):
            return False
        self.close()
        self._identity = current
        self._again = 0
        if self._unfinished:
            # The rest of a line makes no sense in another file: write the line again as a whole.
            self._unfinished = _whole(self._prefix, self.last, self._max_bytes, self._shorten)
        return True


def _is_replaced(number: int) -> bool:
    """Whether the application has put another file there on purpose."""
    try:
        return is_replacement(number, os.fstat(number))
    except OSError as error:
        let_through(error)
        return False


def close_quietly(number: int) -> bool:
    """Close a descriptor; whether that raised no error (NFS reports failed writes here).

    An ``Owned`` one whose number refers to another file by now is not closed.
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
    """The name of an error, such as ``ENOSPC``; the name of the class if it has no number."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
