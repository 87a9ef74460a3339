"""The audit of one request, the same under every framework.

An adapter creates a ``RequestAudit``, binds its ``live`` context around everything that serves the
request, fills in its ``exchange``, and calls ``finish``, which writes the records once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from sys import modules
from time import perf_counter
from types import MappingProxyType
from typing import Any

import audit_emit
from audit_emit._facade.adapters import (
    NOTED,
    Receipt,
    bare_name,
    is_mirrored,
    let_through,
    receipt_text,
)
from audit_emit.context import EMPTY, VAR, AuditContext, update_request
from audit_emit.integrations._common import Emits, scrub
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._http import (
    Inbound,
    identify,
    new_id,
    parse_traceparent,
    request_fields,
    result_fields,
)
from audit_emit.integrations._options import Options
from audit_emit.integrations._request_context import (
    FindUser,
    VerifiedContext,
    enter_request,
    leave_request,
)

KEY = "audit_emit.request"
"""Where an ASGI scope or a WSGI environ keeps its ``RequestAudit``."""


RECEIPT = "Audit-Receipt"
"""The header of an answer that says where the newest record of the request is."""

SERVED: ContextVar[RequestAudit | None] = ContextVar("audit_emit_request", default=None)
"""The request that is being served in this context."""


_TRACING = "opentelemetry.trace"
"""The module of who traces, if the application has loaded it."""

_NOWHERE: Mapping[str, Any] = MappingProxyType({})
"""The scope of a request that is over."""


class RouteEvent:
    """An event that a route declares, written when the outcome of the request is known.

    Attributes:
        event_type: the event type, as for ``emit``.
        fields: the fields so far; the endpoint may add to them until the response is complete.
    """

    __slots__ = ("event_type", "fields")

    def __init__(self, event_type: str, fields: Mapping[str, Any]) -> None:
        self.event_type: str = event_type
        self.fields: dict[str, Any] = dict(fields)


class RequestAudit:
    """One request, from its first byte to its records.

    Attributes:
        origin: the ASGI scope or WSGI environ of the request.
        inner_origins: the scopes and environs of applications that are mounted in this one.
        exchange: the facts of the request, which the adapter fills in.
        declared: events that are written with the outcome of the request.
        correlation_id: the id of the request, which the response carries in a header.
        finished: whether ``finish`` was called, so that the records are written.
        gives_receipts: whether the middleware sets ``Audit-Receipt`` of the response.
        is_recorded: whether the request itself gets a record; declared events have their own.
        live: the context that is bound while the request is served.
    """

    __slots__ = (
        "_emitter",
        "_inbound",
        "_options",
        "_places",
        "_receipt",
        "correlation_id",
        "declared",
        "exchange",
        "finished",
        "gives_receipts",
        "inner_origins",
        "is_recorded",
        "live",
        "origin",
    )

    declared: list[RouteEvent]
    inner_origins: list[Mapping[str, Any]]

    def __init__(
        self,
        options: Options,
        emitter: Emits | None,
        exchange: Exchange,
        origin: MutableMapping[str, Any],
        find_user: FindUser,
    ) -> None:
        exchange.started = perf_counter()
        self._options = options
        self._emitter = emitter
        self._inbound: Inbound | None = None
        self.correlation_id: str = new_id()
        trace = live_span() if _TRACING in modules else None
        if exchange.headers:
            self._inbound = inbound = identify(options, exchange, self.correlation_id)
            self.correlation_id = inbound.correlation_id
            if trace is None:
                trace = parse_traceparent(exchange.headers.get("traceparent", ()))
        self.finished: bool = False
        self.is_recorded: bool = options.requests
        self._receipt: Receipt | None = None
        self.gives_receipts: bool = options.receipts
        if options.receipts and not NOTED:
            NOTED.append(_note)
        self._places: list[MutableMapping[str, Any]] = [origin]
        origin[KEY] = self
        self.exchange: Exchange = exchange
        self.origin: Mapping[str, Any] = origin
        self.inner_origins = []
        self.declared = []
        around = VAR.get()
        # A live context is not inherited: it belongs to another request, whose context has leaked,
        # for example out of a stream that was never closed.
        self.live: VerifiedContext = VerifiedContext(
            around if around is EMPTY or isinstance(around, AuditContext) else EMPTY,
            find_user,
            (self.correlation_id, *trace) if trace else (self.correlation_id,),
        )

    @property
    def receipt(self) -> str | None:
        """The receipt of the newest record of the request; ``None`` where none is to be sent."""
        if self._receipt is None or not self.gives_receipts:
            return None
        return receipt_text(self._receipt)

    def note(self, receipt: Receipt) -> None:
        """Keep the receipt of a record, unless a newer one is kept: threads may be late."""
        kept = self._receipt
        if kept is None or kept.chain != receipt.chain or kept.seq < receipt.seq:
            self._receipt = receipt

    def add_inner_origin(self, origin: MutableMapping[str, Any], find_user: FindUser) -> None:
        """Also look in the scope or environ of an inner application for the user and the route.

        A user that the outer application has verified comes first: the outer application decided
        that the inner one was called at all.
        """
        self.inner_origins.append(origin)
        self.live.also(find_user)
        self.put_into(origin)

    def put_into(self, place: MutableMapping[str, Any]) -> None:
        """Store the request in a scope or environ, for code that has only that."""
        place[KEY] = self
        self._places.append(place)

    def was_put_into(self, place: object) -> bool:
        """Whether this is a place of the request, also when it was released since."""
        return any(one is place for one in self._places)

    def release(self) -> None:
        """Remove the request from the scopes and environs that hold it: nobody serves it any more.

        They and this object refer to each other. As a cycle they would live until the next run of
        the garbage collector, with all that a framework keeps in them. That would take as much time
        as everything else in this module, as their memory could not be reused at once.
        """
        for place in self._places:
            place.pop(KEY, None)

    def let_go(self) -> None:
        """Drop what this object refers to, after a request that was not cancelled.

        An ASGI server keeps the context in which a response ended, and this object with it, until
        it removes the timers of its connections (uvicorn: those of a hundred requests). Under WSGI
        nothing keeps it, and a thread that got the request may still need its user.
        """
        # New empty lists, not shared ones: code that still has the request may add to them.
        self._places, self.inner_origins, self.declared = [], [], []
        self.origin = _NOWHERE
        self.exchange = Exchange()
        self.live.let_go()

    def enter(self) -> tuple[Any, Any]:
        """Bind the context of this request; pass the result to ``leave``."""
        live = self.live
        return enter_request(live) if is_mirrored() else VAR.set(live), SERVED.set(self)

    def leave(self, entered: tuple[Any, Any]) -> None:
        """Restore what was bound before ``enter``."""
        bound, served = entered
        try:
            SERVED.reset(served)
            if type(bound) is Token:
                VAR.reset(bound)
                return
        except ValueError as error:
            # The block ends in another context than it began in, as in leave_request.
            let_through(error)
        if type(bound) is tuple:
            leave_request(bound)

    def finish(self, error: BaseException | None = None) -> None:
        """Write the records, the first time. Never raises.

        Args:
            error: the exception that ended the request; ``None`` when it ended normally.
        """
        if self.finished:
            return
        self.finished = True
        options = self._options
        if not options.requests and not self.declared:
            return
        exchange = self.exchange
        if exchange.ended is None:
            exchange.ended = perf_counter()
        if error is not None:
            exchange.error = type(error)
        who = self.live.known()
        for event in self.declared:
            self._emit(who, event.event_type, _event_fields, event, exchange)
        if options.requests and (not options.skip_paths or not self._is_skipped()):
            kind = "http.request" if exchange.kind == "http" else "websocket.session"
            self._emit(who, kind, request_fields, options, exchange, self._inbound, self._scrub)

    def _scrub(self, text: str) -> str:
        return scrub(text, self._emitter)

    def _is_skipped(self) -> bool:
        return any(map(self._options.skips, (self.exchange.path, *self.exchange.app_paths)))

    def _emit(
        self, who: AuditContext, kind: str, build: Callable[..., dict[str, Any]], *of: Any
    ) -> None:
        try:
            fields = build(*of)
        except Exception as error:  # noqa: BLE001 - a broken server made the facts; write the record without
            let_through(error)
            fields = {"outcome": "failure", "_facts_error": bare_name(type(error))}
        try:
            emit = audit_emit.emit if self._emitter is None else self._emitter.emit
            emit(who, kind, fields)
        except Exception as error:  # noqa: BLE001 - another emitter than ours may raise; the request must not fail
            let_through(error)


def _note(receipt: Receipt) -> None:
    """Keep the receipt of a record for the request in which it was emitted."""
    served = SERVED.get()
    if served is not None:
        served.note(receipt)


def _event_fields(event: RouteEvent, exchange: Exchange) -> dict[str, Any]:
    return event.fields | result_fields(exchange)


def live_span() -> tuple[str, str] | None:
    """Trace id and span id of OpenTelemetry's current span, if the application has loaded it."""
    trace = modules.get(_TRACING)
    if trace is None:
        return None
    try:
        live = trace.get_current_span()
        if live is trace.INVALID_SPAN:  # as for most requests of who has only installed it
            return None
        span = live.get_span_context()
        return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None
    except Exception as error:  # noqa: BLE001 - half imported, or another module of that name; use the header
        let_through(error)
        return None


def set_actor(
    user_id: Any, *, actor_kind: str = "user", workspace_id: Any | None = None
) -> AuditContext:
    """Set the actor for the rest of the request, once the application has verified who it is.

    The last call wins, also between an application and one that is mounted in it.

    Args:
        user_id: the id of the actor.
        actor_kind: ``user``, ``admin``, ``agent``, ``service``, …
        workspace_id: the tenant; unchanged when ``None``.
    """
    ids = {"user_id": user_id, "actor_kind": actor_kind}
    if workspace_id is not None:
        ids["workspace_id"] = workspace_id
    return update_request(**ids)
