"""Flask: binds the ids of each request, and writes one record with the outcome of the request.

    audit = AuditEmit(app)              # or AuditEmit() and audit.init_app(app) in a factory
    audit = AuditEmit(app, skip_paths=["/health"])

The options are those of ``audit_emit.integrations._options.Options``. ``init_app`` reads those that
are not given as arguments from ``app.config``: ``AUDIT_EMIT_REQUESTS``, ``AUDIT_EMIT_SKIP_PATHS``,
``AUDIT_EMIT_REQUEST_ID_HEADERS``, ``AUDIT_EMIT_RESPONSE_HEADER``, ``AUDIT_EMIT_TRUST_REQUEST_ID``,
``AUDIT_EMIT_TRUSTED_PROXIES``, ``AUDIT_EMIT_CLIENT_IP``, ``AUDIT_EMIT_USER_AGENT``,
``AUDIT_EMIT_RECEIPTS``.

``audit_emit.integrations.wsgi`` documents when a record is written and where the context is bound.

The actor is the one that the application has set with ``set_actor`` or ``update_request``, else the
user that Flask-Login has already loaded; it is not made to load one. It is never taken from a
header.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from functools import partial
from typing import Any, Unpack

try:
    from flask import (
        Blueprint,
        Flask,
        Request,
        Response,
        g,
        got_request_exception,
        has_request_context,
        request,
    )
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.flask needs Flask: pip install 'audit-emit[flask]'",
        name=_missing.name,
    ) from _missing

from audit_emit import Emitter
from audit_emit._facade.adapters import SETTINGS, current_emitter
from audit_emit.context import VAR, LiveContext
from audit_emit.errors import ConfigError
from audit_emit.integrations._common import Emits
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import KEY, RequestAudit, set_actor
from audit_emit.integrations._request_context import FindUser
from audit_emit.integrations.wsgi import AuditedApp, Environ, text_of

__all__ = ["AuditEmit", "health_blueprint", "set_actor"]

EXTENSION = "audit_emit"
PREFIX = "AUDIT_EMIT_"


class AuditEmit:
    """The Flask extension. It keeps no state of an application; that is in ``app.extensions``.

    Args:
        app: an application to set up immediately.
        emitter: writes the records; the process-wide emitter when ``None``.
        options: take precedence over the keys of ``app.config``.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
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
            ConfigError: a value in ``app.config`` cannot be used; or a key that begins with
                ``AUDIT_EMIT_`` is unknown, or has no effect in ``app.config``.
            RuntimeError: the application already has the extension.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("AuditEmit is set up on this application already")
        configured = _configured(app.config, self._given)
        if self._emitter is None:
            _refuse_settings(app.config)
        options = Options.make({**configured, **self._given})
        app.extensions[EXTENSION] = options
        audited = AuditedApp(app.wsgi_app, options, self._emitter, HOST)
        app.wsgi_app = audited  # type: ignore[method-assign]
        got_request_exception.connect(_remember_exception, app)


def _configured(config: Mapping[str, Any], given: Container[str]) -> dict[str, Any]:
    """The options in a Flask configuration, except those that were given as arguments."""
    names = {PREFIX + name.upper(): name for name in Options.__dataclass_fields__}
    tolerated = {PREFIX + setting.variable for setting in SETTINGS.values()}
    ours = [key for key in config if isinstance(key, str) and key.startswith(PREFIX)]
    for key in ours:
        # An application may load its whole environment, with the variables of our commands in it.
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
    """Refuse settings of the emitter in ``app.config``, where nothing reads them.

    They are accepted if they equal an environment variable (the application has loaded its
    environment into the configuration), and if an emitter exists already, which the application
    may have configured from them.
    """
    if current_emitter() is not None:
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
    """Keep the class of an exception that Flask turns into a 500 response."""
    audit = request.environ.get(KEY)
    if isinstance(audit, RequestAudit):
        audit.exchange.error = type(exception)
        HOST.learn(audit)


class _FlaskHost:
    """Reads the user and the route of a request from Flask."""

    def user_of(self, exchange: Exchange, environ: Environ) -> FindUser:
        return partial(_user, exchange, environ, _user_of_open_stream())

    def learn(self, audit: RequestAudit) -> None:
        """Read them while Flask handles the request; the body may be streamed after that."""
        own = _own_request(audit.exchange)
        if own is None:
            return
        rule = own.url_rule
        if rule is not None:
            audit.exchange.route = _mounted(own.environ, audit.exchange.path) + rule.rule
        audit.live.remember_user()


HOST = _FlaskHost()


def _mounted(environ: Environ, path: str) -> str:
    """The part of ``path`` before what the rule has matched.

    A prefix that a proxy has stripped, and reports in a header, is not part of ``path``.
    """
    path_info = text_of(environ.get("PATH_INFO"))
    return path.removesuffix(path_info) if path.endswith(path_info) else ""


def _own_request(exchange: Exchange) -> Request | None:
    """Flask's current request, if it is this one.

    It is another one while the view of that one calls this application, and while a
    ``stream_with_context`` of that one is open on this thread.
    """
    if not has_request_context():
        return None
    # Once: each attribute of the proxy looks for the request again.
    current: Request = request._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 - Werkzeug's public API
    audit = current.environ.get(KEY)
    return current if isinstance(audit, RequestAudit) and audit.exchange is exchange else None


def _user_of_open_stream() -> Any:
    """The user of an earlier request whose stream is still open on this thread, if any.

    Flask reuses the ``g`` of that request for the next one, so its user must not be taken for the
    user of this request. When a request is being served and calls its own application, ``g`` is
    shared as well, but then the same user is acting.
    """
    if not has_request_context() or isinstance(VAR.get(), LiveContext):
        return None
    return g.get("_login_user")


def _user(exchange: Exchange, environ: Environ, stale_user: Any) -> str | None:
    """The id of the user that Flask-Login has loaded; reading ``current_user`` would load one.

    A view may go on when the request is over: an application around this one was cancelled, and
    the thread of the view was not. What it does then is still done by its user.
    """
    # Each attribute of a proxy looks for what it stands for again: once is enough.
    own = has_request_context() and (
        request._get_current_object().environ is environ  # type: ignore[attr-defined] # noqa: SLF001 - Werkzeug's public API
        or _own_request(exchange)
    )
    user = g._get_current_object().get("_login_user") if own else None  # noqa: SLF001 - the same
    if user is None or user is stale_user or getattr(user, "is_authenticated", None) is not True:
        return None
    return str(user.get_id() or "")


def health_blueprint(
    database: str | None = None,
    *,
    expect: int | None = None,
    max_lag: float | None = None,
    emitter: Emitter | None = None,
) -> Blueprint:
    """A blueprint with ``/health`` and ``/health/ready``; see ``asgi.health_app``.

    Raises:
        ConfigError: the address cannot be used.
    """
    from audit_emit.integrations._readiness import (  # noqa: PLC0415 - for those who ask
        LIVE,
        READY,
        Readiness,
    )

    readiness = Readiness(database, expect=expect, max_lag=max_lag, emitter=emitter)
    blueprint = Blueprint("audit_emit_health", __name__)

    def view(path: str) -> Response:
        status, body = readiness.answer(path)
        response = Response(body, status, mimetype="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    for path in (LIVE, READY):
        blueprint.add_url_rule(path, path.replace("/", "_"), partial(view, path))
    return blueprint
