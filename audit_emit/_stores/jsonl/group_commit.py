"""Group commit: one ``fdatasync`` for all records of the last moments, on its own thread.

A sync can take for ever, and cannot be cancelled. So only the thread syncs: callers of ``sync``
wait for its answer as long as they choose, and hold no lock meanwhile. ``emit`` only puts an item
into a queue, which is one call in C and never waits.

A failed sync is never repeated on the same file: the kernel may have dropped the pages and report
success the next time ("fsyncgate", 2018). The unsynced records are handed back instead.
"""

from __future__ import annotations

import _thread
import queue
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from audit_emit._runtime.files import sync_directory
from audit_emit._runtime.interrupts import Acquisition, let_through
from audit_emit._runtime.threads import Background
from audit_emit._stores.jsonl.retired import Retired, sync_and_close

RECORDS = 100
FLOOD = 5000
"""At this number of lines a sync begins at once, without waiting for more lines to share it."""
MOST = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""How many lines are kept to be written again if their sync fails; older ones are dropped."""
WAKE = (1, RECORDS, FLOOD, MOST)
"""The lengths of ``lines`` at which the thread has to hear of it."""

SECONDS = 0.2
_PAUSE = 0.1
"""Syncs are at least this far apart, so that a burst shares them."""

SLOW_SECONDS = 1.0
"""Seconds after which a hanging sync is reported."""

STALLED = "sync-timeout"
THREADLESS = "no-thread"

_RETRY_SECONDS = 1.0
"""Seconds between two attempts to start a thread after one failed."""

_LOOK_SECONDS = 0.1
"""How often a caller that waits for a sync checks whether the thread still runs."""

_SOME, _MANY, _FLOOD = 1, 2, 3

Duplicate = Callable[[Callable[[], None], float], int | None]
Failed = Callable[[list[bytes], int], bool | None]


class _Waiter:
    """A caller that waits for a sync."""

    def __init__(self) -> None:
        self.done: bool = False
        self._answered = _thread.allocate_lock()
        self._answered.acquire()

    def answer(self, done: bool) -> None:
        self.done = done
        self._answered.release()

    def wait(self, seconds: float) -> bool:
        """Whether there is an answer."""
        return self._answered.acquire(timeout=max(seconds, 0.0))


_Call = _Waiter | list[int] | None
"""Somebody who waits; descriptors that a group left behind; or a sign that there is something."""


class GroupCommit:
    """Collects lines until a sync has covered them.

    Args:
        duplicate: gives a duplicate of the active segment's descriptor, under the lock, and calls
            its first argument there; the second is how many seconds it may wait for the lock. -1
            when no file is open, ``None`` when there is no sink any more.
        failed: called with the lines that a failed sync leaves in doubt, and with how many more
            there were; whether they were written once more, into a file that can be synced.
        synced: called when everything is.
    """

    def __init__(
        self, duplicate: Duplicate, failed: Failed, synced: Callable[[], object] = bool
    ) -> None:
        self.lines: list[bytes] = []
        """Lines that no sync has covered yet; always this one list."""
        self.forgotten: int = 0
        """How many more of them there are."""
        self.suspect: bool = False
        """Whether a sync of the active file failed, so that another one proves nothing."""
        self._duplicate = duplicate
        self._failed = failed
        self._synced = synced
        self._retired = Retired()
        self._directory: str | None = None
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._asked = 0
        """How urgent the most urgent call since the last sync is."""
        self._waiters: list[_Waiter] = []
        self._syncing = threading.RLock()
        """Held by who syncs, which is the thread wherever there is one. It is re-entrant only so
        that a signal handler in the middle of a sync is recognised, and always has a timeout."""
        self._since = 0.0
        """When the sync that is under way began."""
        self._thread: Background | None = None
        self._threadless_since = 0.0
        self._abandoned = False

    def wake(self) -> bool:
        """Have the lines that were added to ``lines`` synced. Takes no lock, waits for nothing.

        Returns:
            Whether there is a thread that will.
        """
        waiting = len(self.lines)
        urgency = _SOME if waiting < RECORDS else _MANY if waiting < FLOOD else _FLOOD
        self._ask(urgency)
        now = time.monotonic()
        if self._threadless_since and now - self._threadless_since < _RETRY_SECONDS:
            return False
        return self._has_thread()

    def retire(self, descriptor: int) -> None:
        """Take over the descriptor of a file that is no longer active, to sync and close it."""
        self._retired.add(descriptor)
        self._ask(_FLOOD if self.is_crowded() else _SOME)
        self._has_thread()

    def is_crowded(self) -> bool:
        """Whether too many files wait for a sync (``retired.CROWD``) to begin a further one."""
        return self._retired.are_many()

    def names_changed(self, directory: str) -> None:
        """Sync a directory as well the next time."""
        self._directory = directory

    def abandon(self) -> None:
        """Close, in a forked child, the files that the parent syncs, and release those who wait."""
        self._abandoned = True
        self._retired.close()

    def sync(self, seconds: float) -> bool:
        """Sync now.

        Args:
            seconds: how long to wait for it. Where there is no thread to be had, the sync is made
                here, and takes what it takes.

        Returns:
            Whether everything written so far is synced.
        """
        deadline = time.monotonic() + seconds
        waiter = _Waiter()
        if self._has_thread():
            self._calls.put(waiter)
        while self._has_thread():
            left = deadline - time.monotonic()
            if waiter.wait(min(left, _LOOK_SECONDS)):
                return waiter.done
            if left <= 0 or self._abandoned:
                return False
        return not self._abandoned and self._sync_here(max(deadline - time.monotonic(), 0.0))

    def trouble(self) -> str | None:
        """Why records wait for a sync, as one word: it hangs, or nobody is there to do it."""
        since = self._since
        if since and time.monotonic() - since > SLOW_SECONDS:
            return STALLED
        return THREADLESS if self._threadless_since else None

    def heal(self) -> None:
        """Give back a lock that an interrupt left behind between taking and using it."""
        if not self._since and self._syncing._is_owned():  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
            self._syncing.release()

    def stop(self) -> None:
        """Let the thread end; a later line starts another."""
        self._thread = None
        self._calls.put(None)

    def __del__(self) -> None:
        # The sink is gone, and nobody closed it.
        try:
            retired, self._retired = self._retired, Retired()
            self._calls.put(retired.descriptors)
            if retired.descriptors and not self._has_thread():
                retired.close()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def _ask(self, urgency: int) -> None:
        # Once is enough: under the lock, the thread forgets what it was asked and takes the lines.
        if urgency > self._asked:
            # In this order, should an interrupt come between.
            self._calls.put(None)
            self._asked = urgency

    def _has_thread(self) -> bool:
        """Start the thread when there is none; whether there is one now."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        thread = self._thread = Background()
        try:
            thread.start(_serve, weakref.ref(self), self._calls, thread)
        except RuntimeError as error:
            let_through(error)
            # A limit, uWSGI without threads, an interpreter that ends: who flushes syncs.
            self._thread = None
            self._threadless_since = time.monotonic()
            return False
        self._threadless_since = 0.0
        self._calls.put(None)
        return True

    def _leave(self) -> None:
        """Close the files that were retired while the thread made its last sync before it ends."""
        if self._thread is None and self._retired.descriptors:
            self._sync_here(_RETRY_SECONDS)

    def _note(self, call: _Call) -> None:
        if isinstance(call, _Waiter):
            self._waiters.append(call)
        elif call is not None:
            self._retired.descriptors += call

    def _round(self, me: Background) -> None:
        """Wait a moment for further records, and sync them together; on the thread."""
        self._pause(_MANY, SECONDS - _PAUSE, me)
        done = self._sync_here(_RETRY_SECONDS)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.answer(done)
        self._pause(_FLOOD, _PAUSE, me)
        if self._asked or self._waiters or self._thread is not me:
            self._calls.put(None)

    def _pause(self, urgency: int, seconds: float, me: Background) -> None:
        """Wait until there is a call that is so urgent, or time is up."""
        deadline = time.monotonic() + seconds
        while self._asked < urgency and not self._waiters and self._thread is me:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            with suppress(queue.Empty):
                self._note(self._calls.get(timeout=left))

    def _sync_here(self, seconds: float) -> bool:
        """Sync on this thread; whether everything is synced now."""
        syncing, acquisition = self._syncing, Acquisition()
        deadline = time.monotonic() + seconds
        try:
            if not acquisition.acquire(syncing, seconds):
                return False
            if self._since:
                return False  # a signal handler, in the middle of the sync of its own thread
            self._since = time.monotonic()
            try:
                whole, again = self._cover(deadline)
                return self._cover(deadline)[0] if again else whole
            except OSError as error:
                let_through(error)
                # No descriptor to be had for the moment, or a lock; the lines are still waiting.
                self._ask(_SOME)
                return False
            finally:
                self._since = 0.0
        finally:
            if True in acquisition:
                syncing.release()

    def _cover(self, deadline: float) -> tuple[bool, bool]:
        """Sync what was written so far.

        Returns:
            Whether everything is synced; if not, whether it was written once more, to be synced.
        """
        batch: list[bytes] = []
        numbers: list[int] = []
        forgotten = 0

        def take() -> None:
            nonlocal forgotten
            self._asked = 0
            batch.extend(self.lines)
            self.lines.clear()
            numbers.extend(self._retired.descriptors)
            self._retired.descriptors.clear()
            forgotten, self.forgotten = self.forgotten, 0

        number = self._duplicate(take, max(deadline - time.monotonic(), 0.0))
        if number is None:
            take()
        else:
            numbers.append(number)
        directory, self._directory = self._directory, None
        if directory is not None:
            sync_directory(directory)
        unsure, self._retired.unsure = self._retired.unsure, False
        whole = not (self.suspect or unsure)
        try:
            while numbers:
                whole = sync_and_close(numbers.pop(0)) and whole
        except BaseException:
            # Without threads it may be the main one that is interrupted here.
            self.lines[:0] = batch
            self.forgotten += forgotten
            self._retired.descriptors += numbers
            raise
        if whole:
            self._synced()
        elif batch or forgotten or self.suspect or unsure:
            return False, bool(self._failed(batch, forgotten))
        return whole, False


def _serve(
    reference: weakref.ref[GroupCommit], calls: queue.SimpleQueue[_Call], me: Background
) -> None:
    """Sync for a group as long as there is one; holds it alive only while it syncs."""
    while True:
        call = calls.get()
        group = reference()
        if group is None:
            break
        if group._thread is not me:  # noqa: SLF001
            calls.put(call)  # for the one that serves now
            group._leave()  # noqa: SLF001
            return
        group._note(call)  # noqa: SLF001
        del call
        group._round(me)  # noqa: SLF001
        del group
        if reference() is None:
            call = None
            break
    while True:
        for number in call if isinstance(call, list) else ():
            sync_and_close(number)
        try:
            call = calls.get_nowait()
        except queue.Empty:
            calls.put(None)  # for another thread that has to end and has not read its call yet
            return
