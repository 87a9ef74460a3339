"""The chained file, shared by the threads and processes of a service: locks around a segment.

The thread lock is re-entrant only so that a signal handler or a ``__del__`` that emits in the
middle of an append is recognised: it is told to wait its turn, never let in.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import SEEK_END, lseek
from typing import TYPE_CHECKING, Any

from audit_emit._backlog import Backlog
from audit_emit._clock import Clock
from audit_emit._compiled import SinkState, make_mutex
from audit_emit._failure import Counters
from audit_emit.record import Receipt, ns_of, unchained_prefix
from audit_emit.sinks import notes, segments
from audit_emit.sinks.descriptor import close_quietly, error_word
from audit_emit.sinks.doubt import Doubt
from audit_emit.sinks.groupcommit import WAKE, GroupCommit, fdatasync
from audit_emit.sinks.lockfile import LOCK, UNLOCK, LockFile, flock
from audit_emit.sinks.segment import FRESH_NS, Own, Segment

if TYPE_CHECKING:
    from audit_emit._compiled import Mutex

LOCK_SECONDS = 0.045
"""How long one call waits for the locks, all together; the promise is 50 ms."""

LOCK_CHECK_NS = 100_000_000
"""How often the process and the lock file are looked at."""


class SinkError(Exception):
    """A record could not be put into the file; ``reason`` is one word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JsonlSink(SinkState):
    """The active segment of one log directory.

    Args:
        path: absolute path of the active segment. Nothing is opened before the first record.
        max_bytes: size at which a segment is closed.
        durability: ``os``, ``group`` or ``always``.
        clock: times and ids.
        own: see ``segment.Own``.
        started: the ``fields`` of ``audit.started``, asked for once per process.
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
        counters: Counters,
    ) -> None:
        self.layout: segments.Layout = segments.Layout.of(path)
        self._clock = clock
        self._own = own
        self._started = started
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
            GroupCommit(self._duplicate, self._sync_failed) if self.durability == "group" else None
        )
        self._lock = LockFile(self.layout.lock)
        self.segment: Segment = Segment(
            self.layout,
            max_bytes=self._max_bytes,
            own=self._own,
            started=self._started,
            counters=self._counters,
            retire=close_quietly if self.group is None else self.group.retire,
            named=self._names_changed,
            lock=self._lock,
        )
        self._lines = self.group.lines if self.group is not None else None
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

    @property
    def locks(self) -> bool:
        """Whether processes exclude each other here."""
        return self._lock.supported

    def append(  # noqa: C901, PLR0912 - the hot path: a call costs as much as the hash
        self, part: str, end: str
    ) -> tuple[bytes, Receipt]:
        """Stamp, link and write one event.

        Args:
            part, end: the record around its time and its id (``Clock.prefix``).

        Returns:
            The line as it is in the file, and its receipt.

        Raises:
            SinkError: it is not in the file.
        """
        deadline = 0.0
        mutex = self._mutex
        if not mutex.acquire(False):
            deadline = self._wait_for_threads(mutex)
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
            except (OSError, ValueError):
                self._lock_slowly(deadline)
            try:
                clock = self._clock
                now = clock.now_ns()
                if (
                    not 0 <= now - segment.fresh < FRESH_NS
                    or lseek(segment.descriptor, 0, SEEK_END) != segment.size
                ):
                    self._look(segment, now)
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
                    if len(lines) in WAKE:
                        self.group.wake()  # type: ignore[union-attr]
                elif self.durability == "always":
                    self._sync_now([line])
                return line, Receipt(event_id, segment.chain, seq, digest)
            except Exception as error:
                if line is not None:
                    # It is in the file; only what comes after it failed.
                    return line, Receipt(event_id, segment.chain, seq, digest)
                raise SinkError(_word(error)) from error
            finally:
                try:
                    flock(self._lock_fd, UNLOCK)
                except (OSError, ValueError):
                    self._drop_lock()
        finally:
            # A signal handler may have forked here; what is the child's now is not held.
            if self._mutex is mutex:
                self._busy = False
                mutex.release()

    def append_waiting(self, backlog: Backlog, limit: int) -> list[bytes]:
        """Link and write events that have their time and id already, oldest first.

        Args:
            backlog: each event leaves it once it is in the file.
            limit: how many to write at most, so that the lock is not held long.

        Returns:
            The lines that were written; fewer than asked for when the file failed on the way.

        Raises:
            SinkError: nothing was written.
        """
        lines: list[bytes] = []
        with self._held() as segment:
            while backlog.waiting and len(lines) < limit:
                prefix = backlog.waiting[0]
                before = segment.written
                try:
                    line = segment.link(prefix, ns_of(prefix[7:37]))[0]
                    backlog.pop()
                except OSError:
                    if not lines:
                        raise
                    break
                except BaseException:
                    if segment.has_written(before) and prefix in list(backlog.waiting)[:1]:
                        backlog.pop()
                    raise
                lines.append(line)
                try:
                    self._keep(line)
                except Exception:  # noqa: BLE001 - it is in the file; only what comes after it failed
                    break
        return lines

    def append_own(self, event_type: str, fields: dict[str, Any]) -> None:
        """Write a record of the emitter about itself; its line joins ``segment.unshown``.

        Raises:
            SinkError: it is not in the file.
        """
        with self._held() as segment:
            self._keep(segment.declare(event_type, fields))

    def sync(self) -> bool:
        """Make everything written so far durable, on the calling thread.

        Returns:
            Whether it is; ``sync_fault`` says why not.

        Raises:
            SinkError: the file could not be reached.
        """
        if self.group is not None:
            try:
                self.group.sync()
            except OSError:
                return False
        elif self.segment.descriptor >= 0 and self.durability == "os":
            with self._held():
                self._sync_now([])
        elif self._doubt.lines:
            with self._held() as segment:
                self._distrust([], self.sync_fault or "fsync-failed", segment)
        return self.sync_fault is None

    def close(self) -> None:
        """Sync what waits and give the descriptors back."""
        if self.group is not None:
            with suppress(OSError):  # no number for a duplicate; what is closed is synced below
                self.group.sync()
        with self._mutex:
            self.segment.close()
            self._lock.close()
            self._lock_fd = -1
        if self.group is not None:
            self.group.sync()
            self.group.stop()

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
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

    @contextmanager
    def _held(self) -> Iterator[Segment]:
        """The critical section, for everything but the hot path."""
        mutex = self._mutex
        deadline = self._wait_for_threads(mutex)
        if self._busy or self._mutex is not mutex:
            mutex.release()
            raise SinkError("re-entrant")
        self._busy = True
        segment = self.segment
        try:
            self._lock_slowly(deadline)
            try:
                self._look(segment, self._clock.now_ns())
                yield segment
            except (OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
                raise SinkError(_word(error)) from error
            finally:
                try:
                    flock(self._lock_fd, UNLOCK)
                except (OSError, ValueError):
                    self._drop_lock()
        finally:
            if self._mutex is mutex:
                self._busy = False
                mutex.release()

    def _wait_for_threads(self, mutex: Mutex) -> float:
        """Take the thread lock; the deadline is for both locks together.

        When a thread is stuck in here (its disk hangs), the others wait for it once, not each time.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        patient = self._patient and self._threads_move
        taken = mutex.acquire(timeout=LOCK_SECONDS if patient else 0.001)
        self._threads_move = taken
        if not taken:
            raise SinkError("lock-timeout")
        return deadline

    def _lock_slowly(self, deadline: float) -> None:
        """Take the file lock when the first attempt failed: open it, or wait for its holder."""
        if not self._patient:
            deadline = 0.0
        elif not deadline:
            deadline = time.monotonic() + LOCK_SECONDS
        try:
            opened = self._lock_fd < 0 or not self._lock.is_current()
            if opened:
                self._open_lock()
            taken = self._lock.acquire(deadline)
            if opened and taken:
                # Should others still hold a lock file that was deleted, they look before this ends.
                time.sleep(2 * FRESH_NS / 1e9)
        except OSError as error:
            raise SinkError(error_word(error)) from error
        # Whoever holds it is frozen; until it moves, nobody here waits for it again.
        self._patient = taken
        if not taken:
            raise SinkError("lock-timeout")

    def _open_lock(self) -> None:
        segments.make_directory(self.layout.directory)
        self._lock.close()
        self._lock_fd = -1
        self._lock.open()
        self._lock_fd = self._lock.descriptor

    def _unlock(self) -> None:
        try:
            flock(self._lock_fd, UNLOCK)
        except (OSError, ValueError):
            self._drop_lock()

    def _drop_lock(self) -> None:
        """Close the lock file, which is the other way to give the lock back."""
        self._lock.close()
        self._lock_fd = -1

    def _look(self, segment: Segment, now: int) -> None:
        """Look whether the file is still the file; and, more rarely, our process and lock ours."""
        if not self._lock.is_linked():
            # Somebody deleted the lock file, and others may hold a lock of another one.
            self._drop_lock()
            self._lock_slowly(0.0)
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
            self.group.wake()  # type: ignore[union-attr]
        elif self.durability == "always":
            self._sync_now([line])

    def _sync_now(self, lines: list[bytes]) -> None:
        """Sync; the records are in a file either way."""
        try:
            if self._doubt.lines:
                raise OSError(errno.EIO, "what failed to sync once is not trusted again")
            fdatasync(self.segment.descriptor)
            self.sync_fault = None
        except OSError as error:
            self._distrust(lines, error_word(error), self.segment)

    def _duplicate(self, take: Callable[[], None]) -> int:
        with self._mutex:
            descriptor = self.segment.descriptor
            copy = os.dup(descriptor) if descriptor >= 0 else -1
            take()
            return copy

    def _sync_failed(self, lines: list[bytes]) -> None:
        """A group sync failed, or was not trusted."""
        self.sync_fault = self.sync_fault or "fsync-failed"
        try:
            with self._held() as segment:
                self._distrust(lines, self.sync_fault, segment)
        except SinkError:
            self._doubt.add(lines)

    def _distrust(self, lines: list[bytes], fault: str, segment: Segment) -> None:
        """Write records that may not survive into a new segment; keep them until that is synced."""
        self.sync_fault = fault
        self._doubt.add(lines)
        if self._doubt.is_due():
            with suppress(OSError):
                self._write_again(segment, list(self._doubt.lines))
                fdatasync(segment.descriptor)
                self._doubt = Doubt()
                self.sync_fault = None
        if self.group is not None:
            self.group.suspect = bool(self._doubt.lines)

    def _write_again(self, segment: Segment, lines: list[bytes]) -> None:
        """Write records in doubt anew, with their time and id, into a segment that can be trusted.

        Raises:
            OSError: there is none to be had.
        """
        if not segment.rotate():
            raise OSError("no new segment after a failed sync")
        segment.declare("audit.gap", notes.rewritten(lines, self._doubt.unsynced))
        for line in lines:
            prefix = unchained_prefix(line.decode())
            segment.unshown.append(segment.link(prefix, ns_of(prefix[7:37]))[0])


def _word(error: Exception) -> str:
    if isinstance(error, SinkError):
        return error.reason
    return error_word(error) if isinstance(error, OSError) else type(error).__name__
