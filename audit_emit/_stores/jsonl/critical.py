"""The critical section around the active segment: a thread lock, and the lock between processes.

The thread lock is re-entrant only so that a signal handler or a ``__del__`` that emits in the
middle of an append is recognised: its event is refused as ``re-entrant``, never written in between.

A forked child makes a new critical section. The parent's is marked as ``gone`` there, so that a
call which began in the parent and continues in the child neither writes nor releases a lock.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, TypeVar

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import error_word
from audit_emit._runtime.owned_fds import identity_of
from audit_emit._stores.jsonl import declaring, undeclared
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl.lockfile import UNLOCK, LockFile, flock
from audit_emit._stores.jsonl.rotation import FRESH_NS
from audit_emit._stores.jsonl.segment import Segment
from audit_emit.errors import SinkError

__all__ = ["LOCK_CHECK_NS", "LOCK_SECONDS", "NO_ROOM", "TURN_SECONDS", "CriticalSection", "word_of"]

LOCK_SECONDS = 0.045
"""Seconds that one call waits for everything together; the documented bound is 50 ms. A deadline is
passed on from step to step; 0 means that nothing was waited for yet."""

TURN_SECONDS = 0.004
"""How long a thread waits for another one that is writing, before it goes the other way. Where many
threads serve requests, the writing thread waits for the interpreter afterwards, and the others that
emit meanwhile find its lock taken: the way in Python costs them four times as much. Together with
what that way waits for it stays within the promise of 50 ms."""

_NEW_LOCK_SECONDS = 0.005
"""How long nothing is written under a lock file that is new, though the log is not: somebody may
have looked at the one before, and not have written yet."""

LOCK_CHECK_NS = 100_000_000
"""How often the process and the lock file are looked at."""

NO_ROOM = (RecursionError, MemoryError)
"""Exceptions that are no failure of a system call: the guard of ``emit`` handles them."""

_R = TypeVar("_R")


class CriticalSection:
    """Both locks, and the segment that they protect.

    Args:
        layout: the paths.
        segment: is written to only while both locks are held.
        lock: of the processes.
        forked: called when this turns out to be another process than the one it was made in.
    """

    def __init__(
        self,
        layout: segments.Layout,
        segment: Segment,
        lock: LockFile,
        forked: Callable[[], object],
    ) -> None:
        self.segment: Segment = segment
        self.mutex = threading.RLock()
        self.busy: bool = False
        """Whether a thread is inside."""
        self.gone: bool = False
        """Whether this is the parent's, in a forked child."""
        self.lock: LockFile = lock
        self.lock_fd: int = -1
        """The descriptor of the lock file while it can be used."""
        self._layout = layout
        self._forked = forked
        self.place: tuple[Any, ...] | None = None
        """What the compiled part has to know beside the end of the chain (``compiled_append``):
        empty when it can be put together, ``None`` when the store has to look at everything."""
        self.lock_check: int = 0
        """When the process and the lock are looked at next, of ``time.monotonic_ns``."""
        self._patient = True
        self._threads_move = True
        self._pid = os.getpid()

    def abandon(self) -> None:
        """Close everything in a forked child."""
        self.gone = True
        self.place = None
        self.lock_fd = -1
        self.lock.abandon()
        self.segment.abandon()

    @property
    def is_moving(self) -> bool:
        """Whether the thread that waited last for a lock has got it."""
        return self._patient and self._threads_move

    def wait_turn(self) -> bool:
        """Take the thread lock, which was not free, if it is in a moment; whether it is taken."""
        return self.is_moving and self.mutex.acquire(timeout=TURN_SECONDS)

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a write, and a signal handler asks."""
        return self.busy and self._is_owned()

    def _is_owned(self) -> bool:
        return bool(self.mutex._is_owned())  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells

    def held(self, work: Callable[[Segment], _R], deadline: float = 0.0) -> _R:
        """Call ``work`` with both locks held, on a segment whose end is known.

        Raises:
            SinkError: it could not be done.
        """

        def looked(segment: Segment) -> _R:
            self.look(segment, monotonic_ns(), segment.deadline)
            return work(segment)

        return self.locked(looked, deadline)

    def locked(self, work: Callable[[Segment], _R], deadline: float = 0.0) -> _R:
        """Call ``work`` with both locks held, on a segment that was not looked at yet.

        No context manager: an interrupt on the way into its block would leave the locks behind.

        Raises:
            SinkError: it could not be done.
        """
        deadline = self.wait_for_threads(deadline)
        if self.busy or self.gone:
            self.mutex.release()
            raise SinkError("re-entrant")
        self.busy = True
        self.place = None
        segment = self.segment
        try:
            self.lock_slowly(deadline)
            segment.deadline = deadline
            try:
                done = work(segment)
            except (*NO_ROOM, SinkError):
                raise
            except Exception as error:
                let_through(error)
                raise SinkError(word_of(error)) from error
            finally:
                # No call before this one: an interrupt there would leave the lock behind.
                try:
                    flock(self.lock_fd, UNLOCK)
                except Exception as error:  # noqa: BLE001 - an audit hook raises what it likes
                    self.drop_lock()
                    let_through(error)
        finally:
            # A signal handler may have forked here; what is the child's now is not held.
            if not self.gone:
                self.busy = False
                self.mutex.release()
        return done

    def wait_for_threads(self, deadline: float) -> float:
        """Take the thread lock; the deadline is for all that one call waits for.

        When a thread is stuck in here (its disk hangs), the others wait for it once, not each time.
        """
        now = time.monotonic()
        deadline = deadline or now + LOCK_SECONDS
        taken = self.mutex.acquire(
            timeout=min(max(deadline - now, 0.0), LOCK_SECONDS if self.is_moving else 0.001)
        )
        self._threads_move = taken
        if not taken:
            raise SinkError("lock-timeout")
        return deadline

    def lock_slowly(self, deadline: float) -> float:
        """Take the file lock when the first attempt failed: open it, or wait for its holder.

        Returns:
            The deadline, which is a new one when there was none.
        """
        deadline = deadline or time.monotonic() + LOCK_SECONDS
        try:
            opened = self.lock_fd < 0 or not self.lock.is_current()
            if opened:
                self._open_lock()
            taken = self.lock.acquire(deadline if self._patient else 0.0)
            if opened and taken:
                # Should others still hold a lock file that was deleted, they look before this ends.
                new = self.lock.allocate() and segments.is_there(self._layout.active, follow=True)
                time.sleep(_NEW_LOCK_SECONDS if new else 2 * FRESH_NS / 1e9)
        except OSError as error:
            let_through(error)
            raise SinkError(error_word(error)) from error
        except NO_ROOM:
            raise
        except Exception as error:
            # An audit hook (PEP 578) raises what it likes, also when the lock is held.
            self.drop_lock()
            let_through(error)
            raise SinkError(word_of(error)) from error
        # If it was not taken, its holder hangs: no thread here waits for it until it is released.
        self._patient = taken
        if not taken:
            raise SinkError("lock-timeout")
        return deadline

    def _open_lock(self) -> None:
        segments.make_directory(self._layout.directory)
        self.lock_fd = -1
        self.lock.close()
        self.lock.open()
        self.lock_fd = self.lock.descriptor

    def _unlock(self) -> None:
        try:
            if identity_of(self.lock_fd) == self.lock.identity:
                flock(self.lock_fd, UNLOCK)
            else:
                # The number is another file's, whose lock is not ours to give back.
                self.drop_lock()
        except Exception as error:  # noqa: BLE001 - as in ``locked``
            self.drop_lock()
            let_through(error)

    def drop_lock(self) -> None:
        """Close the lock file, which releases the lock as well."""
        self.place = None
        self.lock_fd = -1  # first: an interrupt must not leave a number that is somebody else's
        self.lock.close()

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if not self.mutex.acquire(False):
            return  # another thread is in here, and gives both back
        try:
            if not self.busy:
                self._unlock()
        finally:
            self.mutex.release()
        if not self.busy and self._is_owned():
            self.mutex.release()

    def close(self, seconds: float) -> None:
        """Close the descriptors.

        Raises:
            SinkError: another thread writes, and does not come to an end within some seconds.
        """
        if not self.mutex.acquire(timeout=max(seconds, 0.0)):
            raise SinkError("lock-timeout")
        try:
            if self.busy:
                raise SinkError("re-entrant")
            self.place = None
            self.segment.close()
            self.drop_lock()
        finally:
            self.mutex.release()

    def look(self, segment: Segment, now: int, deadline: float) -> None:
        """Look whether the file is still the file; and, more rarely, our process and lock ours.

        Args:
            segment: the file.
            now: of ``time.monotonic_ns``.
            deadline: until when to wait, should the lock have to be taken anew.
        """
        if not self.lock.is_linked():
            # Somebody deleted the lock file, and others may hold a lock of another one.
            self.drop_lock()
            self.lock_slowly(deadline)
        segment.look(now)
        if now < self.lock_check <= now + LOCK_CHECK_NS:
            return
        self.lock_check = now + LOCK_CHECK_NS
        if os.getpid() != self._pid:
            # A fork without the hooks of Python: the inherited lock excludes no other process.
            self._forked()
            raise SinkError("forked")
        if not self.lock.is_current():
            self.lock_fd = -1
            raise SinkError("lock-replaced")
        if self.lock.length() > undeclared.PLACE:
            declaring.pay(segment)


def word_of(error: Exception) -> str:
    """Why something failed, as one word."""
    if isinstance(error, SinkError):
        return error.reason
    return error_word(error) if isinstance(error, OSError) else type(error).__name__
