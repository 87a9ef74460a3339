"""What an emitter does after an exception inside ``emit``, which its caller must not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._runtime import observer as _observer
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import is_interrupt, let_through
from audit_emit._runtime.observer import id_in

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["fail", "guard"]


def fail(emitter: Emitter, error: BaseException, line: bytes | None) -> None:
    """Finish what the call left half done, and report the failure.

    Args:
        emitter: whose ``emit`` it was.
        error: the exception.
        line: of the event, if it is in the store; the mirror may not have it yet.

    Raises:
        BaseException: the exception, if it is an interrupt.
    """
    outbox = emitter.outbox
    if line is not None:
        outbox.owe(line)
    if is_interrupt(error):
        outbox.heal()
        raise  # noqa: PLE0704 - called where it is handled
    try:
        guard(emitter, error, line)
    except Exception as failed:
        if _observer.strict is not None:
            raise
        let_through(failed)


def guard(emitter: Emitter, error: BaseException, line: bytes | None = None) -> None:
    """Report a failure inside ``emit``, and drain ``Outbox.lossy``, the events without fields."""
    outbox = emitter.outbox
    outbox.heal()
    emitter.observer.tell(error, "emit", None if line is None else id_in(line))
    emitter.counters.internal_errors += 1
    outbox.stderr_log.report(
        "internal", f"an event could not be recorded in full ({bare_name(type(error))})"
    )
    if not issubclass(type(error), (RecursionError, MemoryError)):
        outbox.drain()
    if outbox.pending:
        outbox.go_on()
