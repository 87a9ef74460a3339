"""WSGI (PEP 3333): ids for everything that serves a request, and one record of what became of it.

    service = AuditMiddleware(app)                                    # any WSGI application
    service = AuditMiddleware(app, trusted_proxies=["10.0.0.0/8"])

The options are those of ``audit_emit.integrations._options.Options``. Wrapped around the whole
application, the middleware sees what every other one does.

A request writes ``http.request`` when its body has been handed to the server: with the last byte
that ``Content-Length`` promised, at the end of the iterable, or when the server closes it before
that (``aborted``). The context is bound around the call of the application, around every step of
the iterable and around its close, and nowhere else: a worker thread keeps nothing of it.

The actor is ``REMOTE_USER``, which only a server or a middleware that has verified somebody can
set (RFC 3875 section 4.1.11: a client's header ``Remote-User`` is ``HTTP_REMOTE_USER``), or what
the application told ``update_request``. Never a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Unpack

from audit_emit.integrations._http import Exchange
from audit_emit.integrations._nested import outer_request
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import KEY, Emits, FindUser, RequestAudit

__all__ = ["AuditMiddleware"]

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

BODYLESS = (204, 304)
"""Statuses of responses that have no body, whatever ``Content-Length`` says (RFC 9110)."""


class Host(Protocol):
    """What a framework knows of a request beyond its environment."""

    def user_of(self, exchange: Exchange, environ: Environ) -> FindUser:
        """Made before the application is called: finds the verified user of this request."""

    def learn(self, audit: RequestAudit) -> None:
        """Take over what the framework knows only while it handles the request, like the route.

        Called when the response starts, and when it ends.
        """


class PlainHost:
    """No framework: the environment says all there is to know."""

    def user_of(self, _exchange: Exchange, environ: Environ) -> FindUser:
        """``REMOTE_USER``, as it is when the record is written."""
        return lambda: str(environ.get("REMOTE_USER") or "")

    def learn(self, _audit: RequestAudit) -> None:
        """Nothing goes away before the record is written."""


class AuditMiddleware:
    """Bind the ids of each request, and record it.

    Args:
        app: the application.
        emitter: where records go; the process-wide emitter when ``None``.
        options: see ``audit_emit.integrations._options.Options``.

    Raises:
        ConfigError: an option is not known, or has a value that cannot be used.
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
    """A WSGI application, audited, with what its framework knows."""

    def __init__(self, app: WsgiApp, options: Options, emitter: Emits | None, host: Host) -> None:
        self._app = app
        self._options = options
        self._emitter = emitter
        self._host = host

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        outer = outer_request(environ)
        if outer is not None:
            return self._within(outer, environ, start_response)
        exchange = _exchange(environ, self._options)
        find_user = self._host.user_of(exchange, environ)
        audit = RequestAudit(self._options, self._emitter, exchange, environ, find_user)
        environ[KEY] = audit
        header = self._options.response_header
        answer = _Answer(audit, environ, start_response, header, self._host.learn)
        with audit.bound():
            try:
                body = self._app(environ, answer.start)
                return _SizedBody(answer, body) if hasattr(body, "__len__") else _Body(answer, body)
            except BaseException as error:
                answer.end(error)
                raise

    def _within(
        self, outer: RequestAudit, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """The answer of an application that is mounted in an audited one, which writes the record.

        Only who acts and the route are to be learned here.
        """
        environ[KEY] = outer
        outer.also_in(environ, self._host.user_of(outer.exchange, environ))

        def start(*arguments: Any) -> Callable[[bytes], object]:
            self._host.learn(outer)
            return start_response(*arguments)

        return self._app(environ, start)


class _Answer:
    """The response of one request, on its way through."""

    def __init__(
        self,
        audit: RequestAudit,
        environ: Environ,
        start_response: StartResponse,
        header: str | None,
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
        # Until a byte is out, a second call with exc_info replaces the first (PEP 3333).
        if exc_info is not None and exc_info[0] is not None:
            exchange.error = exc_info[0]  # the application answers this exception
        exchange.status = int(status[:3]) if status[:3].isdecimal() else None
        self._length = _content_length(headers)
        if exchange.method == "HEAD" or exchange.status in BODYLESS:
            self._length = 0
        write = self._start_response(status, self._with_id(headers), *filter(None, [exc_info]))

        def counted(data: bytes) -> object:
            result = write(data)
            self.sent(data)
            return result

        return counted

    def sent(self, data: bytes) -> None:
        if self._exchange.sent is not None:
            self._exchange.sent += len(data)

    def end_if_whole(self) -> None:
        """Finish once everything that was promised has been handed over."""
        if self._length is not None and (self._exchange.sent or 0) >= self._length:
            self.complete()

    def complete(self) -> None:
        self._exchange.complete = True
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        exchange = self._exchange
        if self.audit.finished:
            return
        exchange.ended = perf_counter()
        exchange.client = str(self._environ.get("REMOTE_ADDR") or "")
        if isinstance(error, Exception) and exchange.status is None:
            exchange.status = 500
            exchange.sent = None
        self._learn(self.audit)
        self.audit.finish(error)

    def close(self) -> None:
        """The server is done: whatever is not complete now never will be."""
        self.end_if_whole()
        self.end(None)

    def _with_id(self, headers: Headers) -> Headers:
        """The headers with ours, unless the application has set its own."""
        name = self._header
        if name is None or any(taken.lower() == name.lower() for taken, _ in headers):
            return headers
        return [*headers, (name, self.audit.correlation_id)]


class _Body:
    """The response's iterable: bound at every step, recorded at its end."""

    def __init__(self, answer: _Answer, body: Iterable[bytes]) -> None:
        self._answer = answer
        self._body: Any = body
        self._next = iter(body).__next__

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._answer.audit.bound():
            try:
                chunk = self._next()
            except StopIteration:
                self._answer.complete()
                raise
            except BaseException as error:
                self._answer.end(error)
                raise
            self._answer.sent(chunk)
            self._answer.end_if_whole()
            return chunk

    def close(self) -> None:
        with self._answer.audit.bound():
            try:
                close = getattr(self._body, "close", None)
                if close is not None:
                    close()
            finally:
                self._answer.close()


class _SizedBody(_Body):
    """The response's iterable of a known length: by one of 1, servers know ``Content-Length``."""

    def __len__(self) -> int:
        return len(self._body)


def _exchange(environ: Environ, options: Options) -> Exchange:
    before_proxy = environ.get("werkzeug.proxy_fix.orig") or {}
    root, path = text_of(environ.get("SCRIPT_NAME")), text_of(environ.get("PATH_INFO"))
    names = (*options.request_id_headers, "traceparent", "x-forwarded-for", "user-agent")
    keys = {name: "HTTP_" + name.upper().replace("-", "_") for name in names}
    return Exchange(
        method=str(environ.get("REQUEST_METHOD") or ""),
        path=root + path,
        app_paths=(path or "/",) if root else (),
        headers={name: [environ[key]] for name, key in keys.items() if key in environ},
        peer=str(before_proxy.get("REMOTE_ADDR") or environ.get("REMOTE_ADDR") or ""),
    )


def text_of(part: object) -> str:
    """A part of the path, which is in bytes as if they were latin-1 (PEP 3333)."""
    return str(part or "").encode("latin-1", "replace").decode("utf-8", "replace")


def _content_length(headers: Headers) -> int | None:
    for name, value in headers:
        if name.lower() == "content-length" and value.isdecimal():
            return int(value)
    return None
