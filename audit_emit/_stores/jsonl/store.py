"""The chained file as a store, shared by the threads and processes of a service."""

from __future__ import annotations

import time
from os import SEEK_END, lseek
from time import monotonic_ns

from audit_emit._format.record import Head
from audit_emit._runtime import compiled
from audit_emit._runtime.interrupts import is_interrupt, let_through
from audit_emit._runtime.threads import weak_callback
from audit_emit._stores.base import (
    SYNC_SECONDS,
    Draft,
    Lent,
    Linked,
    Loss,
    Record,
    StoreHealth,
    Traits,
    nothing_done,
)
from audit_emit._stores.jsonl import undeclared
from audit_emit._stores.jsonl.compiled_append import CompiledAppend
from audit_emit._stores.jsonl.critical import NO_ROOM, CriticalSection, word_of
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._stores.jsonl.durability import Durability
from audit_emit._stores.jsonl.lockfile import LOCK, UNLOCK, LockFile, flock
from audit_emit._stores.jsonl.obstacle import obstacle
from audit_emit._stores.jsonl.rotation import FRESH_NS
from audit_emit._stores.jsonl.segment import Segment
from audit_emit.errors import SinkError

__all__ = ["BATCH_SECONDS", "JsonlStore"]

BATCH_SECONDS = 0.03
"""How long the locks are held for many records: others wait for them meanwhile."""


