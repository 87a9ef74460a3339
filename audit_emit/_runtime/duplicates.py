"""Makes a duplicate of an inherited descriptor, and finds out what kind of file it refers to."""

from __future__ import annotations

import os
import select
import stat

from audit_emit._runtime.interrupts import let_through

try:
    import fcntl
except ImportError:  # not a POSIX platform
    fcntl = None  # type: ignore[assignment]

__all__ = ["HIGH", "LOW", "PIPE_BUF", "duplicate_of", "kind_of", "might_block"]

PIPE_BUF = 4096
"""The number of bytes that a pipe accepts as a whole or not at all (on Linux)."""

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


def might_block(number: int, line: bytes) -> str | None:
    """Why a plain write of a line might block; ``None`` if it will not. For use without NOWAIT.

    A pipe that is reported as writable accepts at least ``PIPE_BUF`` bytes (Linux 4096, macOS 512).
    A longer line can block, and so can a shorter one if another writer fills the pipe between the
    question and the write, and the reader stops just then. That cannot be excluded here.

    Args:
        number: an open descriptor; negative if another thread has closed it, which the write finds.
        line: what is to be written.

    Returns:
        ``full`` if there is no room now, ``too-long`` if the line may not fit, else ``None``.
    """
    if number < 0:
        return None
    poller = select.poll()
    poller.register(number, select.POLLOUT)
    events = poller.poll(0)
    if not events or not events[0][1] & select.POLLOUT:
        return "full"
    return "too-long" if len(line) > PIPE_BUF else None


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
