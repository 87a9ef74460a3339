"""Decides whether descriptor 1 or 2 is still standard output or standard error, after it changed.

When descriptor 1 refers to another file than before, there are two possibilities. The file was put
there on purpose, with ``dup2``: a log was reopened (gunicorn), a test runner captures output, a
daemon has left its terminal. Then our lines must go there. Or the application has closed the
descriptor, and the system has given the number to the next file or connection that was opened. Then
our lines must not go there.
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

__all__ = ["belongs_to_application", "is_null", "is_replacement"]

_STREAMS = {1: ("stdout", "__stdout__"), 2: ("stderr", "__stderr__")}


def belongs_to_application(number: int) -> bool:
    """Whether descriptor 1 or 2 is a file that the application has opened for another purpose.

    Descriptors that ``open``, ``socket`` and similar functions return are not inheritable (PEP
    446). A descriptor that was inherited from the parent process, or made by ``dup2``, is. A file
    that was opened as the new ``sys.stdout``, after the old one was closed or when there was none,
    counts as standard output, too.

    Args:
        number: the descriptor. False for any other than 1 and 2, and for a closed one.
    """
    try:
        return number in _STREAMS and not os.get_inheritable(number) and not _was_opened_as(number)
    except OSError as error:
        let_through(error)
        return False


def _was_opened_as(number: int) -> bool:
    """Whether ``sys.stdout`` is a new stream on this descriptor, and the original one is closed."""
    now, first = (getattr(sys, name, None) for name in _STREAMS[number])
    try:
        gone = first is None or _foreign.call(getattr, first, "closed") is True
        return gone and now is not first and _foreign.call(_fileno, now) == number
    except Exception as error:  # noqa: BLE001 - a stream may be anything
        let_through(error)
        return False


def is_replacement(number: int, found: os.stat_result) -> bool:
    """Whether a descriptor that refers to another file than before is the new standard output.

    It is if ``dup2`` has put the file there, a stream of this process writes to it, and it is a
    pipe, a file, a terminal or the null device. A socket is not accepted: it is probably a
    connection of the application.

    Args:
        number: an open descriptor; only 1 and 2 can be standard streams.
        found: the result of ``os.fstat`` for it.
    """
    return (
        number in _STREAMS
        and not belongs_to_application(number)
        and _takes_lines(number, found)
        and any(
            _writes_to(getattr(sys, name, None), number, (found.st_dev, found.st_ino))
            for name in _STREAMS[number]
        )
    )


def is_null(found: os.stat_result) -> bool:
    """Whether a file is ``/dev/null``, to which writes never block."""
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
    """Whether a stream writes to a descriptor, or to the same file through another descriptor."""
    try:
        own = _foreign.call(_fileno, stream)
    except Exception as error:  # noqa: BLE001 - a stream may be anything, and closed
        let_through(error)
        return False
    return type(own) is int and (own == number or identity_of(own) == identity)


def _fileno(stream: Any) -> Any:
    return stream.fileno()
