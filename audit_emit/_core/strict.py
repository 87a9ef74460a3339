"""``Emitter.emit_strict``: no audit, no action."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from audit_emit._core.complaints import trouble
from audit_emit._core.noted import NOTED
from audit_emit._core.outbox import LOCK_SECONDS
from audit_emit._format.record import Receipt
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.forks import renew
from audit_emit._runtime.interrupts import let_through
from audit_emit.context import GivenContext
from audit_emit.errors import AuditError, SinkError

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["emit"]


def emit(emitter: Emitter, ctx: GivenContext, event_type: str, fields: Any) -> Receipt:
    """See ``Emitter.emit_strict``.

    Raises:
        AuditError: the record is not in the store.
    """
    outbox, store = emitter.outbox, emitter.store
    if emitter.settings.disabled or store is None:
        reason = "disabled" if emitter.settings.disabled else "no-file"
        raise AuditError(
            reason, f"emit_strict needs a file or another store, and there is none ({reason})"
        )
    try:
        renew()
        context = emitter.misuse.checked(ctx, usable_type=emitter.builder.takes(event_type))
        draft = emitter.clock.draft(*emitter.builder.compose(context, event_type, fields))
        linked = outbox.link_or_raise(draft)
        if emitter.settings.durability != "os" and not store.sync():
            raise SinkError(store.health().unsynced or "fsync-failed")
    except SinkError as error:
        raise _not_recorded(emitter, error) from error
    except BaseException as error:
        outbox.heal()
        let_through(error)
        if issubclass(type(error), AuditError):
            raise  # of a wrong call; it has its reason already
        reason = bare_name(type(error))
        raise AuditError(reason, f"the audit record could not be made: {reason}") from error
    if store.traits.immediate:  # otherwise the thread that has appended it shows it, too
        try:
            outbox.show(linked.line, monotonic() + LOCK_SECONDS)
        except BaseException as error:  # noqa: BLE001 - it is in the store; the rest is late
            outbox.heal()
            let_through(error)
            trouble(outbox, "stdout", error)
        outbox.fault = None
    receipt = Receipt(linked.id, linked.chain, linked.seq, linked.hash)
    if NOTED and emitter.settings.jsonl is not None:
        NOTED[0](receipt)
    return receipt


def _not_recorded(emitter: Emitter, error: SinkError) -> AuditError:
    outbox, reason = emitter.outbox, error.reason
    if reason == "backlog":  # events wait because of the store's own fault
        reason = outbox.fault or outbox.last_error or reason
    elif reason not in {"re-entrant", "timeout"}:
        outbox.fault = outbox.last_error = reason
    said = f"the audit record could not be written to {outbox.place}: {reason}"
    return AuditError(reason, f"{said} ({error.detail})" if error.detail else said)
