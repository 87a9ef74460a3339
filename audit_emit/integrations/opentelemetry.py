"""OpenTelemetry: the ids of the live span in every record, and every record as an event of it.

    traced = TracedEmitter()
    traced.emit(None, "secret.set", {"key": "STRIPE"})
    AuditMiddleware(app, emitter=traced)                # the adapters take it, too

Requests have the ids of their span without this (docs/integrations.md). The event of the span, and
the log record where one is asked for, have the id, the sequence number and the hash of the record,
and none of its fields.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from inspect import signature
from time import time_ns
from typing import Any

try:
    from opentelemetry import _logs, trace
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.opentelemetry needs OpenTelemetry: "
        "pip install 'audit-emit[opentelemetry]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit import ConfigError, Receipt
from audit_emit._facade.adapters import INVALID_TYPE, let_through, valid_type
from audit_emit.context import GivenContext, is_empty, resolve
from audit_emit.integrations._common import Emits, report_failure, scrub
from audit_emit.integrations._request import live_span

__all__ = ["TracedEmitter"]

_REMEMBERED = 1000
"""How many reported records are remembered; a record that comes twice does so at once."""


class TracedEmitter:
    """Emits, with the span that is live.

    Args:
        emitter: writes the records; the process-wide one when ``None``.
        span_events: whether the span gets an event for each record; a span keeps 128 of them.
        log_records: whether OpenTelemetry gets a log record for each record, also outside of spans,
            through the logger provider of the process; ``event_name`` is the event type. Needs
            ``opentelemetry-api>=1.38``.

    Raises:
        ConfigError: ``log_records`` with an older version of OpenTelemetry.
    """

    def __init__(
        self,
        emitter: Emits | None = None,
        *,
        span_events: bool = True,
        log_records: bool = False,
    ) -> None:
        if log_records and "event_name" not in signature(_logs.Logger.emit).parameters:
            raise ConfigError("log_records", "needs opentelemetry-api of at least version 1.38")
        self._emitter = emitter
        self._span_events = span_events
        self._log_records = log_records

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
        if isinstance(receipt, Receipt):
            if ids is not None and self._span_events:
                self._tell(_add_event, event_type, receipt)
            if self._log_records:
                self._tell(_emit_log, event_type, receipt)
            return receipt
        return None

    def _tell(
        self, how: Callable[[str, dict[str, Any]], None], event_type: str, receipt: Receipt
    ) -> None:
        """Report a record to OpenTelemetry once, also where one such emitter wraps another."""
        attributes: dict[str, Any] = {
            "audit.id": receipt.id,
            "audit.chain": receipt.chain,
            "audit.seq": receipt.seq,
            "audit.hash": receipt.hash,
        }
        try:
            if _TOLD.is_new((how.__name__, receipt.id)):
                how(self._name(event_type), attributes)
        except Exception as error:  # noqa: BLE001 - a processor may raise; the record is written
            let_through(error)
            report_failure("what OpenTelemetry is told", error)

    def _name(self, event_type: object) -> str:
        """The event type as the record has it: what is none may hold a secret."""
        name = str.__str__(event_type) if isinstance(event_type, str) else ""
        if valid_type(name) and scrub(name, self._emitter) == name:
            return name
        return INVALID_TYPE


def _add_event(name: str, attributes: dict[str, Any]) -> None:
    trace.get_current_span().add_event(name, attributes)


def _emit_log(name: str, attributes: dict[str, Any]) -> None:
    _logs.get_logger("audit_emit").emit(
        timestamp=time_ns(),
        severity_number=_logs.SeverityNumber.INFO,
        body=name,
        attributes=attributes,
        event_name=name,
    )


class _Told:
    """The last reports: by their kind and the id of the record.

    There is no lock: a signal handler may emit in the middle of this, and a forked child would wait
    for ever for a thread that does not exist there.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], object] = {}
        self._order: deque[tuple[str, str]] = deque()

    def is_new(self, what: tuple[str, str]) -> bool:
        mine = object()
        if self._last.setdefault(what, mine) is not mine:  # one step: one of two threads is first
            return False
        self._order.append(what)
        if len(self._order) > _REMEMBERED:
            self._last.pop(self._order.popleft(), None)
        return True


_TOLD = _Told()
