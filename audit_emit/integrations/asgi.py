"""ASGI: binds the ids of each request, and writes one record with the outcome of the request.

    service = AuditMiddleware(app, trusted_proxies=["10.0.0.0/8"])    # any ASGI application
    app.add_middleware(AuditMiddleware)                               # Starlette, FastAPI

Prefer to wrap the whole application. Starlette runs a handler of ``Exception`` outside of every
middleware that ``add_middleware`` adds, so that nothing is bound in such a handler otherwise. If
you use ``add_middleware``, add this one last: the last one added is the outermost, and sees what
all the others do.

``http.request`` is written when the response is complete, before background tasks run. When the
response is unfinished, failed or has a 5xx status, it is written when the application returns, with
the exception that ended the request. If an exception escapes before a response began, the recorded
status is 500, which is what servers send then. A websocket writes ``websocket.session`` when it
ends: ``status`` is 101 when it was accepted and 403 when it was closed before that; ``code`` is the
close code.

The actor is the one that the application has set with ``set_actor`` or ``update_request``, else
``scope["user"]`` when an authentication middleware has put a user there that ``is_authenticated``.
It is never taken from a header.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Unpack

from audit_emit import Emitter
from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.integrations._asgi_scope import (
    Scope,
    app_root,
    exchange_of,
    look_at,
    route_of,
    user_of,
)
from audit_emit.integrations._common import Emits
from audit_emit.integrations._http import below
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._outer_request import outer_request
from audit_emit.integrations._receive import Message, PeekingReceive, Receive, is_worth_a_look
from audit_emit.integrations._request import RECEIPT, RequestAudit

__all__ = ["AuditMiddleware", "health_app"]

Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_RECEIPT = RECEIPT.lower().encode("ascii")
_STARTS = ("http.response.start", "websocket.http.response.start")
_FROM_FILES = ("http.response.pathsend", "http.response.zerocopysend")
"""Messages with which a server sends a file itself, of whatever length."""


class AuditMiddleware:
    """ASGI middleware that binds the ids of each request and records the request.

    Args:
        app: the ASGI application to wrap.
        emitter: writes the records; the process-wide emitter when ``None``.
        options: see ``audit_emit.integrations._options.Options``.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        emitter: Emits | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        self.app = app
        self._emitter = emitter
        self._options = Options.make(options)
        names = [*self._options.request_id_headers, "traceparent"]
        if self._options.trusted_proxies:
            names.append("x-forwarded-for")
        if self._options.user_agent:
            names.append("user-agent")
        self._headers_read = frozenset(name.encode("ascii") for name in names)
        header = self._options.response_header
        self._response_header = header.lower().encode("ascii") if header else None
        self._skips = bool(self._options.skip_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP and websockets passes through unchanged."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":  # noqa: PLR1714 - a tuple takes longer
            await self.app(scope, receive, send)
            return
        outer = outer_request(scope)
        if outer is not None:
            # Mounted in an audited application, or the middleware was added twice.
            if outer.origin is not scope:
                outer.add_inner_origin(scope, partial(user_of, scope))
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope, self._headers_read)
        find_user = partial(user_of, scope)
        audit = RequestAudit(self._options, self._emitter, exchange, scope, find_user)
        connection = _AuditedConnection(
            scope, audit, receive, send, self._response_header, self._skips
        )
        entered = audit.enter()
        returned = False
        try:
            await self.app(scope, connection.receive, connection.send)
            connection.end(None)
            returned = True
        except BaseException as error:
            connection.end(error)
            raise
        finally:
            audit.leave(entered)
            audit.release()
            # Some, as Django, return when the client has left, and threads of theirs go on.
            if returned and (exchange.complete or kind == "websocket"):
                audit.let_go()


