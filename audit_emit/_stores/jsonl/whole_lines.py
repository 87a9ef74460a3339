"""Appends lines to a file: each completely, at the beginning of a line, or not at all.

Called with the locks held, as everything of a ``Segment`` is.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from audit_emit._format import tail
from audit_emit._runtime.interrupts import let_through, quietly

if TYPE_CHECKING:
    from audit_emit._stores.jsonl.segment import Segment

__all__ = ["write"]

_ATTEMPTS = 4


def write(segment: Segment, data: bytes) -> None:
    """Append bytes that must begin a line.

    A process that takes no lock may have appended an unfinished line just before. Then the bytes
    are written again on a line of their own, and the next look finds the spoilt line before them.
    """
    for _ in range(_ATTEMPTS):
        written = os.write(segment.descriptor, data)
        if written != len(data):
            _finish(segment, data, written)
        if data[:1] == b"\n" or not _is_glued(segment, len(data)):
            return


def _is_glued(segment: Segment, length: int) -> bool:
    """Whether what was just written continues a line of somebody else's.

    It is in the file: where that cannot be found out, nothing is written a second time.
    """
    try:
        start = os.lseek(segment.descriptor, 0, os.SEEK_CUR) - length
        return start > segment.size and tail.pread(segment.descriptor, 1, start - 1) not in b"\n"
    except OSError as error:
        let_through(error)
        return False


def _finish(segment: Segment, line: bytes, written: int) -> None:
    """Write the rest of a short write, or take its beginning back."""
    error = OSError(errno.ENOSPC, "short write")
    try:
        if written + os.write(segment.descriptor, line[written:]) == len(line):
            return
    except OSError as failed:
        let_through(failed)
        error = failed
    # Nobody else can have appended: the lock is ours. Should this fail too, the next look
    # finds the tear and declares it.
    with quietly(OSError):
        os.ftruncate(segment.descriptor, segment.size)
    raise error
