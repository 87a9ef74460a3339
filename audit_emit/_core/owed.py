"""What an outbox still has to do: asked before going on, waiting or ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["has_more", "has_work", "owes", "waits_for_event"]


def owes(outbox: Outbox) -> bool:
    """Whether something waits for the store.

    A shown line that declared a gap and was itself lost waits for the mirror: declared at once,
    it would be lost again.
    """
    if outbox.lossy or outbox.unmade or outbox.mirrored.forgotten:
        return True
    if outbox.store is None:
        return False
    return bool(outbox.backlog.waiting or outbox.gap.lost or outbox.mirrored.owes_gap())


def has_work(outbox: Outbox, *, at_end: bool) -> bool:
    """Whether there is something to do now, or it is being done.

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
    """Whether what is left to do is left to the next event, too.

    Lost lines are declared together after a while: the thread sees to it, and while a reader
    is behind, events need not.
    """
    if outbox.lossy or outbox.unmade or outbox.mirrored.forgotten or outbox.mirrored.waiting:
        return True
    if outbox.store is None:
        return False
    if outbox.backlog.waiting or outbox.gap.lost:
        return True
    return outbox.mirrored.gap.lost > 0 and not outbox.worker.is_alive()
