"""Whether an outbox still has something to do, now, later or with the next event."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["has_more", "has_work", "owes", "waits_for_event"]


def owes(outbox: Outbox) -> bool:
    """Whether something waits for the store.

    A lost line that was itself an ``audit.gap`` does not count until the mirror works: if it was
    declared at once, the line of that declaration would be lost as well.
    """
    if outbox.lossy or outbox.unmade or outbox.mirrored.forgotten:
        return True
    if outbox.store is None:
        return False
    return bool(outbox.backlog.waiting or outbox.gap.lost or outbox.mirrored.owes_gap())


def has_work(outbox: Outbox, *, at_end: bool) -> bool:
    """Whether there is something to do now, or another thread is doing it.

    Args:
        outbox: whose work.
        at_end: lost lines are declared now, however recent the last declaration is.
    """
    mirrored = outbox.mirrored
    if outbox.is_draining or outbox.requests or mirrored.waiting or outbox.backlog.waiting:
        return True
    if outbox.lossy or outbox.unmade or mirrored.forgotten or outbox.gap.lost:
        return True
    return at_end and mirrored.owes_gap()


def has_more(outbox: Outbox) -> bool:
    """Whether anything is left to do, now or later."""
    store = outbox.store
    undeclared = outbox.mirrored.gap.lost > 0 and store is not None
    unreturned = store is not None and store.unreturned
    waits = outbox.pending or bool(outbox.requests)
    return waits or owes(outbox) or undeclared or unreturned or outbox.mirrored.is_begun()


def waits_for_event(outbox: Outbox) -> bool:
    """Whether the next event has to do something of what is left to do.

    Lost lines are declared together after a while; while the thread runs, it does that.
    """
    if outbox.lossy or outbox.unmade or outbox.mirrored.forgotten or outbox.mirrored.waiting:
        return True
    if outbox.store is None:
        return False
    if outbox.backlog.waiting or outbox.gap.lost:
        return True
    return outbox.mirrored.gap.lost > 0 and not outbox.worker.is_alive()
