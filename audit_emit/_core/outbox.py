"""Between ``emit`` and the store: the order of events, and what is still to be written or declared.

An event is appended at once, or, where the store is not immediate, by a thread (``appender.py``).
What cannot be done at once is kept here, in order and within bounds, and done by the next event, by
a thread that is started when there is something to do, or by ``flush``. Nothing here does I/O of
its own: that is the store's and the mirror's.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any

from audit_emit._core import draining, waiting
from audit_emit._core.appender import Requests
from audit_emit._core.background import Worker
from audit_emit._core.complaints import trouble
from audit_emit._core.mirror_queue import MirrorQueue
from audit_emit._core.owed import waits_for_event
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._runtime.failure import Counters, StderrLog
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.observer import Observer
from audit_emit._stores.backlog import Backlog, Gap
from audit_emit._stores.base import (
    ChainStore,
    Draft,
    Linked,
    Mirror,
    Nowhere,
    Part,
    QuickStore,
    Recorded,
    quick_of,
)
from audit_emit._stores.clock import Clock
from audit_emit.errors import SinkError

__all__ = ["LOCK_SECONDS", "Outbox"]

LOCK_SECONDS = 0.045
"""How long one call waits in total; the documented bound is 50 ms."""

_NOWHERE = Nowhere()


_READER_SECONDS = 1.0
"""How long the thread that appends waits for a slow reader of standard output, as it writes a
whole batch of lines at a time."""


class Outbox:
    """What one emitter still has to write to its store and its mirror.

    Args:
        store, mirror: ``None`` where there is none.
        builder, clock: make the records that stand for what was lost.
        counters, stderr_log, observer: count and report failures.
        place: of the store, for messages.
        worker: the thread that tries again; an ``Appender`` where the store is not immediate.
        drained: called at the end of every drain in which the store did not fail.

    Attributes:
        backlog: events that wait for the store.
        gap: events that will never be in the store, and are not yet declared there.
        fault, last_error: why the store takes nothing now, and why it failed the last time.
        lossy: events that could not be made: what the caller gave as their type, and why.
        unmade: how many events there were of which, for lack of memory, not even that is known.
        pending: whether the next event has more to do than to be appended.
        last_loss: the ``ts`` of the last event that was lost.
        ends: whether the process ends, so that nothing is tried again later.
        place: of the store, for messages.
        requests: events whose callers wait until the thread has appended them.
    """

    def __init__(
        self,
        store: ChainStore | None,
        mirror: Mirror | None,
        *,
        builder: RecordBuilder,
        clock: Clock,
        counters: Counters,
        stderr_log: StderrLog,
        observer: Observer,
        place: str,
        worker: Worker,
        drained: Callable[[], object] = bool,
    ) -> None:
        self.store: ChainStore | None = store
        self._at_once = store if store is None or store.traits.immediate else None
        self._quick: QuickStore | None = quick_of(self._at_once)
        self.is_slow: bool = store is not self._at_once
        self.reader_seconds: float = _READER_SECONDS if self.is_slow else 0.0
        self.mirrored: MirrorQueue = MirrorQueue(
            mirror, counters, stderr_log.report, chained=store is not None
        )
        self.builder: RecordBuilder = builder
        self.clock: Clock = clock
        self.counters: Counters = counters
        self.stderr_log: StderrLog = stderr_log
        self.observer: Observer = observer
        self.place: str = place
        self.drained: Callable[[], object] = drained
        self.worker: Worker = worker
        self.reset()

    def reset(self) -> None:
        """Start with nothing to write: at the beginning, and in a forked child."""
        self.worker.reset()
        self.mirrored.reset()
        self.ends: bool = False
        self.backlog: Backlog = Backlog()
        self.gap: Gap = Gap()
        self.fault: str | None = None
        self.last_error: str | None = None
        self.lossy: deque[tuple[Any, type[BaseException]]] = deque()
        self.unmade: int = 0
        self.pending: bool = False
        self.last_loss: str | None = None
        self.requests: Requests = Requests()
        self.process: str = os.urandom(8).hex()
        self.numbers: count[int] = count(1)
        # Re-entrant only so that a signal handler in the middle of a drain is recognised.
        self.drain_lock: Any = threading.RLock()
        self.is_draining: bool = False

    # -- one event ---------------------------------------------------------------------------

    def link(self, draft: Draft, deadline: float) -> Linked | None:
        """Append one event now; ``None`` when it has to wait, or when there is no store.

        Args:
            draft: the event.
            deadline: for this call, with what others left to do (``time.monotonic()``).
        """
        store = self._at_once
        if store is None:
            waiting.put(self, draft)
            return None
        try:
            waited = 0.0
            if self.pending:
                waited = deadline
                if self.waits(deadline):
                    raise SinkError("backlog")
            records = store.append([draft], waited)
            try:
                linked = records[0] if len(records) == 1 else self._sorted_out([*records], draft)
            except SinkError:
                raise
            except BaseException:
                self.owe_all(records)
                raise
        except SinkError as error:
            waiting.refused(self, draft, error)
            return None
        self.fault = None
        return linked

    def record(self, part: Part, closing: str) -> Recorded | None:
        """Append and show one event in the usual case; ``None`` when nothing was done."""
        store = self._quick
        if self.pending or store is None or self.fault is not None:
            return None
        record, mirrored = store.record, self.mirrored
        mirror = mirrored.mirror
        if mirror is None or mirrored.waiting:
            return record(part, closing, _NOWHERE)
        return record(part, closing, mirror)

    def link_or_raise(self, draft: Draft) -> Linked:
        """Append one event now, or raise: it is not kept for later.

        Where the store is not immediate, the thread that appends the event also shows it.

        Raises:
            SinkError: it is not in the store.
        """
        if self.is_slow:
            return self.requests.ask(draft, self.worker.start_at_once, lambda: self.fault or "")
        store = self.store
        assert store is not None  # noqa: S101 - the caller has looked
        if self.pending and self.waits(monotonic() + LOCK_SECONDS):
            raise SinkError("backlog")
        try:
            return self._sorted_out(store.append([draft]), draft)
        except SinkError as error:
            self.show_later(error.linked)
            raise

    def show(self, line: bytes, deadline: float) -> None:
        """Show an event that was appended, after the lines before it; and drain what waits."""
        mirrored = self.mirrored
        mirror = mirrored.mirror
        if mirrored.waiting:
            mirrored.waiting.append(line)
            if not mirrored.show_waiting(deadline):
                self.missed()
        elif mirror is not None and not mirror.show(line):
            mirrored.missed(line)
            self.missed()
        if self.pending:
            self.drain(deadline=deadline)

    def show_later(self, records: list[Linked] | Any) -> None:
        """Queue the lines of records that the store has appended."""
        if self.mirrored.mirror is not None:
            try:
                self.mirrored.waiting.extend(record.line for record in records)
            except BaseException:
                self.owe_all(records)
                raise
            self.pending |= bool(self.mirrored.waiting)

    def _sorted_out(self, records: list[Linked], draft: Draft) -> Linked:
        """The event among the records that were appended; the others are queued to be shown."""
        for at in range(len(records) - 1, -1, -1):
            if records[at].id == draft.id:
                linked = records.pop(at)
                self.show_later(records)
                return linked
        self.show_later(records)
        raise SinkError(waiting.UNCERTAIN)

    def lose(self, ts: str) -> None:
        """Count an event as lost: it will not be in the store or, if there is none, on stdout."""
        self.counters.lost += 1
        self.last_loss = ts

    def missed(self) -> None:
        """Show a line later that was not shown now, or declare its loss in the chain."""
        self.go_on()
        # Until it is due again, there is nothing that the next event could do about it.
        self.pending |= self.mirrored.is_due() or waits_for_event(self)

    # -- what is left to do ------------------------------------------------------------------

    def waits(self, deadline: float) -> bool:
        """Drain what came before; whether something of it still waits, and this one must too."""
        if self.backlog.waiting:
            self.drain(timeout=waiting.DRAIN_SECONDS, deadline=deadline)
        return bool(self.backlog.waiting)

    def drain(self, *, at_end: bool = False, timeout: float = 0.0, deadline: float = 0.0) -> None:
        """Append what waits, oldest first, and declare what was lost.

        Args:
            at_end: declare lost lines now, however recent the last declaration is.
            timeout: seconds to wait for another thread that drains.
            deadline: nothing is begun after it (``time.monotonic()``); 0 for none.
        """
        if not (self.is_slow and self.worker.hurry(timeout)):
            draining.drain(self, at_end=at_end, timeout=timeout, deadline=deadline)

    def go_on(self) -> None:
        """Have a thread try again; not at the very end of a process."""
        if not self.ends:
            self.worker.start()

    def try_again(self) -> bool:
        """Drain on that thread; whether the store took what it was given."""
        try:
            return draining.drain(self, at_end=self.worker.waited_for > 0)
        except Exception as error:  # noqa: BLE001 - without this thread, nothing would drain
            trouble(self, "drain", error)
            draining.fails(self, SinkError(bare_name(type(error))))
            return False

    def owe(self, line: bytes) -> None:
        """Queue the line of an event that is in the store, if it was not shown."""
        if self.mirrored.mirror is not None:
            self.pending = True
            self.mirrored.owe(line)

    def owe_all(self, records: list[Linked]) -> None:
        """Queue the lines of records that an interrupt or a lack of memory kept from the mirror."""
        for record in records:
            self.owe(record.line)

    def show_rest(self, deadline: float = 0.0) -> None:
        """Show what waits for that, and the rest of a line that was begun."""
        if self._at_once is not None and self._at_once.unreturned:
            self.show_later(self._at_once.append([]))
        if not self.mirrored.show_waiting():
            self.missed()
        self.mirrored.finish(deadline)

    def is_inside(self) -> bool:
        """Whether a signal handler calls, and interrupted the work that it would wait for."""
        drains = self.is_draining and self.drain_lock._is_owned()  # noqa: SLF001 - nothing public tells
        return bool(drains or (self.store is not None and self.store.is_inside()))

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if not self.is_draining and self.drain_lock._is_owned():  # noqa: SLF001 - nothing public tells
            self.drain_lock.release()
        if self.store is not None:
            self.store.heal()
