"""Flask: ids for everything that serves a request, and one record of what became of it.

    audit = AuditEmit(app)              # or AuditEmit() and audit.init_app(app) in a factory
    audit = AuditEmit(app, skip_paths=["/health"])

The options are those of ``audit_emit.integrations._options.Options``. What is not an argument is
read from ``app.config`` by ``init_app``: ``AUDIT_EMIT_REQUESTS``, ``AUDIT_EMIT_SKIP_PATHS``,
``AUDIT_EMIT_REQUEST_ID_HEADERS``, ``AUDIT_EMIT_RESPONSE_HEADER``, ``AUDIT_EMIT_TRUST_REQUEST_ID``,
``AUDIT_EMIT_TRUSTED_PROXIES``, ``AUDIT_EMIT_CLIENT_IP``, ``AUDIT_EMIT_USER_AGENT``.

A request writes ``http.request`` when its body has been handed to the server: with the last byte
that ``Content-Length`` promised, at the end of a stream, or when the server closes it before that
(``aborted``). The context is bound around the call of the application, around every step of a
stream and around its close, and nowhere else: a worker thread keeps nothing of it.

The actor is the user that Flask-Login has loaded (it is never made to load one), or what the
application told ``update_request``. Never a header.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any, Unpack

try:
    from flask import Flask, g, got_request_exception, has_request_context, request
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.flask needs Flask: pip install 'audit-emit[flask]'",
        name=_missing.name,
    ) from _missing

from audit_emit import _process
from audit_emit._allowed import SETTINGS
from audit_emit.context import VAR, LiveContext
from audit_emit.errors import ConfigError
from audit_emit.integrations._http import Exchange
from audit_emit.integrations._nested import outer_request
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import KEY, Emits, RequestAudit, set_actor

__all__ = ["AuditEmit", "set_actor"]

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

EXTENSION = "audit_emit"
PREFIX = "AUDIT_EMIT_"
BODYLESS = (204, 304)


class AuditEmit:
    """The extension. It keeps nothing of an application; that is in ``app.extensions``.

    Args:
        app: an application to set up at once.
        emitter: where records go; the process-wide emitter when ``None``.
        options: come before the keys of ``app.config``.

    Raises:
        ConfigError: an option is not known, or has a value that cannot be used.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        emitter: Emits | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        Options.make(options)
        self._emitter = emitter
        self._given = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Wrap ``app.wsgi_app``.

        Raises:
            ConfigError: a value in ``app.config`` cannot be used, or a key that begins with
                ``AUDIT_EMIT_`` is not known, or would do nothing there.
            RuntimeError: the application has the extension already.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("AuditEmit is set up on this application already")
        configured = _configured(app.config, self._given)
        if self._emitter is None:
            _refuse_settings(app.config)
        options = Options.make({**configured, **self._given})
        app.extensions[EXTENSION] = options
        audited = _AuditedApp(app.wsgi_app, options, self._emitter)
        app.wsgi_app = audited  # type: ignore[method-assign]
        got_request_exception.connect(_remember_exception, app)


def _configured(config: Mapping[str, Any], given: Container[str]) -> dict[str, Any]:
    """The options in a Flask configuration that no argument has given."""
    names = {PREFIX + name.upper(): name for name in Options.__dataclass_fields__}
    tolerated = {PREFIX + setting.variable for setting in SETTINGS.values()}
    ours = [key for key in config if isinstance(key, str) and key.startswith(PREFIX)]
    for key in ours:
        # The whole environment may be there, with variables of the commands, too.
        if key not in names and key not in tolerated and os.environ.get(key) != config[key]:
            raise ConfigError(key, f"is not a key of AuditEmit; there are: {', '.join(names)}")
    found = {key: config[key] for key in ours if key in names and names[key] not in given}
    for key, value in found.items():
        try:
            Options.make({names[key]: value})
        except ConfigError as error:
            raise ConfigError(key, str(error)) from None
    return {names[key]: value for key, value in found.items()}


def _refuse_settings(config: Mapping[str, Any]) -> None:
    """Tell of settings of the emitter, which nobody reads here.

    They may be there when the whole environment was loaded into it, and when the application has
    made an emitter, perhaps of these.
    """
    if _process._current is not None:  # noqa: SLF001 - get_emitter would make one
        return
    for name, setting in SETTINGS.items():
        key = PREFIX + setting.variable
        value = config.get(key)
        if value is not None and os.environ.get(key) != value:
            raise ConfigError(
                key,
                "does nothing in app.config: it is a variable of the environment, or call "
                f"audit_emit.configure({name}=app.config[{key!r}]) before AuditEmit",
            )


