"""Making a duplicate of an inherited descriptor, and asking what it is."""

from __future__ import annotations

import os
import select
import stat

from audit_emit._runtime.interrupts import let_through

try:
    import fcntl
except ImportError:  # not a POSIX platform
    fcntl = None  # type: ignore[assignment]

__all__ = ["HIGH", "LOW", "duplicate_of", "has_room", "kind_of"]

HIGH, LOW = 64, 3
"""The lowest number for the duplicate. Low numbers are reused immediately after a close, so it is
sought above 64 first, and from 3 on only if there is none."""


def duplicate_of(number: int, found: os.stat_result) -> int:
    """A descriptor of our own for the file of another one.

    Args:
        number: an open descriptor.
        found: the result of ``os.fstat`` for it.

    Raises:
        OSError: the system has no descriptor to give.
    """
    opened = _open_terminal(number, found) if os.isatty(number) else -1
    return opened if opened >= 0 else _duplicate(number)


def kind_of(number: int, mode: int) -> str:
    """``pipe``, ``socket``, ``file``, ``terminal`` or ``device``."""
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISREG(mode):
        return "file"
    return "terminal" if os.isatty(number) else "device"


def has_room(number: int) -> bool:
    """Whether a descriptor is reported as writable now."""
    poller = select.poll()
    poller.register(number, select.POLLOUT)
    events = poller.poll(0)
    return bool(events) and bool(events[0][1] & select.POLLOUT)


def _duplicate(number: int) -> int:
    if fcntl is None:
        return os.dup(number)
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError as error:
        let_through(error)
        # No number above is free, or the limit is lower (``ulimit -n 64``).
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, LOW)


def _open_terminal(number: int, given: os.stat_result) -> int:
    """Open the same terminal a second time with ``O_NONBLOCK``; -1 if that is not possible.

    A write to a terminal that is stopped (Ctrl-S), or that nobody reads, would block for ever, and
    terminals do not support ``RWF_NOWAIT``. Opening it again gives an open file description of our
    own, on which the flag may be set.
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