class _AuditedConnection:
    """Observes the messages of one connection as they pass between server and application."""

    def __init__(
        self,
        scope: Scope,
        audit: RequestAudit,
        receive: Receive,
        send: Send,
        header: bytes | None,
        skips: bool,
    ) -> None:
        self._scope = scope
        self._audit = audit
        self._exchange = audit.exchange
        self._skips = skips
        self._send = send
        self._header = header
        self._content_length_sent: int | None = None
        self._receive = receive
        self._client: PeekingReceive | None = None

    def receive(self) -> Awaitable[Message]:
        """The next message of the client."""
        return (self._client or self._watched()).receive()

    def _watched(self) -> PeekingReceive:
        """The wrapped ``receive``, made when it is first needed: many requests have no body."""
        self._client = PeekingReceive(self._receive, self._exchange, self._received)
        return self._client

    def _received(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.receive":
            self._exchange.messages_in += 1
        elif kind == "websocket.disconnect":
            self._exchange.disconnected = True
            if self._exchange.code is None and self._exchange.status == 101:
                self._exchange.code = message.get("code", 1005)
        elif kind == "http.disconnect":
            # Servers also send this after a response that is complete.
            self._exchange.disconnected = self._exchange.disconnected or not self._client_has_all()

    def _client_has_all(self) -> bool:
        """Whether the client has every byte of ``Content-Length``.

        It may then leave before the server has told us that the response is complete.
        """
        sent, declared = self._exchange.sent, self._content_length_sent
        return self._exchange.complete or (
            sent is not None and declared is not None and sent >= declared > 0
        )

    async def send(self, message: Message) -> None:
        kind = message["type"]
        exchange = self._exchange
        is_body = kind == "http.response.body"
        if is_body:
            if is_worth_a_look(exchange) and self._completes(message):
                # Many servers accept and drop a response for a client that has left.
                await (self._client or self._watched()).peek()
        elif kind == "http.response.start" or kind == "websocket.http.response.start":  # noqa: PLR1714 - a tuple takes longer
            message = self._started(message)
        elif kind == "websocket.accept":
            exchange.status = 101
            message = self._with_id(message)
        try:
            await self._send(message)
        except Exception as error:
            self._not_sent(kind, error)
            raise
        if is_body:
            exchange.add_body(len(message.get("body", b"")))
            if not message.get("more_body", False):
                self._complete()
        elif kind in _FROM_FILES:
            exchange.sent = None
            if not message.get("more_body", False):
                self._complete()
        elif exchange.kind == "websocket":
            self._sent_websocket(kind, message)

    def _not_sent(self, kind: str, error: Exception) -> None:
        exchange = self._exchange
        if isinstance(error, OSError):
            # Servers of ASGI 2.4 and later raise this when the client has left.
            exchange.disconnected = exchange.disconnected or not self._client_has_all()
            if exchange.status == 101 and exchange.code is None:
                exchange.code = 1006
        elif kind in _STARTS and "double_start" not in exchange.notes:
            # The server refuses the response: the client gets another one, or the server's own.
            exchange.status = self._content_length_sent = None

    def _completes(self, message: Message) -> bool:
        """Whether this message, and none before it, completes the response."""
        sent, declared = self._exchange.sent, self._content_length_sent
        if self._client_has_all():
            return False
        if sent is not None and declared and sent + len(message.get("body", b"")) >= declared:
            return True
        return not message.get("more_body", False)

    def end(self, error: BaseException | None) -> None:
        exchange = self._exchange
        if error is None:
            pass
        elif isinstance(error, Exception) and exchange.kind == "http":
            if exchange.status is None and not exchange.disconnected:
                exchange.status = 500
                exchange.sent = None
        elif exchange.disconnected and bare_name(type(error)) == "WebSocketDisconnect":
            # Starlette raises this in a handler when the client closes the websocket, and most
            # handlers let it pass. It is not a failure.
            error = None
        if not self._audit.finished:
            self._finish(error)
        if self._client is not None:
            self._client.close()

    def _finish(self, error: BaseException | None) -> None:
        audit = self._audit
        try:
            if audit.is_recorded or audit.declared:
                self._look_at_scopes()
        except Exception as failed:  # noqa: BLE001 - a scope may hold any object; the record is written without
            let_through(failed)
            self._exchange.notes += ("scope_unreadable",)
        audit.finish(error)

    def _look_at_scopes(self) -> None:
        """Read them at the end, because routers and proxy middlewares write into the scope."""
        exchange, scope = self._exchange, self._scope
        client = scope.get("client")
        exchange.client = str(client[0]) if client else ""
        inner = self._audit.inner_origins
        if not inner and not self._skips:
            if exchange.route is None:
                exchange.route = route_of(scope, exchange.path)
            return
        for each in (*(place for place in reversed(inner) if "type" in place), scope):
            if exchange.route is None:
                exchange.route = route_of(each, exchange.path)
            root = app_root(each)
            below_app = below(exchange.path, root) if root else None
            if below_app is not None:
                exchange.app_paths = (*exchange.app_paths, below_app)

    def _started(self, message: Message) -> Message:
        status = message.get("status")
        if not isinstance(status, int) or status < 200:
            return message
        if self._exchange.status is not None:
            self._exchange.notes += ("double_start",)
            return message
        self._exchange.status = int(status)
        return self._with_id(message)

    def _with_id(self, message: Message) -> Message:
        """The message with the request id, unless the application has set one, and the receipt."""
        headers = message.get("headers") or []
        if type(headers) is not list:  # ASGI allows any iterable, which may give them only once
            headers = [*headers]
            message = {**message, "headers": headers}
        self._content_length_sent, is_set = look_at(headers, self._header)
        audit, own = self._audit, self._header
        # Copies: the application may send the same object for another request.
        if own is not None and not is_set:
            headers = [*headers, (own, audit.correlation_id.encode("ascii"))]
            message = {**message, "headers": headers}
        if audit.gives_receipts:
            # A header of this name from the application is not a receipt of this log.
            headers = [pair for pair in headers if pair[0].lower() != _RECEIPT]
            receipt = audit.receipt
            if receipt is not None:
                headers.append((_RECEIPT, receipt.encode("ascii")))
            message = {**message, "headers": headers}
        return message

    def _sent_websocket(self, kind: str, message: Message) -> None:
        exchange = self._exchange
        if kind == "websocket.send":
            exchange.messages_out += 1
        elif kind == "websocket.close":
            if exchange.status is None:
                exchange.status = 403
            elif exchange.code is None:
                exchange.code = message.get("code", 1000)
            self._complete()
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self._complete()

    def _complete(self) -> None:
        exchange = self._exchange
        if exchange.complete:
            return
        exchange.complete = True
        exchange.ended = perf_counter()
        # After a 5xx response the exception itself may still arrive: Starlette sends the response
        # of its error handler first and raises then. The record waits for it.
        status = exchange.status
        if (
            status is not None
            and status < 500
            and exchange.kind == "http"
            and not self._audit.finished
        ):
            self._finish(None)


def health_app(
    database: str | None = None,
    *,
    expect: int | None = None,
    max_lag: float | None = None,
    emitter: Emitter | None = None,
) -> ASGIApp:
    """An ASGI application for ``/health`` and ``/health/ready``, to be mounted or run alone.

    ``/health`` is 200 while the process lives. ``/health/ready`` is 200, or 503 with ``reasons``:
    the audit sink, the database, its migration, or the lag of the outbox. Needs asyncio: the
    database is asked in a thread. The reasons name internals, so do not expose it to the public.

    Args:
        database, expect, max_lag, emitter: see ``audit_emit.integrations._readiness.Readiness``:
            the address to ask, the migration that must be there, seconds that a record may wait
            in the outbox.

    Raises:
        ConfigError: the address cannot be used.
    """
    import asyncio  # noqa: PLC0415 - for those who ask

    from audit_emit.integrations._readiness import Readiness  # noqa: PLC0415 - the same

    readiness = Readiness(database, expect=expect, max_lag=max_lag, emitter=emitter)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root) if root else scope["path"]
        loop = asyncio.get_running_loop()
        status, body = await loop.run_in_executor(None, readiness.answer, path.rstrip("/"))
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
