"""WSGI (PEP 3333): binds the ids of each request, and writes one record with its outcome.

    service = AuditMiddleware(app)                                    # any WSGI application
    service = AuditMiddleware(app, trusted_proxies=["10.0.0.0/8"])

The options are those of ``audit_emit.integrations._options.Options``. Wrap the whole application,
so that the middleware sees what every other middleware does.

``http.request`` is written when the body has been passed to the server: with the last byte of
``Content-Length``, at the end of the iterable, or when the server closes the iterable before that
(outcome ``aborted``). The context is bound around the call of the application, around every step of
the iterable and around its ``close``. It is not bound in between, so a worker thread that serves
several requests in turn never mixes them up.

The actor is the one that the application has set with ``update_request``, else ``REMOTE_USER``,
which only a server or a middleware that has verified the user can set (RFC 3875, section 4.1.11; a
client's header ``Remote-User`` arrives as ``HTTP_REMOTE_USER``). It is never taken from a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Unpack

from audit_emit.integrations._common import Emits
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._http import MAX_LENGTH_DIGITS
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._outer_request import outer_request
from audit_emit.integrations._request import RECEIPT, RequestAudit
from audit_emit.integrations._request_context import FindUser

__all__ = ["AuditMiddleware"]

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

BODYLESS = (204, 304)
"""Statuses of responses without a body, whatever ``Content-Length`` says (RFC 9110, 6.4.1)."""


class Host(Protocol):
    """What a framework knows about a request beyond its environ."""

    def user_of(self, exchange: Exchange, environ: Environ) -> FindUser:
        """Return the function that finds the verified user; called before the application is."""

    def learn(self, audit: RequestAudit) -> None:
        """Copy what the framework knows only while it handles the request, such as the route.

        Called when the response starts and when it ends.
        """


class PlainHost:
    """No framework: the environ holds everything."""

    def user_of(self, _exchange: Exchange, environ: Environ) -> FindUser:
        """Read ``REMOTE_USER`` when the record is written."""
        return lambda: str(environ.get("REMOTE_USER") or "")

    def learn(self, _audit: RequestAudit) -> None:
        """Do nothing: the environ is still there when the record is written."""


class AuditMiddleware:
    """WSGI middleware that binds the ids of each request and records the request.

    Args:
        app: the WSGI application to wrap.
        emitter: writes the records; the process-wide emitter when ``None``.
        options: see ``audit_emit.integrations._options.Options``.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
    """

    def __init__(
        self,
        app: WsgiApp,
        *,
        emitter: Emits | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        self.app: WsgiApp = AuditedApp(app, Options.make(options), emitter, PlainHost())

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self.app(environ, start_response)


class AuditedApp:
    """A WSGI application with its audit; ``host`` adds what the framework knows."""

    def __init__(self, app: WsgiApp, options: Options, emitter: Emits | None, host: Host) -> None:
        self._app = app
        self._options = options
        self._emitter = emitter
        self._host = host
        self._keys = header_keys(options)
        header = options.response_header
        self._header = None if header is None else (header, header.lower())

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        outer = outer_request(environ)
        if outer is not None:
            return self._within(outer, environ, start_response)
        exchange = _exchange(environ, self._keys)
        find_user = self._host.user_of(exchange, environ)
        audit = RequestAudit(self._options, self._emitter, exchange, environ, find_user)
        answer = _Answer(audit, environ, start_response, self._header, self._host.learn)
        entered = audit.enter()
        try:
            body = self._app(environ, answer.start)
            return _SizedBody(answer, body) if hasattr(body, "__len__") else _Body(answer, body)
        except BaseException as error:
            answer.end(error)
            audit.release()
            raise
        finally:
            audit.leave(entered)

    def _within(
        self, outer: RequestAudit, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request of an application that is mounted in an audited one.

        The outer application writes the record; only user and route are read here.
        """
        outer.add_inner_origin(environ, self._host.user_of(outer.exchange, environ))

        def start(*arguments: Any) -> Callable[[bytes], object]:
            self._host.learn(outer)
            return start_response(*arguments)

        return self._app(environ, start)


