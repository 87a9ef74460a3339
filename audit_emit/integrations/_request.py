"""The audit side of one request, the same under every framework.

An adapter opens a ``RequestAudit``, binds its ``live`` context around everything that serves the
request, fills in its ``exchange`` and finishes it: that writes the records, once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import Any, Protocol
from uuid import uuid4

import audit_emit
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit.context import (
    EMPTY,
    VAR,
    AuditContext,
    LiveContext,
    Nobody,
    enter_request,
    is_empty,
    leave_request,
    update_request,
)
from audit_emit.integrations._bridge import scrub
from audit_emit.integrations._http import (
    Exchange,
    Inbound,
    identify,
    parse_traceparent,
    request_fields,
    result_fields,
)
from audit_emit.integrations._options import Options

KEY = "audit_emit.request"
"""Where an ASGI scope or a WSGI environ keeps its ``RequestAudit``."""


SERVED: ContextVar[RequestAudit | None] = ContextVar("audit_emit_request", default=None)
"""The request that is served here."""

FindUser = Callable[[], str | None]
"""The id of the user that the application has verified."""


class Emits(Protocol):
    """What an adapter needs of an ``audit_emit.Emitter``."""

    def emit(self, ctx: Any, event_type: str, fields: Any = None, /) -> object:
        """Write one record; never raises."""


class RouteEvent:
    """An event that a route declared: written once the outcome of its request is known.

    Attributes:
        event_type: as of ``emit``.
        fields: the endpoint may add to them until the response is complete.
    """

    __slots__ = ("event_type", "fields")

    def __init__(self, event_type: str, fields: Mapping[str, Any]) -> None:
        self.event_type: str = event_type
        self.fields: dict[str, Any] = dict(fields)


class VerifiedContext(LiveContext):
    """A live context that knows where the application keeps the user it has verified.

    Looked up only while nobody has said who acts, and never stored over what somebody says
    meanwhile from another thread. Without such a user the actor is ``anonymous``, not an unnamed
    user.
    """

    __slots__ = ("_filled", "_find", "_told")

    _told: AuditContext

    def __init__(self, context: AuditContext, find: FindUser) -> None:
        self._find = find
        self._filled: tuple[AuditContext, AuditContext] | None = None
        super().__init__(context)

    @property
    def context(self) -> AuditContext:
        """The context as it is now."""
        told, filled = self._told, self._filled
        if not is_empty(told.user_id):
            return told
        known = filled[1] if filled is not None and filled[0] is told else None
        if known is not None and not isinstance(known, Nobody):
            return known
        try:
            user_id = self._find()
        except Exception as error:  # noqa: BLE001 - a user object is the application's and may raise anything
            let_through(error)
            user_id = None
        if user_id:
            known = told.replace(user_id=user_id)
        elif known is None:
            known = Nobody.unless_known(told)
        self._filled = told, known
        return known

    @context.setter
    def context(self, context: AuditContext) -> None:
        self._told = context

    def look_up(self) -> None:
        """Keep the verified user, where it is about to become unreachable."""
        _ = self.context


class RequestAudit:
    """One request, from its first byte to its records.

    Attributes:
        origin: the ASGI scope or WSGI environ that it came with.
        exchange: what is known of it.
        declared: events whose outcome is that of the request.
        live: the context in which it is served.
    """

    __slots__ = (
        "_done",
        "_emitter",
        "_finders",
        "_inbound",
        "_options",
        "declared",
        "exchange",
        "live",
        "origin",
        "within",
    )

    def __init__(
        self,
        options: Options,
        emitter: Emits | None,
        exchange: Exchange,
        origin: Mapping[str, Any],
        find_user: FindUser,
    ) -> None:
        exchange.started = perf_counter()
        self._options = options
        self._emitter = emitter
        self._inbound = identify(options, exchange, uuid4().hex)
        self._done = False
        self._finders = [find_user]
        self.exchange: Exchange = exchange
        self.origin: Mapping[str, Any] = origin
        self.within: list[Mapping[str, Any]] = []
        self.declared: list[RouteEvent] = []
        self.live: VerifiedContext = VerifiedContext(
            _bound_context(exchange, self._inbound), self._find_user
        )

    @property
    def correlation_id(self) -> str:
        """The id that the response tells."""
        return self._inbound.correlation_id

    @property
    def finished(self) -> bool:
        """Whether the records are written."""
        return self._done

    def also_in(self, origin: Mapping[str, Any], find_user: FindUser) -> None:
        """Look for the user, and the route, in the scope or environ of an inner application, too.

        What the outer one knows comes first: it decided whether the inner one is asked at all.
        """
        self.within.append(origin)
        self._finders.append(find_user)

    def _find_user(self) -> str | None:
        return next((user for find in self._finders if (user := find())), None)

    @contextmanager
    def bound(self) -> Iterator[None]:
        """The context of this request, for as long as the block runs."""
        entered = enter_request(self.live)
        served = SERVED.set(self)
        try:
            yield
        finally:
            try:
                SERVED.reset(served)
            except ValueError as error:
                let_through(error)
                # left in another context, as in leave_request
            leave_request(entered)

    def finish(self, error: BaseException | None = None) -> None:
        """Write the records, the first time. Never raises.

        Args:
            error: what ended the request, when it did not end by itself.
        """
        if self._done:
            return
        self._done = True
        exchange = self.exchange
        if exchange.ended is None:
            exchange.ended = perf_counter()
        if error is not None:
            exchange.error = type(error)
        who = self.live.context
        for event in self.declared:
            self._emit(who, event.event_type, partial(_event_fields, event, exchange))
        paths = (exchange.path, *exchange.app_paths)
        if self._options.requests and not any(map(self._options.skips, paths)):
            kind = "http.request" if exchange.kind == "http" else "websocket.session"
            without_secrets = partial(scrub, emitter=self._emitter)
            build = partial(request_fields, self._options, exchange, self._inbound, without_secrets)
            self._emit(who, kind, build)

    def _emit(self, who: AuditContext, kind: str, build: Callable[[], dict[str, Any]]) -> None:
        try:
            fields = build()
        except Exception as error:  # noqa: BLE001 - facts of a broken server; the record comes first
            let_through(error)
            fields = {"outcome": "failure", "_facts_error": bare_name(type(error))}
        try:
            emit = audit_emit.emit if self._emitter is None else self._emitter.emit
            emit(who, kind, fields)
        except Exception as error:  # noqa: BLE001 - ours never raises; somebody else's must not either
            let_through(error)


def _event_fields(event: RouteEvent, exchange: Exchange) -> dict[str, Any]:
    return event.fields | result_fields(exchange)


def _bound_context(exchange: Exchange, inbound: Inbound) -> AuditContext:
    """What is bound around the request, with the ids of the request.

    Another request's live context is never inherited: finding one here means that it leaked.
    """
    around = VAR.get()
    context = around if isinstance(around, AuditContext) else EMPTY
    ids = {"correlation_id": inbound.correlation_id}
    trace = live_span() or parse_traceparent(exchange.headers.get("traceparent", ()))
    if trace is not None:
        ids["trace_id"], ids["span_id"] = trace
    return context.replace(**ids)


def live_span() -> tuple[str, str] | None:
    """The ids of OpenTelemetry's current span, when the application has loaded OpenTelemetry."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        span = trace.get_current_span().get_span_context()
        ids = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    except Exception as error:  # noqa: BLE001 - a half-imported or foreign module; the header serves
        let_through(error)
        return None
    return ids if span.is_valid else None


def set_actor(
    user_id: Any, *, actor_kind: str = "user", workspace_id: Any | None = None
) -> AuditContext:
    """Say who acts, once the application has verified it; holds for the rest of the request.

    Args:
        user_id: who.
        actor_kind: ``user``, ``admin``, ``agent``, ``service``, …
        workspace_id: the tenant; left as it is when ``None``.
    """
    ids = {"user_id": user_id, "actor_kind": actor_kind}
    if workspace_id is not None:
        ids["workspace_id"] = workspace_id
    return update_request(**ids)
