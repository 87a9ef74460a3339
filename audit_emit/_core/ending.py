"""The last steps of an emitter: what still waits is written, or counted as lost and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._core.owed import has_more
from audit_emit._stores.backlog import Gap
from audit_emit._stores.base import ChainStore, Loss
from audit_emit.errors import SinkError

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["end", "give_up", "give_up_line"]

_SECONDS = 2.0
"""How long an emitter that nobody has closed waits for a thread that appends."""


def give_up_line(outbox: Outbox) -> bool:
    """Count a line that the mirror took in part as lost; returns whether there was one."""
    ts = outbox.mirrored.give_up()
    if ts is None:
        return False
    if outbox.store is None:
        outbox.counters.unchained -= 1
        outbox.lose(ts)
    outbox.missed()
    return True


def end(outbox: Outbox) -> None:
    """Write what waits, for the last time: the emitter was dropped without ``close``."""
    outbox.ends = True
    if has_more(outbox):
        outbox.drain(at_end=True, timeout=_SECONDS if outbox.is_slow else 0.0)
    if give_up_line(outbox):
        outbox.drain(at_end=True)
    give_up(outbox)


def give_up(outbox: Outbox) -> None:
    """Count what still waits as lost, report it, and leave the losses in the store to be declared.

    The process ends. An event that is emitted after this is written at once, or lost at once.
    """
    outbox.ends = True
    if outbox.store is None:
        if outbox.counters.lost:
            what = "no file is kept, and standard output did not take them"
            outbox.stderr_log.report(
                "end", f"events lost by this process: {outbox.counters.lost}; {what}"
            )
        return
    reason = outbox.fault or outbox.last_error or ("timeout" if outbox.is_slow else "unknown")
    backlog, gap = outbox.backlog, outbox.gap
    while backlog.waiting:
        gap.add(backlog.first()[7:37], reason)  # first: there may be no memory for it
        outbox.lose(backlog.pop())
        outbox.counters.backlogged -= 1
    _leave_word(outbox, outbox.store)


def _leave_word(outbox: Outbox, store: ChainStore) -> None:
    """Report losses that are not declared, and leave them in the store (``leave_word``)."""
    losses = []
    if outbox.gap.lost:
        losses.append(Loss(**outbox.gap.fields(store.sink)))
    if outbox.mirrored.owes_gap():
        losses.append(Loss(**outbox.mirrored.gap.fields("stdout")))
    if not losses:
        return
    try:
        noted = store.leave_word(losses)
    except SinkError:
        noted = False
    if noted:
        outbox.gap = Gap()
        outbox.mirrored.forget_gap()
    counts = " and ".join(
        f"{one.lost} {'line' if one.sink == 'stdout' else 'event'}{'s' if one.lost > 1 else ''}"
        for one in losses
    )
    then = "whoever opens the log next declares it"
    if not noted:
        where = "not even its lock file could be written, so "
        then = f"{where if store.traits.leaves_word else ''}nothing in the log will tell"
    outbox.stderr_log.report(
        "end",
        f"{counts} lost at the end of the process: {outbox.place} cannot be written "
        f"({losses[0].reason}); {then}",
    )
