"""Whether standard output, or standard error, was replaced by something that it is now.

A descriptor 1 that is another file than before is one of two things. It was put there on purpose,
by ``dup2``: a log that is reopened (gunicorn), a test runner that captures, a daemon that leaves
its terminal. Then lines belong into it. Or the application closed it, and the system gave the
number to the next file or connection that was opened: then they do not.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Any

from audit_emit._runtime import foreign as _foreign
from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._runtime.owned_fds import Identity, identity_of

try:
    import fcntl
except ImportError:  # not a POSIX platform
    fcntl = None  # type: ignore[assignment]

__all__ = ["is_null", "is_replacement", "is_strangers"]

_STREAMS = {1: ("stdout", "__stdout__"), 2: ("stderr", "__stderr__")}


def is_strangers(number: int) -> bool:
    """Whether a standard descriptor is something that was opened by the application for itself.

    What ``open``, ``socket`` and their like return is not inheritable (PEP 446). What was inherited
    is, and so is what ``dup2`` has put there. A file that was opened as the new ``sys.stdout``
    when the old one was closed, or there was none, is no stranger's either.

    Args:
        number: only 1 and 2 can be; what is closed is not.
    """
    try:
        return number in _STREAMS and not os.get_inheritable(number) and not _was_opened_as(number)
    except OSError as error:
        let_through(error)
        return False


def _was_opened_as(number: int) -> bool:
    """Whether ``sys.stdout`` is a stream of its own at the number, and the first one is gone."""
    now, first = (getattr(sys, name, None) for name in _STREAMS[number])
    try:
        gone = first is None or _foreign.call(getattr, first, "closed") is True
        return gone and now is not first and _foreign.call(_fileno, now) == number
    except Exception as error:  # noqa: BLE001 - a stream may be anything
        let_through(error)
        return False


def is_replacement(number: int, found: os.stat_result) -> bool:
    """Whether a descriptor that is another file than before has taken its part as well.

    It has when ``dup2`` has put it there, a stream of this process writes to it, and it is a pipe,
    a file, a terminal or the null device. A socket is a connection with somebody.

    Args:
        number: open; only 1 and 2 can be replaced.
        found: what it is now.
    """
    return (
        number in _STREAMS
        and not is_strangers(number)
        and _takes_lines(number, found)
        and any(
            _writes_to(getattr(sys, name, None), number, (found.st_dev, found.st_ino))
            for name in _STREAMS[number]
        )
    )


def is_null(found: os.stat_result) -> bool:
    """Whether it is ``/dev/null``, a device that nobody ever waits for."""
    with quietly(OSError):
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
    return False


def _takes_lines(number: int, found: os.stat_result) -> bool:
    if fcntl is not None:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        if flags & (os.O_WRONLY | os.O_RDWR) == 0:
            return False
    mode = found.st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or os.isatty(number) or is_null(found)


def _writes_to(stream: Any, number: int, identity: Identity) -> bool:
    """Whether a stream writes to a descriptor, or by another one to the same file."""
    try:
        own = _foreign.call(_fileno, stream)
    except Exception as error:  # noqa: BLE001 - a stream may be anything, and closed
        let_through(error)
        return False
    return type(own) is int and (own == number or identity_of(own) == identity)


def _fileno(stream: Any) -> Any:
    return stream.fileno()