class _Answer:
    """Observes the response of one request as it passes from the application to the server."""

    def __init__(
        self,
        audit: RequestAudit,
        environ: Environ,
        start_response: StartResponse,
        header: tuple[str, str] | None,
        learn: Callable[[RequestAudit], None],
    ) -> None:
        self.audit = audit
        self._exchange = audit.exchange
        self._environ = environ
        self._start_response = start_response
        self._header = header
        self._learn = learn
        self._length: int | None = None

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        exchange = self._exchange
        self._learn(self.audit)
        before = exchange.status, self._length
        # Before the first byte is sent, a second call with exc_info replaces the first (PEP 3333).
        if exc_info is not None and exc_info[0] is not None:
            exchange.error = exc_info[0]  # the response that starts is the answer to it
        number = status[:3]
        exchange.status = int(number) if number.isdecimal() else None
        headers = self._looked_at(headers)
        if exchange.method == "HEAD" or exchange.status in BODYLESS:
            self._length = 0
        try:
            if exc_info is None:
                write = self._start_response(status, headers)
            else:
                write = self._start_response(status, headers, exc_info)
        except BaseException:
            # After it the server refuses with that exception: the client has what began before.
            exchange.status, self._length = before
            raise

        def counted(data: bytes) -> object:
            result = write(data)
            self._exchange.add_body(len(data))
            return result

        return counted

    def passed(self, data: bytes) -> None:
        """Count a step of the iterable; the last one completes the response."""
        self._exchange.add_body(len(data))
        if self.is_whole():
            self.complete()

    def is_whole(self) -> bool:
        """Whether the server has as many bytes as ``Content-Length`` says."""
        return self._length is not None and (self._exchange.sent or 0) >= self._length

    def complete(self) -> None:
        self._exchange.complete = True
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        if self.audit.finished:
            return
        exchange = self._exchange
        exchange.ended = perf_counter()
        exchange.client = str(self._environ.get("REMOTE_ADDR") or "")
        if isinstance(error, Exception) and exchange.status is None:
            exchange.status = 500
            exchange.sent = None
        self._learn(self.audit)
        self.audit.finish(error)

    def close(self) -> None:
        """Finish when the server closes the response; what is incomplete now was aborted."""
        if not self.audit.finished:
            if self.is_whole():
                self._exchange.complete = True
            self.end(None)
        self.audit.release()

    def _looked_at(self, headers: Headers) -> Headers:
        """The headers with the request id, unless the application has set one, and the receipt."""
        header, wanted = self._header or (None, None)
        is_set = False
        self._length = None
        for name, value in headers:
            lower = name.lower()
            if lower == "content-length":
                if self._length is None and value.isdecimal() and len(value) <= MAX_LENGTH_DIGITS:
                    self._length = int(value)
            elif lower == wanted:
                is_set = True
        if header is not None and not is_set:
            headers = [*headers, (header, self.audit.correlation_id)]
        if self.audit.gives_receipts:
            # What the application says under this name is not of this log.
            headers = [pair for pair in headers if pair[0].lower() != RECEIPT.lower()]
            receipt = self.audit.receipt
            if receipt is not None:
                headers.append((RECEIPT, receipt))
        return headers


class _Body:
    """The iterable of a response: binds the context at every step, and records at the end."""

    def __init__(self, answer: _Answer, body: Iterable[bytes]) -> None:
        self._answer = answer
        self._body: Any = body
        self._next = iter(body).__next__

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        answer = self._answer
        audit = answer.audit
        entered = audit.enter()
        try:
            chunk = self._next()
            if not audit.finished:
                answer.passed(chunk)
            return chunk
        except StopIteration:
            answer.complete()
            raise
        except BaseException as error:
            answer.end(error)
            raise
        finally:
            audit.leave(entered)

    def close(self) -> None:
        answer = self._answer
        entered = answer.audit.enter()
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            answer.close()
            answer.audit.leave(entered)


class _SizedBody(_Body):
    """An iterable with a length: a length of 1 gives servers ``Content-Length`` (PEP 3333)."""

    def __len__(self) -> int:
        return len(self._body)


def header_keys(options: Options) -> tuple[tuple[str, str], ...]:
    """The headers that are read: the name of each, and its key in an environ."""
    names = [*options.request_id_headers, "traceparent"]
    if options.trusted_proxies:
        names.append("x-forwarded-for")
    if options.user_agent:
        names.append("user-agent")
    return tuple((name, "HTTP_" + name.upper().replace("-", "_")) for name in names)


def _exchange(environ: Environ, keys: Iterable[tuple[str, str]]) -> Exchange:
    exchange = Exchange()
    exchange.method = str(environ.get("REQUEST_METHOD") or "")
    path = text_of(environ.get("PATH_INFO"))
    root = text_of(environ.get("SCRIPT_NAME")) if environ.get("SCRIPT_NAME") else ""
    exchange.path = root + path
    if root:
        exchange.app_paths = (path or "/",)
    exchange.headers = headers = headers_in(environ, keys)
    if headers:  # whose word they are
        before_proxy = environ.get("werkzeug.proxy_fix.orig") or {}
        exchange.peer = str(before_proxy.get("REMOTE_ADDR") or environ.get("REMOTE_ADDR") or "")
    return exchange


def headers_in(environ: Environ, keys: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The headers of a request by name, of those that are read (``header_keys``)."""
    return {name: [environ[key]] for name, key in keys if key in environ}


def text_of(part: object) -> str:
    """Decode a part of the path: WSGI passes its bytes as latin-1 text (PEP 3333)."""
    text = str(part or "")
    if text.isascii():
        return text
    return text.encode("latin-1", "replace").decode("utf-8", "replace")
