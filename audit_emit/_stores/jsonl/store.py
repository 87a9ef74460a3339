"""The chained file, shared by the threads and processes of a service: locks around a segment.

The thread lock is re-entrant only so that a signal handler or a ``__del__`` that emits in the
middle of an append is recognised: it is told to wait its turn, never let in.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from os import SEEK_END, lseek
from typing import TYPE_CHECKING, Any, TypeVar

from audit_emit._format.record import Receipt, ns_of, unchained_prefix
from audit_emit._runtime.compiled import SinkState, make_mutex
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import is_interrupt, let_through, quietly
from audit_emit._runtime.nonblocking_fd import close_quietly, error_word
from audit_emit._runtime.threads import weakly
from audit_emit._stores.backlog import Backlog
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl import self_records as notes
from audit_emit._stores.jsonl import undeclared as debt
from audit_emit._stores.jsonl.group_commit import MOST, MOST_BYTES, WAKE, GroupCommit, fdatasync
from audit_emit._stores.jsonl.lockfile import LOCK, UNLOCK, LockFile, flock
from audit_emit._stores.jsonl.segment import FRESH_NS, Own, Segment
from audit_emit._stores.jsonl.undeclared import Owed
from audit_emit._stores.jsonl.unsynced import Doubt
from audit_emit.errors import SinkError

if TYPE_CHECKING:
    from audit_emit._runtime.compiled import Mutex

LOCK_SECONDS = 0.045
"""How long one call waits, for all locks and all that others left to do together; the promise is
50 ms. A deadline is passed on from step to step, and 0 means that nothing was waited for yet."""

BATCH_SECONDS = 0.03
"""How long the locks are held for what waits in memory: others wait for them meanwhile."""

SYNC_SECONDS = 10.0
"""How long one call waits for a sync; a disk with much to write can take seconds."""

_NEW_LOCK_SECONDS = 0.005
"""How long nothing is written under a lock file that is new, though the log is not: somebody may
have looked at the one before, and not have written yet."""

LOCK_CHECK_NS = 100_000_000
"""How often the process and the lock file are looked at."""


_R = TypeVar("_R")


class JsonlSink(SinkState):
    """The active segment of one log directory.

    Args:
        path: absolute path of the active segment. Nothing is opened before the first record.
        max_bytes: size at which a segment is closed.
        durability: ``os``, ``group`` or ``always``.
        clock: times and ids.
        own: see ``segment.Own``.
        started, said: see ``Segment``; asked for once per process.
        counters: where records and rotations are counted.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int,
        durability: str,
        clock: Clock,
        own: Own,
        started: Callable[[], dict[str, Any] | None],
        said: Callable[[], object] = bool,
        counters: Counters,
    ) -> None:
        self.layout: segments.Layout = segments.Layout.of(path)
        self._clock = clock
        self._own = own
        self._started = started
        self._said = said
        self._counters = counters
        self._max_bytes = max_bytes
        self.durability = durability
        self.reset()

    def leave_parent(self) -> None:
        """Begin anew in a forked child, whose descriptors would hold the lock of a dead parent."""
        self._lock.close()
        self.segment.abandon()
        if self.group is not None:
            self.group.abandon()
        self.reset()

    def reset(self) -> None:
        """Begin with no file and no lock."""
        self.group: GroupCommit | None = (
            GroupCommit(
                weakly(self._duplicate), weakly(self._sync_failed), weakly(self._sync_worked)
            )
            if self.durability == "group"
            else None
        )
        self._lock = LockFile(self.layout.lock, self.layout.lock_twin)
        self._lock_links = 1
        self.segment: Segment = Segment(
            self.layout,
            max_bytes=self._max_bytes,
            own=self._own,
            started=self._started,
            said=self._said,
            counters=self._counters,
            retire=close_quietly if self.group is None else self.group.retire,
            named=weakly(self._names_changed),
            lock=self._lock,
            crowded=bool if self.group is None else self.group.is_crowded,
        )
        self._lines = self.group.lines if self.group is not None else None
        self._lines_size = 0
        self._calls_again = False
        self._mutex = make_mutex()
        self._busy = False
        self._lock_fd = -1
        self._lock_checked = 0
        self._patient = True
        self._threads_move = True
        self._pid = os.getpid()
        self._doubt = Doubt()
        self.sync_fault: str | None = None
        """Why written records may not survive a loss of power; ``None`` when they do."""

    def __del__(self) -> None:
        # Nobody closed it: what a thread has still to sync is left to the thread.
        with suppress(Exception):
            if self.group is not None:
                self.segment.close()

    @property
    def locks(self) -> bool:
        """Whether processes exclude each other here."""
        return self._lock.supported

    def append(  # noqa: C901, PLR0912, PLR0915 - the hot path: a call costs as much as the hash
        self, part: str, end: str, deadline: float = 0.0
    ) -> tuple[bytes, Receipt]:
        """Stamp, link and write one event.

        Args:
            part, end: the record around its time and its id (``Clock.prefix``).
            deadline: until when to wait for others (``time.monotonic()``); 0 when this is the
                first that waits in this call.

        Returns:
            The line as it is in the file, and its receipt.

        Raises:
            SinkError: it is not in the file.
        """
        mutex = self._mutex
        if not mutex.acquire(False):
            deadline = self._wait_for_threads(mutex, deadline)
        # A signal handler that forked meanwhile has left the child another mutex, which it is
        # without.
        if self._busy or self._mutex is not mutex:
            mutex.release()
            raise SinkError("re-entrant")
        self._busy = True
        # Before the lock: should a signal handler fork from here on, this one refuses to write.
        segment = self.segment
        line = None
        try:
            try:
                flock(self._lock_fd, LOCK)
            except (OSError, ValueError) as error:
                let_through(error)
                deadline = self._lock_slowly(deadline)
            segment.deadline = deadline
            try:
                clock = self._clock
                now = clock.now_ns()
                if (
                    not 0 <= now - segment.fresh < FRESH_NS
                    or lseek(segment.descriptor, 0, SEEK_END) != segment.size
                ):
                    self._look(segment, now, deadline)
                    now = clock.now_ns()
                digits = str(now)
                stamp = clock.stamp
                if digits[:13] != stamp.milli:
                    stamp, digits = clock.renew(now)
                event_id = f"{stamp.id_head}{next(clock.ids)}"
                line, seq, digest = segment.link(
                    f"{stamp.head}{digits[10:]}{part}{event_id}{end}", now
                )
                lines = self._lines
                if lines is not None:
                    lines.append(line)
                    self._lines_size += len(line)
                    if len(lines) in WAKE or self._calls_again or self._lines_size > MOST_BYTES:
                        self._wake()
                elif self.durability == "always":
                    self._sync_now([line])
                return line, Receipt(event_id, segment.chain, seq, digest)
            except Exception as error:
                let_through(error)
                if line is not None:
                    # It is in the file; only what comes after it failed.
                    return line, Receipt(event_id, segment.chain, seq, digest)
                raise SinkError(_word(error)) from error
            finally:
                try:
                    flock(self._lock_fd, UNLOCK)
                except (OSError, ValueError) as error:
                    self._drop_lock()
                    let_through(error)
        finally:
            # A signal handler may have forked here; what is the child's now is not held.
            if self._mutex is mutex:
                self._busy = False
                mutex.release()

    def append_waiting(self, backlog: Backlog, limit: int, deadline: float = 0.0) -> list[bytes]:
        """Link and write events that have their time and id already, oldest first.

        Args:
            backlog: each event leaves it once it is in the file.
            limit: how many to write at most.
            deadline: see ``append``. None is begun that would not be written by then, as long as
                the slowest before it; nor after ``BATCH_SECONDS``, so that the lock is not held
                long.

        Returns:
            The lines that were written; fewer than asked for when the file failed on the way.

        Raises:
            SinkError: nothing was written.
        """
        work = partial(self._write_waiting, backlog, limit, deadline)
        return self._held(work, deadline)

    def _write_waiting(
        self, backlog: Backlog, limit: int, deadline: float, segment: Segment
    ) -> list[bytes]:
        lines: list[bytes] = []
        began = time.monotonic()
        end = began + BATCH_SECONDS
        end = min(end, deadline) if deadline else end
        slowest = 0.0
        while backlog.waiting and len(lines) < limit:
            prefix = backlog.first()
            before = segment.written
            try:
                line = segment.link(prefix, ns_of(prefix[7:37]))[0]
                backlog.pop()
            except BaseException as error:
                if isinstance(error, OSError) and not is_interrupt(error):
                    if lines:
                        break
                elif segment.has_written(before) and backlog.waiting and prefix == backlog.first():
                    backlog.pop()
                raise
            lines.append(line)
            try:
                self._keep(line)
            except Exception as error:  # noqa: BLE001 - it is in the file; only what comes after it failed
                let_through(error)
                break
            now = time.monotonic()
            slowest, began = max(slowest, now - began), now
            if now + slowest > end:
                break
        return lines

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a write, and a signal handler asks."""
        return self._busy and self._mutex._is_owned()  # noqa: SLF001 - nothing public tells

    def append_own(self, event_type: str, fields: dict[str, Any], deadline: float = 0.0) -> None:
        """Write a record of the emitter about itself; its line joins ``segment.unshown``.

        Args:
            event_type, fields: of the record.
            deadline: see ``append``.

        Raises:
            SinkError: it is not in the file.
        """
        self._held(lambda segment: self._keep(segment.declare(event_type, fields)), deadline)

    def owe(self, losses: list[Owed], deadline: float = 0.0) -> bool:
        """Leave losses that cannot be declared in the file to who opens the log next.

        Args:
            losses: of this process, which ends.
            deadline: see ``append``.

        Returns:
            Whether the lock file says so now.

        Raises:
            SinkError: the lock file could not be reached.
        """

        def write(_: Segment) -> bool:
            known = debt.read(self._lock.recall(debt.PLACE, debt.SIZE))
            return self._lock.remember(debt.added(known, losses), debt.PLACE)

        return self._locked(write, deadline)

    def sync(self, seconds: float = SYNC_SECONDS) -> bool:
        """Make everything written so far durable.

        Args:
            seconds: how long to wait for it; a sync for each record is not waited for but made.

        Returns:
            Whether it is; ``sync_trouble`` says why not.

        Raises:
            SinkError: the file could not be reached.
        """
        if self.group is not None:
            if self.is_inside():
                # What this thread writes would have to come to its end first.
                raise SinkError("re-entrant")
            return self.group.sync(seconds) and self.sync_fault is None
        if self.segment.descriptor >= 0 and self.durability == "os":
            self._held(lambda _: self._sync_now([]))
        elif self._doubt.lines:
            fault = self.sync_fault or "fsync-failed"
            self._held(lambda segment: self._distrust([], fault, segment))
        return self.sync_fault is None

    def sync_trouble(self) -> str | None:
        """Why written records may not survive a loss of power, as one word; else ``None``."""
        return self.sync_fault or (self.group.trouble() if self.group is not None else None)

    def close(self, seconds: float = SYNC_SECONDS) -> bool:
        """Sync what waits and give the descriptors back.

        Args:
            seconds: how long to wait for both. What is not synced by then is left to the thread.

        Returns:
            Whether everything is synced.

        Raises:
            SinkError: another thread writes, and does not come to an end.
        """
        deadline = time.monotonic() + seconds
        mutex = self._mutex
        if not mutex.acquire(timeout=max(seconds, 0.0)):
            raise SinkError("lock-timeout")
        try:
            if self._busy:
                raise SinkError("re-entrant")
            self.segment.close()
            self._drop_lock()
        finally:
            mutex.release()
        if self.group is None:
            return True
        synced = self.group.sync(max(deadline - time.monotonic(), 0.0))
        self.group.stop()
        return synced

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if self.group is not None:
            self.group.heal()
        mutex = self._mutex
        if not mutex.acquire(False):
            return  # another thread is in here, and gives both back
        try:
            if not self._busy:
                self._unlock()
        finally:
            mutex.release()
        if not self._busy and mutex._is_owned():  # noqa: SLF001 - nothing public tells
            mutex.release()

    def _held(self, work: Callable[[Segment], _R], deadline: float = 0.0) -> _R:
        """Do something in the critical section, for everything but the hot path."""

        def looked(segment: Segment) -> _R:
            self._look(segment, self._clock.now_ns(), segment.deadline)
            return work(segment)

        return self._locked(looked, deadline)

    def _locked(self, work: Callable[[Segment], _R], deadline: float) -> _R:
        """Do something with both locks, on a segment that nobody has looked at yet.

        No context manager: an interrupt on the way into its block would leave the locks behind.
        """
        mutex = self._mutex
        deadline = self._wait_for_threads(mutex, deadline)
        if self._busy or self._mutex is not mutex:
            mutex.release()
            raise SinkError("re-entrant")
        self._busy = True
        segment = self.segment
        try:
            self._lock_slowly(deadline)
            segment.deadline = deadline
            try:
                done = work(segment)
            except (OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
                let_through(error)
                raise SinkError(_word(error)) from error
            finally:
                try:
                    flock(self._lock_fd, UNLOCK)
                except (OSError, ValueError) as error:
                    self._drop_lock()
                    let_through(error)
        finally:
            if self._mutex is mutex:
                self._busy = False
                mutex.release()
        return done

    def _wait_for_threads(self, mutex: Mutex, deadline: float) -> float:
        """Take the thread lock; the deadline is for all that one call waits for.

        When a thread is stuck in here (its disk hangs), the others wait for it once, not each time.
        """
        now = time.monotonic()
        deadline = deadline or now + LOCK_SECONDS
        patient = self._patient and self._threads_move
        taken = mutex.acquire(
            timeout=min(max(deadline - now, 0.0), LOCK_SECONDS if patient else 0.001)
        )
        self._threads_move = taken
        if not taken:
            raise SinkError("lock-timeout")
        return deadline

    def _lock_slowly(self, deadline: float) -> float:
        """Take the file lock when the first attempt failed: open it, or wait for its holder.

        Returns:
            The deadline, which is a new one when there was none.
        """
        deadline = deadline or time.monotonic() + LOCK_SECONDS
        try:
            opened = self._lock_fd < 0 or not self._lock.is_current()
            if opened:
                self._open_lock()
            taken = self._lock.acquire(deadline if self._patient else 0.0)
            if opened and taken:
                # Should others still hold a lock file that was deleted, they look before this ends.
                new = self._lock.allocate() and segments.is_there(self.layout.active, follow=True)
                time.sleep(_NEW_LOCK_SECONDS if new else 2 * FRESH_NS / 1e9)
        except OSError as error:
            let_through(error)
            raise SinkError(error_word(error)) from error
        # Whoever holds it is frozen; until it moves, nobody here waits for it again.
        self._patient = taken
        if not taken:
            raise SinkError("lock-timeout")
        return deadline

    def _open_lock(self) -> None:
        segments.make_directory(self.layout.directory)
        self._lock_fd = -1
        self._lock.close()
        self._lock.open()
        self._lock_links = self._lock.links
        self._lock_fd = self._lock.descriptor

    def _unlock(self) -> None:
        try:
            flock(self._lock_fd, UNLOCK)
        except (OSError, ValueError) as error:
            self._drop_lock()
            let_through(error)

    def _drop_lock(self) -> None:
        """Close the lock file, which is the other way to give the lock back."""
        self._lock_fd = -1  # first: an interrupt must not leave a number that is somebody else's
        self._lock.close()

    def _look(self, segment: Segment, now: int, deadline: float) -> None:
        """Look whether the file is still the file; and, more rarely, our process and lock ours."""
        if not self._lock.is_linked():
            # Somebody deleted the lock file, and others may hold a lock of another one.
            self._drop_lock()
            self._lock_slowly(deadline)
        segment.look(now)
        if 0 <= now - self._lock_checked < LOCK_CHECK_NS:
            return
        self._lock_checked = now
        if os.getpid() != self._pid:
            # A fork that Python was not told of: the inherited lock excludes nobody.
            self.leave_parent()
            raise SinkError("forked")
        if not self._lock.is_current():
            self._lock_fd = -1
            raise SinkError("lock-replaced")
        if self._lock.length() > debt.PLACE:
            segment.pay()

    def _names_changed(self) -> None:
        """A file was made or renamed: its name is to survive a loss of power as its records do."""
        if self.group is not None:
            self.group.names_changed(self.layout.directory)
        elif self.durability == "always":
            segments.sync_directory(self.layout.directory)

    def _keep(self, line: bytes) -> None:
        """See to the durability of a line just written."""
        if self._lines is not None:
            self._lines.append(line)
            self._lines_size += len(line)
            self._wake()
        elif self.durability == "always":
            self._sync_now([line])

    def _wake(self) -> None:
        """Let the group commit hear of the lines, and forget the oldest when they are too many."""
        group, lines = self.group, self._lines
        if group is None or lines is None:
            return
        if len(lines) >= MOST or self._lines_size > MOST_BYTES:
            # A sync hangs. They are in the file; should it fail, they cannot be written again.
            half = (len(lines) + 1) // 2
            del lines[:half]
            group.forgotten += half
            self._lines_size = sum(map(len, lines))
        self._calls_again = not group.wake()

    def _sync_now(self, lines: list[bytes]) -> None:
        """Sync; the records are in a file either way."""
        try:
            if self._doubt.lines:
                raise OSError(errno.EIO, "what failed to sync once is not trusted again")
            fdatasync(self.segment.descriptor)
            self.sync_fault = None
        except OSError as error:
            let_through(error)
            self._distrust(lines, error_word(error), self.segment)

    def _duplicate(self, take: Callable[[], None], seconds: float) -> int:
        """See ``GroupCommit``."""
        mutex = self._mutex
        if not mutex.acquire(timeout=seconds):
            raise TimeoutError(errno.ETIMEDOUT, "another thread writes, and comes to no end")
        try:
            descriptor = self.segment.descriptor
            copy = os.dup(descriptor) if descriptor >= 0 else -1
            take()
            self._lines_size = 0
            self._calls_again = False
            return copy
        finally:
            mutex.release()

    def _sync_worked(self) -> None:
        self.sync_fault = None
        self._doubt = Doubt()

    def _sync_failed(self, lines: list[bytes], forgotten: int) -> bool:
        """A group sync failed, or was not trusted; whether all is written once more."""
        self.sync_fault = self.sync_fault or "fsync-failed"
        doubt, group = self._doubt, self.group
        doubt.add(lines, forgotten)
        again = False
        if doubt.is_due():
            with quietly(SinkError):
                self._held(lambda segment: self._write_again(segment, list(doubt.lines)))
                # They wait for a sync of the new segment now, which has not failed yet.
                doubt.forget()
                again = True
        if group is not None:
            group.suspect = not again
        return again

    def _distrust(self, lines: list[bytes], fault: str, segment: Segment) -> None:
        """Write records that may not survive into a new segment; keep them until that is synced."""
        self.sync_fault = fault
        self._doubt.add(lines)
        if self._doubt.is_due():
            with quietly(OSError):
                self._write_again(segment, list(self._doubt.lines))
                fdatasync(segment.descriptor)
                self._sync_worked()

    def _write_again(self, segment: Segment, lines: list[bytes]) -> None:
        """Write records in doubt anew, with their time and id, into a segment that can be trusted.

        Raises:
            OSError: there is none to be had.
        """
        if not segment.rotate():
            raise OSError("no new segment after a failed sync")
        written = [segment.declare("audit.gap", notes.rewritten(lines, self._doubt.unsynced))]
        for line in lines:
            prefix = unchained_prefix(line.decode())
            written.append(segment.link(prefix, ns_of(prefix[7:37]))[0])
            segment.unshown.append(written[-1])
        if self._lines is not None:
            self._lines += written
            self._lines_size += sum(map(len, written))


def _word(error: Exception) -> str:
    if isinstance(error, SinkError):
        return error.reason
    return error_word(error) if isinstance(error, OSError) else type(error).__name__