def _remember_exception(_app: Flask, exception: BaseException, **_: Any) -> None:
    """A handled exception becomes a 500 response; its type would be gone by then."""
    audit = request.environ.get(KEY)
    if isinstance(audit, RequestAudit):
        audit.exchange.error = type(exception)
        _learn(audit)


def _learn(audit: RequestAudit) -> None:
    """What Flask knows only while it handles the request: a streamed body outlives that."""
    if not _handles(audit.exchange):
        return
    if request.url_rule is not None:
        audit.exchange.route = (
            _mounted(request.environ, audit.exchange.path) + request.url_rule.rule
        )
    audit.live.look_up()


def _mounted(environ: Environ, path: str) -> str:
    """What is before the part of ``path`` that the rule has matched.

    A prefix that a proxy has taken away, and only tells of, is not in ``path``.
    """
    within = _text(environ.get("PATH_INFO"))
    return path.removesuffix(within) if path.endswith(within) else ""


def _handles(exchange: Exchange) -> bool:
    """Whether Flask handles this very request here.

    Another request's context is current while its view calls this application, and while a
    ``stream_with_context`` of it is open on the thread.
    """
    if not has_request_context():
        return False
    audit = request.environ.get(KEY)
    return isinstance(audit, RequestAudit) and audit.exchange is exchange


class _AuditedApp:
    """The application's ``wsgi_app``, audited."""

    def __init__(self, app: WsgiApp, options: Options, emitter: Emits | None) -> None:
        self._app = app
        self._options = options
        self._emitter = emitter

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        outer = outer_request(environ)
        if outer is not None:
            return self._within(outer, environ, start_response)
        exchange = _exchange(environ, self._options)
        find_user = partial(_user, exchange, _left_behind())
        audit = RequestAudit(self._options, self._emitter, exchange, environ, find_user)
        environ[KEY] = audit
        answer = _Answer(audit, environ, start_response, self._options.response_header)
        with audit.bound():
            try:
                body = self._app(environ, answer.start)
                return _Body(answer, body)
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
        outer.also_in(environ, partial(_user, outer.exchange, _left_behind()))

        def start(*arguments: Any) -> Callable[[bytes], object]:
            _learn(outer)
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
    ) -> None:
        self.audit = audit
        self._exchange = audit.exchange
        self._environ = environ
        self._start_response = start_response
        self._header = header
        self._length: int | None = None

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        exchange = self._exchange
        _learn(self.audit)
        # Until a byte is out, a second call with exc_info replaces the first (PEP 3333).
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
        _learn(self.audit)
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
        self._body = body
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


def _exchange(environ: Environ, options: Options) -> Exchange:
    before_proxy = environ.get("werkzeug.proxy_fix.orig") or {}
    root, path = _text(environ.get("SCRIPT_NAME")), _text(environ.get("PATH_INFO"))
    names = (*options.request_id_headers, "traceparent", "x-forwarded-for", "user-agent")
    keys = {name: "HTTP_" + name.upper().replace("-", "_") for name in names}
    return Exchange(
        method=str(environ.get("REQUEST_METHOD") or ""),
        path=root + path,
        app_paths=(path or "/",) if root else (),
        headers={name: [environ[key]] for name, key in keys.items() if key in environ},
        peer=str(before_proxy.get("REMOTE_ADDR") or environ.get("REMOTE_ADDR") or ""),
    )


def _text(part: object) -> str:
    """A part of the path, which is in bytes as if they were latin-1 (PEP 3333)."""
    return str(part or "").encode("latin-1", "replace").decode("utf-8", "replace")


def _content_length(headers: Headers) -> int | None:
    for name, value in headers:
        if name.lower() == "content-length" and value.isdecimal():
            return int(value)
    return None


def _left_behind() -> Any:
    """The user of a request whose stream is still open on this thread, though nobody is in it.

    Flask hands its ``g`` on to the next request. A request that calls its own application shares
    it too, but then it is that user who acts.
    """
    if not has_request_context() or isinstance(VAR.get(), LiveContext):
        return None
    return g.get("_login_user")


def _user(exchange: Exchange, left_behind: Any) -> str | None:
    """The id of the user that Flask-Login holds; ``current_user`` would load one."""
    user = g.get("_login_user") if _handles(exchange) else None
    if user is None or user is left_behind or getattr(user, "is_authenticated", None) is not True:
        return None
    return str(user.get_id() or "")
