"""Events that reach the emitter some time after they happened: out of a queue, out of a buffer."""

from __future__ import annotations

import time
from typing import Any

from audit_emit._core import waiting
from audit_emit._core.emitter import Emitter
from audit_emit._core.failing import fail
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.forks import SAME, renew
from audit_emit._runtime.interrupts import is_interrupt
from audit_emit.context import AuditContext

__all__ = ["emit_late"]

# This module is a part of the emitter, so it may use what is private there.
# ruff: noqa: SLF001

_EARLIEST = 10**18
"""September 2001, in nanoseconds since 1970: a smaller number is not the time of an event."""

_REASON = "late"


def emit_late(
    emitter: Emitter, seconds: Any, context: AuditContext, event_type: Any, fields: Any = None
) -> None:
    """Record one event with the time at which it happened; like ``emit``, it never raises.

    The record comes after those in the file already: ``seq`` is the order, ``ts`` the time.

    Args:
        emitter: where it goes.
        seconds: since 1970, as of ``time.time``; for a future time, or none, that of the call.
        context: who acted then.
        event_type, fields: as for ``emit``.
    """
    if emitter._disabled:
        return
    outbox = emitter.outbox
    is_kept = False
    try:
        if not SAME[0]:
            renew()
        pieces = emitter.builder.compose(context, event_type, fields)
        draft = emitter.clock.draft_at(_ns(seconds), *pieces)
        if outbox.store is None:
            waiting.show_unchained(outbox, draft)
            return
        waiting.keep(outbox, draft, _REASON)
        is_kept = True
        outbox.drain()
        if outbox.fault:
            waiting.show_now(outbox, draft)  # at once, as an event that happens now
    except Exception as error:  # noqa: BLE001 - as the guard of emit
        passes = False
        try:
            passes = is_interrupt(error)
        except emitter._NO_ROOM:
            pass
        if not is_kept and not passes:
            try:
                outbox.lossy += ((event_type, type(error)),)
            except MemoryError:
                outbox.unmade += 1
            outbox.pending = True
        try:
            fail(emitter, error, None)
        except Exception:
            if passes or _observer.strict is not None:
                raise
    except BaseException as error:
        fail(emitter, error, None)
        raise


def _ns(seconds: Any) -> int:
    now = time.time_ns()
    if type(seconds) is not float and type(seconds) is not int:
        return now
    # Compared before it is converted, which fails for infinity and for no number.
    if not _EARLIEST / 1e9 <= seconds <= now / 1e9:
        return now
    whole = int(seconds)
    return whole * 10**9 + int((seconds - whole) * 1e9)
