"""Draining: what waits is appended to the store, oldest first, and what was lost is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._core import own_records, waiting
from audit_emit._core.complaints import complain
from audit_emit._core.mirror_queue import in_time
from audit_emit._core.owed import has_more, waits_for_event
from audit_emit._runtime.foreign import bare_name
from audit_emit._stores.backlog import Gap
from audit_emit._stores.base import ChainStore
from audit_emit.errors import AuditError, SinkError

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["BATCH", "drain", "fails"]

BATCH = 500
"""How many records are appended at a time, at most; a store may stop earlier when it is slow."""

_UNMADE = ("", MemoryError)
"""An event of which nothing is known, as an entry of ``Outbox.lossy``."""


def drain(outbox: Outbox, *, at_end: bool, timeout: float = 0.0, deadline: float = 0.0) -> bool:
    """See ``Outbox.drain``; in this thread.

    Returns:
        Whether the store took what it was given; also true where another thread drains.
    """
    lock = outbox.drain_lock
    if not lock.acquire(timeout=timeout):
        return True
    # Called by a signal handler in a drain; or one has forked, and the child has another lock.
    if outbox.is_draining or outbox.drain_lock is not lock:
        lock.release()
        return True
    outbox.is_draining = True
    try:
        if in_time(deadline):
            outbox.mirrored.finish()
        _make_lossy(outbox)
        outbox.mirrored.count_forgotten(outbox.clock.now_ns())
        if outbox.store is not None:
            _drain_store(outbox, outbox.store, deadline, at_end=at_end)
        if not outbox.mirrored.show_waiting(deadline, timeout=outbox.reader_seconds):
            outbox.missed()
        outbox.stderr_log.flush()
        # In this order: another thread may put an event into the backlog meanwhile.
        outbox.pending = False
        outbox.pending = waits_for_event(outbox)
        if not has_more(outbox):
            outbox.worker.let_go()
        outbox.drained()
    except SinkError as error:
        outbox.show_later(error.linked)
        fails(outbox, error)
        return False
    finally:
        if outbox.drain_lock is lock:
            outbox.is_draining = False
        lock.release()
    return True


def fails(outbox: Outbox, error: SinkError) -> None:
    """Remember why the store takes nothing, and answer the callers who wait for it."""
    if error.reason == "re-entrant":
        return
    if outbox.is_slow:  # otherwise it was reported with the event that was refused
        if error.reason != outbox.fault:
            said = f"nothing can be appended to {outbox.place}: {error.reason}"
            outbox.observer.notify(AuditError(error.reason, said), "store")
        outbox.last_error = error.reason
        complain(outbox, error.reason, error.detail)
    outbox.fault = error.reason
    outbox.requests.appended(error.linked)
    outbox.requests.refuse(error)


def _make_lossy(outbox: Outbox) -> None:
    """Make the records of events that could not be made when they happened.

    A signal handler may fork at every call and at every turn of a loop: a child has none to make.
    """
    while True:
        lossy = outbox.lossy
        if not lossy:
            if outbox.unmade < 1:
                return
            lossy.append(_UNMADE)  # first: there may be no memory for it
            if outbox.lossy is lossy:
                outbox.unmade -= 1
        event_type, error = lossy[0]
        # Not by ``bare_name``: there may still be no memory for it.
        reason = "MemoryError" if error is MemoryError else bare_name(error)
        parts = outbox.builder.lossy(event_type if type(event_type) is str else "", reason)
        draft = outbox.clock.draft(*parts)
        if outbox.store is not None:
            waiting.keep(outbox, draft, reason, instead=lossy)
        else:
            waiting.show_unchained(outbox, draft)
            lossy.popleft()


def _drain_store(outbox: Outbox, store: ChainStore, deadline: float, *, at_end: bool) -> None:
    if outbox.backlog.waiting:
        _append_waiting(outbox, store, deadline)
    if outbox.requests:
        _append_requested(outbox, store)
    if outbox.gap.lost and not outbox.backlog.waiting and in_time(deadline):
        _declare(outbox, outbox.gap, store.sink, deadline)
    if in_time(deadline):
        outbox.mirrored.declare(
            lambda gap: _declare(outbox, gap, "stdout", deadline), at_end=at_end
        )
    if store.unreturned and in_time(deadline):
        outbox.show_later(store.append([], deadline))


def _append_waiting(outbox: Outbox, store: ChainStore, deadline: float) -> None:
    """Append what waits; what is in the chain leaves the backlog, whatever happens."""
    # First: should a signal handler fork below, the store knows that these are the parent's.
    process = outbox.clock.process
    backlog = outbox.backlog
    backlog.settle(outbox.counters)  # what an interrupt has left
    drafts = backlog.drafts(BATCH, process)
    try:
        outbox.show_later(store.append(drafts, deadline))
    finally:
        backlog.settle(outbox.counters)
    outbox.fault = None


def _append_requested(outbox: Outbox, store: ChainStore) -> None:
    """Append a batch of the events that callers wait for."""
    records = store.append(outbox.requests.next(BATCH))
    try:
        outbox.requests.appended(records)
    finally:
        outbox.show_later(records)
    outbox.fault = None


def _declare(outbox: Outbox, gap: Gap, sink: str, deadline: float) -> None:
    declared = gap.copy()
    own_records.append(outbox, "audit.gap", declared.fields(sink), deadline)
    gap.forget(declared)
