"""Between ``emit`` and the store: the order of events, what waits, and what is owed.

An event is appended at once, or, where the store takes its time, by a thread (``appender.py``).
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

from audit_emit._core.appender import Requests
from audit_emit._core.background import Worker
from audit_emit._core.mirror_queue import MirrorQueue, in_time
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._runtime.failure import Counters, StderrLog
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.observer import Observer
from audit_emit._stores.backlog import Backlog, Gap
from audit_emit._stores.base import (
    ChainStore,
    Draft,
    Linked,
    Loss,
    Mirror,
    Nowhere,
    QuickStore,
    Recorded,
    quick_of,
)
from audit_emit._stores.clock import Clock
from audit_emit.errors import AuditError, SinkError

__all__ = ["LOCK_SECONDS", "Outbox"]

LOCK_SECONDS = 0.045
"""How long one event waits, for everything together; the promise is 50 ms."""

_NOWHERE = Nowhere()
_UNCERTAIN = "MemoryError"

_BATCH = 500
"""Records drained at a time; a store stops earlier when it takes long."""

_READER_SECONDS = 1.0
"""How long the thread that appends waits for a reader of standard output: its batches come at
once."""

_END_SECONDS = 2.0
"""How long an emitter that nobody has closed waits for that thread."""

_PATIENCE_SECONDS = 0.005
"""What an event costs while others drain: without it, busy threads fill the backlog faster than
it can be written, and a pause of the store once is a loss for ever."""


class Outbox:
    """What one emitter has to bring to its store and its mirror.

    Args:
        store, mirror: ``None`` where there is none.
        builder, clock: make the records that stand for what was lost.
        counters, stderr_log, observer: who is told.
        place: of the store, as people are told of it.
        worker: the thread that goes on trying; an ``Appender`` where the store takes its time.
        drained: called after everything was done that could be, without a lock.

    Attributes:
        backlog: events that wait for the store.
        gap: events that will never be in the store, and are not yet declared there.
        fault, last_error: why the store takes nothing now, and why it did not last.
        lossy: events that could not be made: what the caller gave as their type, and why.
        unmade: events for which there was not even the memory to remember their type.
        pending: whether the next event has something to do beside itself.
        last_loss: the ``ts`` of the last event that was lost.
        ends: whether the process ends, and nobody comes later to try again.
        place: see above.
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
        self._is_slow = store is not self._at_once
        self._reader_seconds = _READER_SECONDS if self._is_slow else 0.0
        self.mirrored: MirrorQueue = MirrorQueue(
            mirror, counters, stderr_log.report, chained=store is not None
        )
        self._builder = builder
        self._clock = clock
        self._counters = counters
        self._stderr_log = stderr_log
        self._observer = observer
        self.place: str = place
        self._drained = drained
        self._worker = worker
        self.reset()

    def reset(self) -> None:
        """Owe nothing: at the beginning, and in a forked child, whose parent pays."""
        self._worker.reset()
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
        self._process = os.urandom(8).hex()
        self._numbers = count(1)
        # Re-entrant only so that a signal handler in the middle of a drain is recognised.
        self._lock = threading.RLock()
        self._busy = False

    # -- one event ---------------------------------------------------------------------------

    def link(self, draft: Draft, deadline: float) -> Linked | None:
        """Append one event now; ``None`` when it has to wait, or when nothing is kept.

        Args:
            draft: the event.
            deadline: for all that this call waits for, and for what others left to do.
        """
        store = self._at_once
        if store is None:
            self._put(draft)
            return None
        try:
            waited = 0.0
            if self.pending:
                waited = deadline
                if self.waits(deadline):
                    raise SinkError("backlog")
            records = store.append([draft], waited)
            linked = records[0] if len(records) == 1 else self._sorted_out(records, draft)
        except SinkError as error:
            self._refused(draft, error)
            return None
        self.fault = None
        return linked

    def record(self, part: str, closing: str) -> Recorded | None:
        """Append and show one event in the usual case; ``None`` when nothing was done."""
        store = self._quick
        if self.pending or store is None or self.fault is not None:
            return None
        mirrored = self.mirrored
        return store.record(part, closing, _NOWHERE if mirrored.waiting else mirrored.direct)

    def link_or_raise(self, draft: Draft) -> Linked:
        """Append one event now, or raise: it is not kept for later.

        A store that takes its time has also shown it then.

        Raises:
            SinkError: it is not in the store.
        """
        if self._is_slow:
            return self.requests.ask(draft, self._worker.start, lambda: self.fault or "")
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
        """Show an event that was appended, after what came before it; and do what is owed."""
        mirrored = self.mirrored
        mirror = mirrored.mirror
        if mirrored.waiting:
            mirrored.waiting.append(line)
            if not mirrored.show_waiting(deadline):
                self._missed()
        elif mirror is not None and not mirror.show(line):
            mirrored.missed(line)
            self._missed()
        if self.pending:
            self.drain(deadline=deadline)

    def show_later(self, records: list[Linked] | Any) -> None:
        """Remember records that the store has appended beside the event that was asked for."""
        if self.mirrored.mirror is not None:
            self.mirrored.waiting.extend(record.line for record in records)
            self.pending |= bool(self.mirrored.waiting)

    def _sorted_out(self, records: list[Linked], draft: Draft) -> Linked:
        """The event among what was appended; the others are shown before it."""
        for at in range(len(records) - 1, -1, -1):
            if records[at].id == draft.id:
                linked = records.pop(at)
                self.show_later(records)
                return linked
        self.show_later(records)
        raise SinkError(_UNCERTAIN)

    def _put(self, draft: Draft) -> None:
        """Leave an event to the thread that appends; without a store, it is only shown."""
        if self.store is None:
            self.show_unchained(draft)
            return
        if self.fault is not None:
            self.show_now(draft)  # at once, as nobody knows how long it waits
        self.keep(draft, self.fault or "backlog-full")

    def show_unchained(self, draft: Draft) -> None:
        """Show an event where nothing is kept (docs/wire-format.md, member 16)."""
        if self.mirrored.mirror is None:
            self.lose(draft.prefix[7:37])
            return
        number = next(self._numbers)
        end = f',"process":"{self._process}","number":{number}}}\n'
        if self.mirrored.show(f"{draft.prefix}{end}".encode()) or self.mirrored.is_begun():
            self._counters.unchained += 1
        else:
            self.lose(draft.prefix[7:37])
        if self.mirrored.is_begun() or self.mirrored.gap.lost:
            self._missed()

    def _refused(self, draft: Draft, error: SinkError) -> None:
        """The store takes nothing: show the event at once, and keep it for later."""
        self.show_later(error.linked)
        reason = error.reason
        if draft.process is not self._clock.process or reason == _UNCERTAIN:
            # A signal handler has forked, and this id is the parent's; or there was no memory to
            # tell whether the record was written, and it is written twice rather than not at all.
            draft = self._clock.again(draft)
        if reason not in {"re-entrant", "backlog"}:
            self.fault = self.last_error = reason
            self.complain(reason)
        said = f"the audit record could not be written to {self.place}: {reason}"
        self._observer.notify(AuditError(reason, said, event_id=draft.id), "file", draft.id)
        if self.mirrored.mirror is not None and reason != "re-entrant":
            self.show_now(draft)
        self.keep(draft, reason)

    def show_now(self, draft: Draft) -> None:
        """Show an event that waits for the store, without a place in the chain."""
        if self.mirrored.mirror is not None and not self.mirrored.show(
            f"{draft.prefix}}}\n".encode()
        ):
            self._missed()

    def complain(self, reason: str, detail: str = "") -> None:
        """Say on stderr that the store cannot be written to."""
        self._stderr_log.report(
            f"file {reason}",
            f"{self.place} cannot be written ({f'{reason}: {detail}' if detail else reason}); "
            "events are kept in memory and written when it is back",
        )

    def keep(self, draft: Draft, reason: str) -> None:
        """Have an event wait for the store, or count it as lost when too many wait."""
        if draft.process is not self._clock.process:
            # A signal handler has forked since it was refused: this id is the parent's.
            draft = self._clock.again(draft)
        if self.backlog.add(draft.prefix):
            self._counters.backlogged += 1
        else:
            ts = draft.prefix[7:37]
            self.lose(ts)
            # Why it could not be kept is known to all; a reader wants to know why it had to be.
            cause = self.fault if reason == "backlog" else None
            self.gap.add(ts, cause or reason)
            self._stderr_log.report("overflow", "the backlog is full; events are being lost")
        self.pending = True
        self.go_on()
        if self.ends:
            # Nobody comes after this to try again.
            self.drain(at_end=True, patience=_PATIENCE_SECONDS)
            self.give_up()

    def lose(self, ts: str) -> None:
        """Count an event that will be nowhere, or not in the store that there is."""
        self._counters.lost += 1
        self.last_loss = ts

    def _missed(self) -> None:
        """See to a line that was not shown: later, or by saying so in the chain."""
        self.go_on()
        # Until it is due again, there is nothing that the next event could do about it.
        self.pending |= self.mirrored.is_due() or self._waits_for_event()

    # -- what is owed ------------------------------------------------------------------------

    def waits(self, deadline: float) -> bool:
        """Drain what came before; whether something of it still waits, and this one must too."""
        if self.backlog.waiting:
            self.drain(patience=_PATIENCE_SECONDS, deadline=deadline)
        return bool(self.backlog.waiting)

    def drain(self, *, at_end: bool = False, patience: float = 0.0, deadline: float = 0.0) -> None:
        """Append what waits, oldest first, and declare what was lost.

        Args:
            at_end: declare lost lines now, however recent the last declaration is.
            patience: seconds to wait for a thread that is at it.
            deadline: nothing is begun after it (``time.monotonic()``); 0 for none.
        """
        if not (self._is_slow and self._worker.hurry(patience)):
            self._drain(at_end=at_end, patience=patience, deadline=deadline)

    def _drain(self, *, at_end: bool, patience: float = 0.0, deadline: float = 0.0) -> bool:
        """``drain``, in this thread; whether the store took what it was given."""
        lock = self._lock
        if not lock.acquire(timeout=patience):
            return True
        # A signal handler may have forked, here or below; what is the child's now is not held.
        if self._busy or self._lock is not lock:
            lock.release()
            return True
        self._busy = True
        try:
            if in_time(deadline):
                self.mirrored.finish()
            self._make_lossy()
            self.mirrored.count_forgotten(self._clock.now_ns())
            if self.store is not None:
                self._drain_store(self.store, deadline, at_end=at_end)
            if not self.mirrored.show_waiting(deadline, patience=self._reader_seconds):
                self._missed()
            self._stderr_log.flush()
            # In this order: another thread may keep an event meanwhile.
            self.pending = False
            self.pending = self._waits_for_event()
            if not self.has_more():
                self._worker.let_go()
            self._drained()
        except SinkError as error:
            self.show_later(error.linked)
            self._fails(error)
            return False
        finally:
            if self._lock is lock:
                self._busy = False
            lock.release()
        return True

    def _fails(self, error: SinkError) -> None:
        """Remember why the store takes nothing; who waits for an answer gets it."""
        if error.reason == "re-entrant":
            return
        if self._is_slow:  # nobody else has told
            if error.reason != self.fault:
                said = f"nothing can be appended to {self.place}: {error.reason}"
                self._observer.notify(AuditError(error.reason, said), "store")
            self.last_error = error.reason
            self.complain(error.reason, error.detail)
        self.fault = error.reason
        self.requests.appended(error.linked)
        self.requests.refuse(error)

    def go_on(self) -> None:
        """Have a thread go on trying; not at the very end of a process."""
        if not self.ends:
            self._worker.start()

    def try_again(self) -> bool:
        """Drain on that thread; whether the store took what it was given."""
        try:
            return self._drain(at_end=self._worker.waited_for > 0)
        except Exception as error:  # noqa: BLE001 - the thread is the backlog's last hope
            self.trouble("drain", error)
            self._fails(SinkError(bare_name(type(error))))
            return False

    def trouble(self, what: str, error: BaseException) -> None:
        """Tell of a failure that nobody expected, by its type only."""
        self._counters.internal_errors += 1
        self._stderr_log.report(what, f"{what} failed: {bare_name(type(error))}")
        self._observer.notify(error, what)

    def flush_stderr(self) -> None:
        """Say what could not be said when it came up."""
        self._stderr_log.flush()

    def owe(self, line: bytes) -> None:
        """Have the line of an event in the store shown by whoever comes next, if it was not."""
        if self.mirrored.mirror is not None:
            self.mirrored.owe(line)
            self.pending |= bool(self.mirrored.waiting)

    def show_rest(self, deadline: float = 0.0) -> None:
        """Show what waits for that, and the rest of a line that was begun."""
        if self._at_once is not None and self._at_once.unreturned:
            self.show_later(self._at_once.append([]))
        if not self.mirrored.show_waiting():
            self._missed()
        self.mirrored.finish(deadline)

    def owes(self) -> bool:
        """Whether something waits for the store.

        A shown line that declared a gap and was itself lost waits for the mirror: declared at once,
        it would be lost again.
        """
        if self.lossy or self.unmade or self.mirrored.forgotten:
            return True
        if self.store is None:
            return False
        return bool(self.backlog.waiting or self.gap.lost or self.mirrored.owes_gap())

    def has_work(self, *, at_end: bool) -> bool:
        """Whether there is something to do now, or it is being done.

        Args:
            at_end: lost lines are declared now, however recent the last declaration is.
        """
        if self._busy or self.requests or self.mirrored.waiting or self.backlog.waiting:
            return True
        if self.lossy or self.unmade or self.mirrored.forgotten or self.gap.lost:
            return True
        return at_end and self.mirrored.owes_gap()

    def has_more(self) -> bool:
        """Whether anything at all is left to do."""
        undeclared = self.mirrored.gap.lost > 0 and self.store is not None
        unreturned = self.store is not None and self.store.unreturned
        waits = self.pending or bool(self.requests)
        return waits or self.owes() or undeclared or unreturned or self.mirrored.is_begun()

    def is_inside(self) -> bool:
        """Whether a signal handler calls, in the middle of what it would have to wait for."""
        drains = self._busy and self._lock._is_owned()  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
        return bool(drains or (self.store is not None and self.store.is_inside()))

    def heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if not self._busy and self._lock._is_owned():  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
            self._lock.release()
        if self.store is not None:
            self.store.heal()

    def _waits_for_event(self) -> bool:
        """Whether what is left to do is left to the next event, too.

        Lost lines are declared together after a while: the thread sees to it, and while a reader
        is behind, events need not.
        """
        if self.lossy or self.unmade or self.mirrored.forgotten or self.mirrored.waiting:
            return True
        if self.store is None:
            return False
        if self.backlog.waiting or self.gap.lost:
            return True
        return self.mirrored.gap.lost > 0 and not self._worker.is_alive()

    def _make_lossy(self) -> None:
        """Make the records of events that could not be made when they happened."""
        while self.lossy or self.unmade:
            if not self.lossy:
                self.unmade -= 1
                self.lossy.append(("", MemoryError))
            event_type, error = self.lossy[0]
            # Its name is at hand where there may still be no memory to make it.
            reason = "MemoryError" if error is MemoryError else bare_name(error)
            parts = self._builder.lossy(event_type if type(event_type) is str else "", reason)
            draft = self._clock.draft(*parts)
            self.lossy.popleft()
            if self.store is not None:
                self.keep(draft, reason)
            else:
                self.show_unchained(draft)

    def _drain_store(self, store: ChainStore, deadline: float, *, at_end: bool) -> None:
        if self.backlog.waiting:
            self._append_waiting(store, deadline)
        if self.requests:
            self._append_requested(store)
        if self.gap.lost and not self.backlog.waiting and in_time(deadline):
            self._declare(self.gap, store.sink, deadline)
        if in_time(deadline):
            self.mirrored.declare(lambda gap: self._declare(gap, "stdout", deadline), at_end=at_end)
        if store.unreturned and in_time(deadline):
            self.show_later(store.append([], deadline))

    def _append_waiting(self, store: ChainStore, deadline: float) -> None:
        """Append what waits; what is in the chain leaves the backlog, whatever happens."""
        # First: should a signal handler fork below, the store knows that these are the parent's.
        process = self._clock.process
        backlog = self.backlog
        backlog.settle(self._counters)  # what an interrupt has left
        drafts = backlog.drafts(_BATCH, process)
        try:
            self.show_later(store.append(drafts, deadline))
        finally:
            backlog.settle(self._counters)
        self.fault = None

    def _append_requested(self, store: ChainStore) -> None:
        """Append what callers wait for; nobody waits for more than one batch of others."""
        records = store.append(self.requests.next(_BATCH))
        self.requests.appended(records)
        self.show_later(records)
        self.fault = None

    def _declare(self, gap: Gap, sink: str, deadline: float) -> None:
        declared = gap.copy()
        self.append_own("audit.gap", declared.fields(sink), deadline)
        gap.forget(declared)

    def append_own(self, event_type: str, fields: dict[str, Any], deadline: float = 0.0) -> None:
        """Append a record about the log itself.

        Raises:
            SinkError: it is not in the store.
        """
        if self.store is None:
            raise SinkError("no-file")
        draft = self._clock.draft(*self._builder.own(event_type, fields), own=True)
        try:
            self.show_later(self.store.append([draft], deadline))
        except SinkError as error:
            self.show_later(error.linked)
            raise

    # -- the end -----------------------------------------------------------------------------

    def give_up_line(self) -> bool:
        """Count a line as lost that the mirror took in part; whether there was one."""
        ts = self.mirrored.give_up()
        if ts is None:
            return False
        if self.store is None:
            self._counters.unchained -= 1
            self.lose(ts)
        self._missed()
        return True

    def end(self) -> None:
        """Write what waits now or never: nobody has closed the emitter, and it is gone."""
        self.ends = True
        if self.has_more():
            self.drain(at_end=True, patience=_END_SECONDS if self._is_slow else 0.0)
        if self.give_up_line():
            self.drain(at_end=True)
        self.give_up()

    def give_up(self) -> None:
        """Count what still waits as lost, say so, and leave word of it; the process ends.

        What is emitted after this is written at once, or given up at once, too.
        """
        self.ends = True
        if self.store is None:
            if self._counters.lost:
                what = "no file is kept, and standard output did not take them"
                self._stderr_log.report(
                    "end", f"events lost by this process: {self._counters.lost}; {what}"
                )
            return
        reason = self.fault or self.last_error or "unknown"
        while self.backlog.waiting:
            ts = self.backlog.pop()
            self._counters.backlogged -= 1
            self.lose(ts)
            self.gap.add(ts, reason)
        self._leave_word(self.store)

    def _leave_word(self, store: ChainStore) -> None:
        """Say what is lost and not declared, and leave word of it in the store."""
        losses = []
        if self.gap.lost:
            losses.append(Loss(**self.gap.fields(store.sink)))
        if self.mirrored.owes_gap():
            losses.append(Loss(**self.mirrored.gap.fields("stdout")))
        if not losses:
            return
        try:
            noted = store.leave_word(losses)
        except SinkError:
            noted = False
        if noted:
            self.gap = Gap()
            self.mirrored.forget_gap()
        counts = " and ".join(
            f"{one.lost} {'line' if one.sink == 'stdout' else 'event'}{'s' if one.lost > 1 else ''}"
            for one in losses
        )
        then = "whoever opens the log next declares it"
        if not noted:
            where = "not even its lock file could be written, so "
            then = f"{where if store.traits.leaves_word else ''}nothing in the log will tell"
        self._stderr_log.report(
            "end",
            f"{counts} lost at the end of the process: {self.place} cannot be written "
            f"({losses[0].reason}); {then}",
        )
