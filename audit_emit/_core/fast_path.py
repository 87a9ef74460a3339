"""One call for the usual event, where there is a compiled part.

It is given the very tables, limits and objects that the Python code uses: there is one definition
of what is harmless, of what is fresh and of what a record looks like, and it is not in C.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from audit_emit._core.record_builder import BEFORE_ID, Composer
from audit_emit._format.record import Receipt
from audit_emit._runtime import compiled as _compiled
from audit_emit._runtime import forks as _forks
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._runtime.interrupts import is_interrupt
from audit_emit._runtime.nonblocking_fd import Descriptor
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl import group_commit as groupcommit
from audit_emit._stores.jsonl import store as jsonl
from audit_emit._stores.jsonl.segment import FRESH_NS, Segment
from audit_emit._stores.jsonl.store import JsonlSink
from audit_emit.context import VAR, AuditContext, LiveContext

__all__ = ["Quick", "quick_emit", "unusual"]

Quick = Callable[[Any, Any, Any], Receipt | tuple[bytes, Receipt] | tuple[()] | None]
"""Takes what ``emit`` takes. A receipt when all is done, with the line when that is still to be
shown; ``None`` when nothing was done."""


def unusual(composer: Composer, clock: Clock, sink: JsonlSink) -> str:
    """Why an emitter takes the way in Python; an empty text when it need not."""
    if composer.has_processors:
        return "processors see every event"
    if sink.durability == "always":
        return "each record is synced"
    if clock.now_ns is not time.time_ns:
        return "it has a clock of its own"
    if _compiled.threads_are_greenlets():
        return "gevent has made threads greenlets"
    return ""


def quick_emit(
    composer: Composer, clock: Clock, sink: JsonlSink, stdout: Descriptor | None
) -> Quick | None:
    """The usual case of ``emit`` in one call, or ``None`` where there is none."""
    if unusual(composer, clock, sink):
        return None
    plain = composer.normaliser.plain
    return _compiled.make(
        table=plain.table,
        known=plain.names,
        make_json=composer.normaliser.fast,
        composer=composer,
        kinds=composer.kinds,
        context_type=AuditContext,
        live_type=LiveContext,
        bound=VAR.get,
        clock=clock,
        time_ns=time.time_ns,
        sink=sink,
        segment_type=Segment,
        stdout=stdout,
        receipt=Receipt,
        before_id=BEFORE_ID,
        fresh_ns=FRESH_NS,
        lock_check_ns=jsonl.LOCK_CHECK_NS,
        recheck_ns=descriptor.RECHECK_NS,
        wakes=tuple(groupcommit.WAKE),
        most_bytes=groupcommit.MOST_BYTES,
        is_interrupt=is_interrupt,
        page=_forks.PAGE,
    )
