"""Group commit: one ``fdatasync`` for all records of the last moments, on a thread of its own.

A failed sync is never repeated on the same file: the kernel may have dropped the pages and report
success the next time ("fsyncgate", 2018). The unsynced records are handed back instead.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from audit_emit._threads import Background
from audit_emit.sinks.descriptor import close_quietly
from audit_emit.sinks.segments import sync_directory

RECORDS = 100
FLOOD = 5000
"""Lines that are not kept longer than it takes, whatever else they would share a sync with."""
WAKE = frozenset({1, RECORDS, FLOOD})
"""The lengths of ``lines`` at which the thread has to hear of it."""

SECONDS = 0.2
_PAUSE = 0.1
"""Syncs are at least this far apart, so that a burst shares them."""

fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class GroupCommit:
    """Collects lines until a sync has covered them.

    Args:
        duplicate: gives a duplicate of the active segment's descriptor, under the lock, and calls
            its argument there; -1 when no file is open.
        failed: called with the lines that a failed sync leaves in doubt.
    """

    def __init__(
        self,
        duplicate: Callable[[Callable[[], None]], int],
        failed: Callable[[list[bytes]], None],
    ) -> None:
        self.lines: list[bytes] = []
        """Lines that no sync has covered yet; always this one list."""
        self.suspect = False
        """Whether a sync of the active file failed, so that another one proves nothing."""
        self._duplicate = duplicate
        self._failed = failed
        self._retired: list[int] = []
        self._directory: str | None = None
        self._some = threading.Event()
        self._many = threading.Event()
        self._flood = threading.Event()
        self._syncing = threading.Lock()
        self._thread: Background | None = None

    def wake(self) -> None:
        """See to lines that joined ``lines``. Called under the sink's lock."""
        many = len(self.lines) >= RECORDS
        if many:
            self._many.set()
        if len(self.lines) >= FLOOD:
            self._flood.set()
        if not self._wake() and many:
            # There are no threads to be had (a limit, uWSGI without them): every hundredth waits.
            self.sync()

    def retire(self, descriptor: int) -> None:
        """Take the descriptor of a file that is no longer active; it is synced and closed."""
        self._retired.append(descriptor)
        self._wake()

    def names_changed(self, directory: str) -> None:
        """Sync a directory as well the next time."""
        self._directory = directory

    def abandon(self) -> None:
        """Close what a parent would have synced."""
        while self._retired:
            close_quietly(self._retired.pop())

    def sync(self) -> None:
        """Sync now, on the calling thread."""
        with self._syncing:
            batch: list[bytes] = []

            def take() -> None:
                batch.extend(self.lines)
                self.lines.clear()

            descriptor = self._duplicate(take)
            retired, self._retired = self._retired, []
            directory, self._directory = self._directory, None
            if directory is not None:
                sync_directory(directory)
            whole = not self.suspect
            for number in (*retired, descriptor):
                whole = _sync_and_close(number) and whole
        if not whole and (batch or self.suspect):
            self._failed(batch)

    def _wake(self) -> bool:
        """Tell the thread, and start it when there is none; whether there is one now."""
        self._some.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = Background()
            try:
                self._thread.start(self._run, self._thread)
            except RuntimeError:
                # The interpreter may be ending; what runs at exit syncs.
                self._thread = None
        return self._thread is not None

    def stop(self) -> None:
        """Let the thread end; a later line starts another."""
        self._thread = None
        self._many.set()
        self._flood.set()
        self._some.set()

    def _run(self, me: Background) -> None:
        while True:
            self._some.wait()
            # Not cleared: when another thread took over, the signal may be for it.
            if self._thread is not me:
                return
            self._some.clear()
            self._many.wait(SECONDS - _PAUSE)
            self._many.clear()
            try:
                self.sync()
            except OSError:
                # No descriptor to be had for the moment; the lines are still waiting.
                self._some.set()
            self._flood.wait(_PAUSE)
            self._flood.clear()


def _sync_and_close(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    try:
        fdatasync(descriptor)
    except OSError:
        return False
    finally:
        closed = close_quietly(descriptor)
    return closed