class JsonlStore:
    """The active segment of one log directory; see ``ChainStore`` for its methods.

    Args:
        path: absolute path of the active segment. Nothing is opened before the first record.
        max_bytes: size at which a segment is closed.
        durability: ``os``, ``group`` or ``always``.
    """

    traits: Traits = Traits(leaves_word=True, quick=True)
    sink: str = "jsonl"

    def __init__(self, path: str, *, max_bytes: int, durability: str) -> None:
        self.layout: Layout = Layout.of(path)
        self._max_bytes = max_bytes
        self._how = durability

    def attach(self, lent: Lent) -> None:
        """Belong to an emitter."""
        self._lent = lent
        self._clock = lent.clock
        self._begin()

    def _begin(self) -> None:
        """Start without a file and without a lock."""
        lock = LockFile(self.layout.lock, self.layout.lock_twin)
        self.durability: Durability = Durability(self._how, self.layout.directory)
        segment = Segment(
            self.layout,
            max_bytes=self._max_bytes,
            lent=self._lent,
            retire=self.durability.retire,
            named=weak_callback(self.durability.names_changed),
            lock=lock,
            crowded=self.durability.crowded,
        )
        self.section: CriticalSection = CriticalSection(
            self.layout, segment, lock, weak_callback(self.after_fork)
        )
        self.durability.serve(self.section)
        self.record: Record = nothing_done
        if compiled.append is not None and self._how != "always":
            self.record = CompiledAppend(
                self.section, self._clock, self.durability, compiled.append
            ).record

    def after_fork(self) -> None:
        """Start anew in a forked child, whose descriptors would keep the lock of a dead parent."""
        self.section.abandon()
        self.durability.abandon()
        self._begin()

    def __del__(self) -> None:
        # Nobody closed it: what a thread has still to sync is left to the thread.
        try:
            if self.durability.group is not None:
                self.segment.close()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    @property
    def segment(self) -> Segment:
        """The active segment."""
        return self.section.segment

    @property
    def unreturned(self) -> bool:
        """Whether there are records that an append of no drafts would return."""
        return bool(self.section.segment.records)

    def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        """Link and write records; see ``ChainStore.append``."""
        section = self.section
        if not section.mutex.acquire(False):
            deadline = section.wait_for_threads(deadline)
        # A signal handler that forked meanwhile has left the child another section.
        if section.busy or section.gone:
            section.mutex.release()
            raise SinkError("re-entrant")
        section.busy = True
        # Before the file lock: should a signal handler fork from here on, this segment is abandoned
        # in the child, and refuses to write.
        segment = section.segment
        records: list[Linked] = []
        try:
            # Kept here first: what follows a call must be in the reach of ``finally``.
            records = self._append_locked(section, segment, drafts, deadline)
            return records
        except (*NO_ROOM, SinkError):
            raise
        except Exception as error:
            let_through(error)
            raise SinkError(word_of(error)) from error
        finally:
            # A signal handler may have forked here; what is the child's now is not held.
            if not section.gone:
                section.busy = False
                try:
                    section.mutex.release()
                except BaseException:
                    # Released, but a signal handler raised: the next call returns them.
                    section.place = None
                    segment.records[:0] = records
                    raise

    def _append_locked(
        self, section: CriticalSection, segment: Segment, drafts: list[Draft], deadline: float
    ) -> list[Linked]:
        """Append with the lock between processes; the thread lock is held."""
        asked = len(drafts)
        section.place = None
        if not 0 <= monotonic_ns() - segment.fresh < FRESH_NS and not section.lock.is_linked():
            # The number may be a file of the application's by now, which is not ours to lock.
            section.drop_lock()
        try:
            flock(section.lock_fd, LOCK)
        except NO_ROOM:
            raise
        except Exception as error:  # noqa: BLE001 - an audit hook raises what it likes
            let_through(error)
            deadline = section.lock_slowly(deadline)
        segment.deadline = deadline
        try:
            if drafts and drafts[0].process is not self._clock.process:
                raise SinkError("forked")
            now = monotonic_ns()
            if (
                not 0 <= now - segment.fresh < FRESH_NS
                or lseek(segment.descriptor, 0, SEEK_END) != segment.size
            ):
                section.look(segment, now, deadline)
            self._link_all(segment, drafts, deadline)
        except Exception as error:
            let_through(error)
            # When all are in the file, only what comes after that failed.
            if drafts or not asked:
                records, segment.records = segment.records, []
                raise SinkError(word_of(error), records) from error
        finally:
            try:
                flock(section.lock_fd, UNLOCK)
            except Exception as error:  # noqa: BLE001 - as above
                section.drop_lock()
                let_through(error)
        records, segment.records = segment.records, []
        section.place = ()
        return records

    def _link_all(self, segment: Segment, drafts: list[Draft], deadline: float) -> None:
        """Write drafts, as long as there is time for one that takes as long as the slowest."""
        if len(drafts) == 1:
            self._link(segment, drafts)
            return
        began = time.monotonic()
        end = began + BATCH_SECONDS
        end = min(end, deadline) if deadline else end
        slowest = 0.0
        while drafts:
            self._link(segment, drafts)
            now = time.monotonic()
            slowest, began = max(slowest, now - began), now
            if now + slowest > end:
                return

    def _link(self, segment: Segment, drafts: list[Draft]) -> None:
        """Write the first draft, which leaves the list when it is in the file."""
        draft = drafts[0]
        try:
            linked = segment.link(draft)
            del drafts[0]
        except BaseException as error:
            failed = isinstance(error, OSError) and not is_interrupt(error)
            if not failed and draft in drafts[:1] and segment.has_written(draft):
                del drafts[0]
                self._settle(segment)
            raise
        segment.own_written += linked.own
        self.durability.keep(linked.line)

    def _settle(self, segment: Segment) -> None:
        """Account for a record when something was raised right after the write."""
        unheard = segment.unheard()
        if unheard is not None:
            if unheard not in segment.records[-1:]:
                segment.records.append(unheard)
            segment.written += 1
            segment.own_written += unheard.own
            self.durability.keep(unheard.line)

    def sync(self, seconds: float = SYNC_SECONDS) -> bool:
        """Make everything written so far durable; see ``ChainStore.sync``."""
        return self.durability.sync(self.section, seconds)

    def head(self) -> Head | None:
        """The end of the chain as this process knows it."""
        return self.segment.head if self.segment.seq else None

    def health(self) -> StoreHealth:
        """Its state; a file that is not open yet is looked at from outside."""
        segment = self.segment
        return StoreHealth(
            written=segment.written,
            own=segment.own_written,
            taken_away=segment.taken_away,
            last_taken_away=segment.last_taken_away,
            last_ns=segment.last_ns,
            chain=segment.chain,
            seq=segment.seq,
            fault=obstacle(self.layout) if segment.descriptor < 0 else None,
            unsynced=self.durability.trouble(),
            exclusive=self.section.lock.supported,
            place=self.layout.active,
            durability=self._how,
        )

    def leave_word(self, losses: list[Loss]) -> bool:
        """Leave losses in the lock file, for the process that opens the log next."""

        def write(_: Segment) -> bool:
            lock = self.section.lock
            known = undeclared.read(lock.recall(undeclared.PLACE, undeclared.SIZE))
            return lock.remember(undeclared.added(known, losses), undeclared.PLACE)

        return self.section.locked(write)

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a write, and a signal handler asks."""
        return self.section.is_inside()

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        self.durability.heal()
        self.section.heal()

    def close(self, seconds: float = SYNC_SECONDS) -> bool:
        """Sync what waits and close the descriptors; whether everything is synced.

        What is not synced by then is left to the thread that syncs.
        """
        deadline = time.monotonic() + seconds
        self.section.close(seconds)
        return self.durability.close(max(deadline - time.monotonic(), 0.0))
