"""ASGI: ids for everything that serves a request, and one record of what became of it.

    service = AuditMiddleware(app, trusted_proxies=["10.0.0.0/8"])    # any ASGI application
    app.add_middleware(AuditMiddleware)                               # Starlette, FastAPI

Wrapped around the whole application it sees all, and so does a handler of ``Exception``: Starlette
runs that outside of what ``add_middleware`` adds, where nothing is bound. Where it is added all the
same, add it last, so that it is outermost and sees what every other middleware does.

A request writes ``http.request`` when its response is complete, before background tasks; an
unfinished, failed or 5xx one when the application returns, with the exception that ended it. An
exception that escapes before a response began is recorded with the status that servers send then,
500. A websocket writes ``websocket.session`` when it ends: ``status`` is 101 when it was accepted,
403 when it was closed before, ``code`` its close code.

The actor is ``scope["user"]`` when an authentication middleware put one there and says that it
``is_authenticated``, or what the application told ``update_request``. Never a header.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter
from typing import Any, Unpack

from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit.integrations._http import Exchange, below
from audit_emit.integrations._nested import outer_request
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import KEY, Emits, RequestAudit
from audit_emit.integrations._watched import Message, Receive, Watched

__all__ = ["AuditMiddleware"]

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ALWAYS_READ = ("traceparent", "x-forwarded-for", "user-agent")


class AuditMiddleware:
    """Bind the ids of each request, and record it.

    Args:
        app: the application.
        emitter: where records go; the process-wide emitter when ``None``.
        options: see ``audit_emit.integrations._options.Options``.

    Raises:
        ConfigError: an option has a value that cannot be used.
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
        names = (*self._options.request_id_headers, *ALWAYS_READ)
        self._read = frozenset(name.encode("ascii") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; ``lifespan`` goes through untouched."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        outer = outer_request(scope)
        if outer is not None:  # mounted in an audited application, or the middleware is there twice
            if outer.origin is not scope:
                scope[KEY] = outer
                outer.also_in(scope, lambda: _user(scope))
            await self.app(scope, receive, send)
            return
        exchange = _exchange(scope, self._read)
        audit = RequestAudit(self._options, self._emitter, exchange, scope, lambda: _user(scope))
        scope[KEY] = audit
        talk = _Conversation(scope, audit, receive, send, self._options.response_header)
        with audit.bound():
            try:
                await self.app(scope, talk.receive, talk.send)
            except BaseException as error:
                talk.end(error)
                raise
            talk.end(None)


class _Conversation:
    """The messages of one request, on their way through."""

    def __init__(
        self,
        scope: Scope,
        audit: RequestAudit,
        receive: Receive,
        send: Send,
        header: str | None,
    ) -> None:
        self._scope = scope
        self._audit = audit
        self._exchange = audit.exchange
        self._send = send
        self._header = header.encode("ascii") if header else None
        self._promised: int | None = None
        self._client = Watched(receive, self._exchange.method, self._received)

    async def receive(self) -> Message:
        return await self._client.receive()

    def _received(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.receive":
            self._exchange.messages_in += 1
        elif kind == "websocket.disconnect":
            self._exchange.gone = True
            if self._exchange.code is None and self._exchange.status == 101:
                self._exchange.code = message.get("code", 1005)
        elif kind == "http.disconnect":
            # A server says so after every complete response too.
            self._exchange.gone = self._exchange.gone or not self._whole()

    def _whole(self) -> bool:
        """Whether the client has all that it was promised: it may leave before we are told so."""
        sent, promised = self._exchange.sent, self._promised
        return self._exchange.complete or (
            sent is not None and promised is not None and sent >= promised > 0
        )

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            message = self._started(message)
        elif kind == "websocket.accept":
            self._exchange.status = 101
            message = self._with_id(message)
        elif kind == "http.response.body" and self._completes(message):
            # Many servers take a response for a client that has left without a word.
            await self._client.look()
        try:
            await self._send(message)
        except OSError:
            # What servers of ASGI 2.4 and later say when the client has left.
            self._exchange.gone = self._exchange.gone or not self._whole()
            if self._exchange.status == 101 and self._exchange.code is None:
                self._exchange.code = 1006
            raise
        if kind.startswith("websocket."):
            self._sent_websocket(kind, message)
        else:
            self._sent_http(kind, message)

    def _completes(self, message: Message) -> bool:
        """Whether the client has all with this message, and had not before it."""
        sent, promised = self._exchange.sent, self._promised
        if self._whole():
            return False
        if sent is not None and promised and sent + len(message.get("body", b"")) >= promised:
            return True
        return not message.get("more_body", False)

    def end(self, error: BaseException | None) -> None:
        exchange = self._exchange
        if isinstance(error, Exception) and exchange.kind == "http":
            if exchange.status is None and not exchange.gone:
                exchange.status = 500
                exchange.sent = None
        elif exchange.gone and bare_name(type(error)) == "WebSocketDisconnect":
            # Starlette's way of telling a handler that the client closed; most let it pass.
            error = None
        self._finish(error)
        self._client.leave()

    def _finish(self, error: BaseException | None) -> None:
        if self._audit.finished:
            return
        try:
            # Late: routers and proxy middlewares write into the scope.
            exchange = self._exchange
            exchange.client = _host(self._scope)
            places = [place for place in self._audit.within if "type" in place]
            for scope in (*reversed(places), self._scope):
                exchange.route = exchange.route or _route(scope, exchange.path)
                below_app = below(exchange.path, _app_root(scope))
                if below_app is not None:
                    exchange.app_paths = (*exchange.app_paths, below_app)
        except Exception as failed:  # noqa: BLE001 - foreign objects in the scope; the record does without
            let_through(failed)
            self._exchange.notes.append("scope_unreadable")
        self._audit.finish(error)

    def _started(self, message: Message) -> Message:
        status = message.get("status")
        if not isinstance(status, int) or status < 200:
            return message
        if self._exchange.status is not None:
            self._exchange.notes.append("double_start")
            return message
        self._exchange.status = int(status)
        self._promised = _content_length(message.get("headers") or ())
        return self._with_id(message)

    def _with_id(self, message: Message) -> Message:
        """The message with our header, unless the application has set its own."""
        if self._header is None:
            return message
        headers = list(message.get("headers") or ())
        name = self._header.lower()
        if not any(pair[0].lower() == name for pair in headers):
            headers.append((name, self._audit.correlation_id.encode("ascii")))
        # Not in place: the application may send the same object again.
        return {**message, "headers": headers}

    def _sent_http(self, kind: str, message: Message) -> None:
        exchange = self._exchange
        if kind == "http.response.body":
            # The body of a HEAD response stays in the server.
            if exchange.sent is not None and exchange.method != "HEAD":
                exchange.sent += len(message.get("body", b""))
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            exchange.sent = None
        else:
            return
        if not message.get("more_body", False):
            self._complete()

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
        # After a 500 handler the exception itself still comes through: the record waits for it.
        if exchange.kind == "http" and exchange.status is not None and exchange.status < 500:
            self._finish(None)


def _exchange(scope: Scope, read: frozenset[bytes]) -> Exchange:
    path = str(scope.get("path", ""))
    below_root = below(path, str(scope.get("root_path") or ""))
    return Exchange(
        kind=scope["type"],
        method=str(scope.get("method", "")),
        path=path,
        app_paths=() if below_root is None else (below_root,),
        headers=_headers(scope.get("headers") or (), read),
        peer=_host(scope),
    )


def _headers(pairs: Iterable[tuple[bytes, bytes]], read: frozenset[bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for raw, value in pairs:
        name = raw.lower()
        if name in read:
            found.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
    return found


def _content_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return None


def _host(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _user(scope: Mapping[str, Any]) -> str | None:
    """The id of the user whom an authentication middleware has verified."""
    user = scope.get("user")
    if user is None or getattr(user, "is_authenticated", None) is not True:
        return None
    for name in ("identity", "id", "display_name"):
        try:
            value = getattr(user, name, None)
        except NotImplementedError:
            continue  # Starlette's own SimpleUser has no identity
        if value is not None and str(value):
            return str(value)
    return None


def _app_root(scope: Mapping[str, Any]) -> str:
    """Where the outermost application of Starlette's kind is, without what it has mounted."""
    return str(scope.get("app_root_path", scope.get("root_path")) or "")


def _mounted(scope: Mapping[str, Any], path: str) -> str:
    """What is before the part of ``path`` that a route has matched.

    A root path that the proxy in front has taken away is told by the server or the application,
    and is not in ``path``.
    """
    root = str(scope.get("root_path") or "")
    for prefix in (root, root.removeprefix(_app_root(scope))):
        if below(path, prefix) is not None:
            return prefix.rstrip("/")
    return ""


def _route(scope: Mapping[str, Any], path: str) -> str | None:
    """The template of ``path``: of the route that served it, with where that was mounted.

    FastAPI leaves the route in the scope, and the prefix of an included router beside it;
    Starlette leaves the endpoint, which names its route when only one has it.
    """
    included = scope.get("fastapi")
    context = included.get("effective_route_context") if isinstance(included, dict) else None
    mounted = _mounted(scope, path)
    for route in (context, getattr(context, "starlette_route", None), scope.get("route")):
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        if isinstance(template, str) and template:
            # A mount that nothing below refines: where it is, is in ``mounted`` already.
            return mounted + ("/{path}" if hasattr(route, "routes") else template)
    named = _route_of_endpoint(scope)
    return None if named is None else mounted + named


def _route_of_endpoint(scope: Mapping[str, Any]) -> str | None:
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    templates = {
        getattr(route, "path_format", None)
        for route in getattr(scope.get("router"), "routes", ())
        if getattr(route, "endpoint", None) is endpoint
    }
    found = templates.pop() if len(templates) == 1 else None
    return found if isinstance(found, str) else None
