"""Flask: ids for everything that serves a request, and one record of what became of it.

    audit = AuditEmit(app)              # or AuditEmit() and audit.init_app(app) in a factory
    audit = AuditEmit(app, skip_paths=["/health"])

The options are those of ``audit_emit.integrations._options.Options``. What is not an argument is
read from ``app.config`` by ``init_app``: ``AUDIT_EMIT_REQUESTS``, ``AUDIT_EMIT_SKIP_PATHS``,
``AUDIT_EMIT_REQUEST_ID_HEADERS``, ``AUDIT_EMIT_RESPONSE_HEADER``, ``AUDIT_EMIT_TRUST_REQUEST_ID``,
``AUDIT_EMIT_TRUSTED_PROXIES``, ``AUDIT_EMIT_CLIENT_IP``, ``AUDIT_EMIT_USER_AGENT``.

When a request writes its record, and where its context is bound, is as for any WSGI application:
``audit_emit.integrations.wsgi``.

The actor is the user that Flask-Login has loaded (it is never made to load one), or what the
application told ``update_request``. Never a header.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from functools import partial
from typing import Any, Unpack

try:
    from flask import Flask, g, got_request_exception, has_request_context, request
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.flask needs Flask: pip install 'audit-emit[flask]'",
        name=_missing.name,
    ) from _missing

from audit_emit._core import default as _process
from audit_emit._settings.checks import SETTINGS
from audit_emit.context import VAR, LiveContext
from audit_emit.errors import ConfigError
from audit_emit.integrations._http import Exchange
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import KEY, Emits, FindUser, RequestAudit, set_actor
from audit_emit.integrations.wsgi import AuditedApp, Environ, text_of

__all__ = ["AuditEmit", "set_actor"]

EXTENSION = "audit_emit"
PREFIX = "AUDIT_EMIT_"


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
        audited = AuditedApp(app.wsgi_app, options, self._emitter, HOST)
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
        HOST.learn(audit)


class _FlaskHost:
    """What Flask knows of a request."""

    def user_of(self, exchange: Exchange, _environ: Environ) -> FindUser:
        return partial(_user, exchange, _left_behind())

    def learn(self, audit: RequestAudit) -> None:
        """Only while Flask handles the request: a streamed body outlives that."""
        if not _handles(audit.exchange):
            return
        rule = request.url_rule
        if rule is not None:
            audit.exchange.route = _mounted(request.environ, audit.exchange.path) + rule.rule
        audit.live.look_up()


HOST = _FlaskHost()


def _mounted(environ: Environ, path: str) -> str:
    """What is before the part of ``path`` that the rule has matched.

    A prefix that a proxy has taken away, and only tells of, is not in ``path``.
    """
    within = text_of(environ.get("PATH_INFO"))
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
