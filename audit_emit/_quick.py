"""One call for the usual event, where there is a compiled part.

It is given the very tables, limits and objects that the Python code uses: there is one definition
of what is harmless, of what is fresh and of what a record looks like, and it is not in C.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from msgspec.json import Encoder

from audit_emit import _compiled, _forks, coerce
from audit_emit._clock import Clock
from audit_emit._compose import BEFORE_ID, Composer
from audit_emit._interrupts import is_interrupt
from audit_emit._redaction import digits, keywords, plain_text
from audit_emit.context import VAR, AuditContext, LiveContext
from audit_emit.record import Receipt
from audit_emit.sinks import descriptor, groupcommit, jsonl
from audit_emit.sinks.descriptor import Descriptor
from audit_emit.sinks.jsonl import JsonlSink
from audit_emit.sinks.segment import FRESH_NS, Segment

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
    return _compiled.make(
        vetted=composer.redactor.harmless,
        encode=Encoder().encode,
        sizeof_dict=dict.__sizeof__,
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
        kind_table=plain_text.classes,
        digit_table=digits.classes,
        mark=plain_text.MARK,
        keywords=tuple(composer.redactor.engine.prefilter.table),
        run=keywords.RUN,
        digit_run=digits.RUN,
        max_fields=coerce.MAX_FAST_FIELDS,
        max_table=coerce.MAX_FAST_TABLE,
        max_length=coerce.MAX_FAST_LENGTH,
        max_int=coerce.MAX_FAST_INT,
        fresh_ns=FRESH_NS,
        lock_check_ns=jsonl.LOCK_CHECK_NS,
        recheck_ns=descriptor.RECHECK_NS,
        wakes=tuple(groupcommit.WAKE),
        most_bytes=groupcommit.MOST_BYTES,
        is_interrupt=is_interrupt,
        page=_forks.PAGE,
    )
