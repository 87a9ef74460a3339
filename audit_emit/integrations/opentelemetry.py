"""OpenTelemetry: the ids of the live span in every record, and every record as an event of it.

    traced = TracedEmitter()
    traced.emit(None, "secret.set", {"key": "STRIPE"})
    AuditMiddleware(app, emitter=traced)                # the adapters take it, too

Requests have the ids of their span without this (docs/integrations.md). The event of the span has
the id, the sequence number and the hash of the record, and none of its fields.
"""

from __future__ import annotations

from typing import Any

try:
    from opentelemetry import trace
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.opentelemetry needs OpenTelemetry: "
        "pip install 'audit-emit[opentelemetry]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit import Receipt
from audit_emit._facade.adapters import let_through
from audit_emit.context import GivenContext, is_empty, resolve
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._request import live_span

__all__ = ["TracedEmitter"]


class TracedEmitter:
    """Emits, with the span that is live.

    Args:
        emitter: writes the records; the process-wide one when ``None``.
        span_events: whether the span gets an event for each record; a span keeps 128 of them.
    """

    def __init__(self, emitter: Emits | None = None, *, span_events: bool = True) -> None:
        self._emitter = emitter
        self._span_events = span_events

    def emit(self, ctx: GivenContext, event_type: str, fields: Any = None, /) -> Receipt | None:
        """Emit one event; never raises. A trace id that the context has is kept."""
        context: Any = ctx
        ids = live_span()
        if ids is not None:
            known = resolve(ctx)
            if is_empty(known.trace_id):
                context = known.replace(trace_id=ids[0], span_id=ids[1])
        emit = audit_emit.emit if self._emitter is None else self._emitter.emit
        receipt: Any = emit(context, event_type, fields)
        if ids is not None and self._span_events and isinstance(receipt, Receipt):
            self._tell(event_type, receipt)
        return receipt if isinstance(receipt, Receipt) else None

    def _tell(self, event_type: str, receipt: Receipt) -> None:
        attributes: dict[str, Any] = {
            "audit.id": receipt.id,
            "audit.chain": receipt.chain,
            "audit.seq": receipt.seq,
            "audit.hash": receipt.hash,
        }
        try:
            trace.get_current_span().add_event(str(event_type)[:128], attributes)
        except Exception as error:  # noqa: BLE001 - a span processor may raise; the record is written
            let_through(error)
            report_failure("an event of a span", error)
