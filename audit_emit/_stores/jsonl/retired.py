"""Files of a log that are no longer active, and wait to be synced and closed."""

from __future__ import annotations

import os
from collections.abc import Callable

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import close_quietly

CROWD = 8
"""Files that wait to be synced and closed: this process does not begin a further one then."""
MOST_RETIRED = 64
"""More are not kept; that many others can have begun while one sync takes its time."""

fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Retired:
    """The descriptors of such files.

    Attributes:
        descriptors: of those that are open, the oldest first; always this one list.
        unsure: whether a file was closed without a sync.
    """

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.unsure: bool = False

    def add(self, descriptor: int) -> None:
        """Keep one, unless a sync hangs and others move the file again and again."""
        if len(self.descriptors) >= MOST_RETIRED:
            self.unsure = True
            close_quietly(descriptor)
        else:
            self.descriptors.append(descriptor)

    def are_many(self) -> bool:
        """Whether at least ``CROWD`` files wait for a sync; then no further one should be begun."""
        return len(self.descriptors) >= CROWD

    def close(self) -> None:
        """Close them without a sync: it is somebody else's, or there is no thread for it."""
        while self.descriptors:
            close_quietly(self.descriptors.pop())


def sync_and_close(descriptor: int) -> bool:
    """Sync a file and give its descriptor back; whether it is synced. Less than 0 is no file."""
    if descriptor < 0:
        return True
    try:
        fdatasync(descriptor)
    except OSError as error:
        let_through(error)
        return False
    finally:
        closed = close_quietly(descriptor)
    return closed
