"""Events that cannot be appended now: shown at once, and kept for later or counted as lost."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from audit_emit._core import ending
from audit_emit._core.complaints import complain
from audit_emit._stores.base import Draft
from audit_emit.errors import AuditError, SinkError

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["DRAIN_SECONDS", "UNCERTAIN", "keep", "put", "refused", "show_now", "show_unchained"]

UNCERTAIN = "MemoryError"
"""The reason when there was no memory to tell whether a record was written."""

DRAIN_SECONDS = 0.005
"""How long an event waits while another thread drains. Without this, busy threads would fill the
backlog faster than it can be written, and one pause of the store would end in lost events."""


def put(outbox: Outbox, draft: Draft) -> None:
    """Queue an event for the thread that appends; without a store, it is only shown."""
    if outbox.store is None:
        show_unchained(outbox, draft)
        return
    if outbox.fault is not None:
        show_now(outbox, draft)  # nobody knows how long it will wait for the store
    keep(outbox, draft, outbox.fault or "backlog-full")


def show_unchained(outbox: Outbox, draft: Draft) -> None:
    """Show an event where nothing is kept (docs/wire-format.md, member 16)."""
    if outbox.mirrored.mirror is None:
        outbox.lose(draft.prefix[7:37])
        return
    number = next(outbox.numbers)
    end = f',"process":"{outbox.process}","number":{number}}}\n'
    if outbox.mirrored.show(f"{draft.prefix}{end}".encode()) or outbox.mirrored.is_begun():
        outbox.counters.unchained += 1
    else:
        outbox.lose(draft.prefix[7:37])
    if outbox.mirrored.is_begun() or outbox.mirrored.gap.lost:
        outbox.missed()


def refused(outbox: Outbox, draft: Draft, error: SinkError) -> None:
    """Show an event that the store has refused at once, and keep it for later."""
    outbox.show_later(error.linked)
    reason = error.reason
    if draft.process is not outbox.clock.process or reason == UNCERTAIN:
        # A signal handler has forked, and this id is the parent's; or there was no memory to
        # tell whether the record was written, and it is written twice rather than not at all.
        draft = outbox.clock.again(draft)
    if reason not in {"re-entrant", "backlog"}:
        outbox.fault = outbox.last_error = reason
        complain(outbox, reason)
    said = f"the audit record could not be written to {outbox.place}: {reason}"
    outbox.observer.notify(AuditError(reason, said, event_id=draft.id), "file", draft.id)
    if outbox.mirrored.mirror is not None and reason != "re-entrant":
        show_now(outbox, draft)
    keep(outbox, draft, reason)


def show_now(outbox: Outbox, draft: Draft) -> None:
    """Show an event that waits for the store, without a place in the chain.

    It comes after the lines that are in the chain and not yet shown; but not where a thread shows
    those, as that waits for their reader.
    """
    mirrored = outbox.mirrored
    if mirrored.mirror is None:
        return
    line = f"{draft.prefix}}}\n".encode()
    if mirrored.waiting and not outbox.is_slow:
        mirrored.waiting.append(line)
        shown = mirrored.show_waiting(monotonic() + DRAIN_SECONDS)
    else:
        shown = mirrored.show(line)
    if not shown:
        outbox.missed()


def keep(outbox: Outbox, draft: Draft, reason: str, instead: deque[Any] | None = None) -> None:
    """Have an event wait for the store, or count it as lost when too many wait.

    Args:
        outbox: whose store.
        draft: the event.
        reason: why the store does not take it now.
        instead: the queue that holds the event until now. Its first item is removed once the
            backlog has the event, and not before, as the memory may run out in between.
    """
    if draft.process is not outbox.clock.process:
        # A signal handler has forked since it was refused: this id is the parent's.
        draft = outbox.clock.again(draft)
    if outbox.backlog.add(draft.prefix):
        if instead is not None:
            instead.popleft()
        outbox.counters.backlogged += 1
    else:
        ts = draft.prefix[7:37]
        # Not that the backlog is full, but why the event had to wait: that is what readers need.
        cause = outbox.fault if reason == "backlog" else None
        outbox.gap.add(ts, cause or reason)
        if instead is not None:
            instead.popleft()
        outbox.lose(ts)
        outbox.stderr_log.report("overflow", "the backlog is full; events are being lost")
    outbox.pending = True
    outbox.go_on()
    if outbox.ends:
        # The process ends: nothing would try again later.
        outbox.drain(at_end=True, timeout=DRAIN_SECONDS)
        ending.give_up(outbox)
