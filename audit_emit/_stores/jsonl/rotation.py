"""Closing the file of a log under its first ``seq``, and beginning a new one.

Called with the locks held, as everything of a ``Segment`` is.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl import self_records as notes
from audit_emit._stores.jsonl import takeover

if TYPE_CHECKING:
    from audit_emit._stores.jsonl.segment import Segment

__all__ = ["FRESH_NS", "may_rotate", "rotate"]

FRESH_NS = 50_000
"""Nanoseconds for which a look at the path is good."""

_RETRY_SECONDS = 1.0
_ROTATION_SECONDS = 0.01
"""A rotation is not begun when less than that is left of a call's time: the file grows instead."""


def may_rotate(segment: Segment) -> bool:
    """Whether the file may be closed now, by the call that is in here."""
    settled = segment.unsettled is None  # what is said about a file is said in it
    now = time.monotonic()
    in_time = not segment.deadline or now + _ROTATION_SECONDS < segment.deadline
    due = segment.seq > segment.rotate_from and now >= segment.rotate_after
    return settled and due and in_time and not segment.crowded()


def rotate(segment: Segment) -> bool:
    """Close the file under its first ``seq`` and begin a new one.

    Returns:
        Whether it was done; if not, the old file stays active, and the next try is a second later.
    """
    fresh = segment.layout.active + ".new"
    begun = -1
    replace = segment.replace  # closes the file in a child that is forked in here
    try:
        target = segment.layout.unused(segment.begun_at)
        with quietly(FileNotFoundError):
            # Left by a rotation that was killed. The path is asked of the segment: a child that a
            # signal handler has forked in here would take away the file that its parent has begun.
            os.unlink(segment.layout.active + ".new")
        begun = segments.open_file(fresh, append=True, exclusive=True)
        os.rename(segment.layout.active, target)
        os.rename(fresh, segment.layout.active)
        # A process that looked at the path before this must look again when it gets the lock.
        time.sleep(2 * FRESH_NS / 1e9)
    except BaseException as error:
        if begun >= 0:
            os.close(begun)
        let_through(error)
        if not isinstance(error, OSError):
            raise
        segment.rotate_after = time.monotonic() + _RETRY_SECONDS
        return False
    replace(begun)
    segment.lent.counters.rotated += 1
    segment.named()
    previous = os.path.basename(target)
    with takeover.settling(segment, previous, "size"):
        segment.remember()
        segment.declare("audit.rotated", notes.rotated(previous, segment.last(), "size"))
        segment.rotate_from = segment.seq
    return True
