"""Django: a middleware, the signals of signing in and out, and the changes of models.

    MIDDLEWARE = ["audit_emit.integrations.django.AuditMiddleware", ...]      # the first
    AUDIT_EMIT = {"skip_paths": ["/health"], "trusted_proxies": ["10.0.0.0/8"]}

    class ShopConfig(AppConfig):
        name = "shop"

        def ready(self):
            from audit_emit.integrations.django import connect, track

            connect()                                    # signing in and out; the system check
            track(self.get_model("Invoice"), fields=["amount", "paid"])

The actor of a request is its user, when the application has loaded one: the middleware makes no
query, and never touches a user that is not loaded yet.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.apps import apps
    from django.contrib.auth import get_user_model, signals
    from django.core import checks
    from django.core.signals import got_request_exception
    from django.utils.functional import LazyObject, empty
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.django needs Django: pip install 'audit-emit[django]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit.context import current_context, update_request
from audit_emit.errors import ConfigError
from audit_emit.integrations import _django_queries, _django_tracking
from audit_emit.integrations._common import Emits
from audit_emit.integrations._django_checks import check_middleware, options
from audit_emit.integrations._django_tracking import Before, Tracked
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._outer_request import outer_request
from audit_emit.integrations._request import KEY, RECEIPT, SERVED, RequestAudit, set_actor
from audit_emit.integrations.wsgi import header_keys, headers_in

__all__ = ["AuditMiddleware", "check_middleware", "connect", "set_actor", "track"]


class AuditMiddleware:
    """Binds the ids of each request and records the request; sync and async.

    Its options are in the setting ``AUDIT_EMIT``, a dictionary; ``emitter`` is one of them.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
    """

    sync_capable: bool = True
    async_capable: bool = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self._options, self._emitter = options()
        self._keys = header_keys(self._options)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_remember_exception, dispatch_uid="audit_emit")

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        if self._is_async:
            return self._serve_async(request)
        audit, is_outer = self._begin(request)
        entered = audit.enter()
        try:
            response = self.get_response(request)
            return self._end(audit, request, response, is_outer=is_outer)
        except BaseException as error:
            _fail(audit, request, error, is_outer=is_outer)
            raise
        finally:
            audit.leave(entered)

    async def _serve_async(self, request: Any) -> Any:
        audit, is_outer = self._begin(request)
        entered = audit.enter()
        try:
            response = await self.get_response(request)
            return self._end(audit, request, response, is_outer=is_outer)
        except BaseException as error:
            _fail(audit, request, error, is_outer=is_outer)
            raise
        finally:
            audit.leave(entered)

    def _begin(self, request: Any) -> tuple[RequestAudit, bool]:
        """The audit of the request, and whether an application around Django has begun it."""
        origin = request.scope if hasattr(request, "scope") else request.META
        find_user = partial(_user_of, request)
        outer = outer_request(origin)
        if outer is not None:
            outer.add_inner_origin(request.META, find_user)
            outer.put_into(request.__dict__)
            return outer, True
        audit = RequestAudit(
            self._options, self._emitter, _exchange(request, self._keys), origin, find_user
        )
        audit.put_into(request.__dict__)
        return audit, False

    def _end(self, audit: RequestAudit, request: Any, response: Any, *, is_outer: bool) -> Any:
        _learn(audit, request)
        if is_outer:
            audit.live.remember_user()
            return response
        exchange = audit.exchange
        exchange.status = response.status_code
        header = self._options.response_header
        if header is not None and header not in response:
            response[header] = audit.correlation_id
        if audit.gives_receipts:
            # What the application says under this name is not of this log.
            response.headers.pop(RECEIPT, None)
            receipt = audit.receipt
            if receipt is not None:
                response[RECEIPT] = receipt
        if exchange.status < 500:
            exchange.error = None
        if getattr(response, "streaming", False):
            audit.live.remember_user()
            _Stream(audit, response)
            return response
        exchange.add_body(len(response.content))
        exchange.complete = True
        audit.finish()
        audit.release()
        return response


def _fail(audit: RequestAudit, request: Any, error: BaseException, *, is_outer: bool) -> None:
    _learn(audit, request)
    if is_outer:
        audit.live.remember_user()
        return
    if isinstance(error, Exception) and not isinstance(error, CancelledError):
        audit.exchange.status = 500
    audit.exchange.sent = None
    audit.finish(error)
    audit.release()


class _Stream:
    """Counts a streamed body, binds the context at each step of it, and records at its end."""

    def __init__(self, audit: RequestAudit, response: Any) -> None:
        self._audit = audit
        body = response.streaming_content
        response.streaming_content = (
            self._each_async(body) if response.is_async else self._each(body)
        )
        # Called at the end of the response, also when the client has left.
        response._resource_closers.append(self._close)  # noqa: SLF001 - there is no public way

    def _complete(self) -> None:
        self._audit.exchange.complete = True
        self._close()

    def _close(self) -> None:
        exchange = self._audit.exchange
        if not self._audit.finished:
            exchange.ended = exchange.ended or perf_counter()
            self._audit.finish()
        self._audit.release()

    @contextmanager
    def _bound(self) -> Iterator[None]:
        """The context of the request, for one step of its body."""
        entered = self._audit.enter()
        try:
            yield
        except BaseException as error:
            self._audit.finish(error)
            raise
        finally:
            self._audit.leave(entered)

    def _each(self, body: Iterable[bytes]) -> Iterator[bytes]:
        steps = iter(body)
        while True:
            with self._bound():
                chunk = next(steps, None)
            if chunk is None:
                break
            self._audit.exchange.add_body(len(chunk))
            yield chunk
        self._complete()

    async def _each_async(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        steps = body.__aiter__()
        while True:
            with self._bound():
                chunk = await anext(steps, None)
            if chunk is None:
                break
            self._audit.exchange.add_body(len(chunk))
            yield chunk
        self._complete()


def _exchange(request: Any, keys: Iterable[tuple[str, str]]) -> Exchange:
    meta = request.META
    exchange = Exchange()
    exchange.method = str(request.method or "")
    exchange.path = path = request.path
    inner = request.path_info
    if inner != path:
        exchange.app_paths = (inner,)
    exchange.headers = headers_in(meta, keys)
    exchange.peer = exchange.client = str(meta.get("REMOTE_ADDR") or "")
    return exchange


def _learn(audit: RequestAudit, request: Any) -> None:
    """Read the route while the request is at hand."""
    match = getattr(request, "resolver_match", None)
    if match is not None and match.route is not None and audit.exchange.route is None:
        root = request.path.removesuffix(request.path_info)
        audit.exchange.route = f"{root}/{match.route}"


def _user_of(request: Any) -> str | None:
    """The id of the user, if one is loaded; asking a lazy one would make a query."""
    held = request.__dict__
    user = held.get("user")
    if isinstance(user, LazyObject):
        wrapped = user._wrapped  # noqa: SLF001 - there is no public way
        user = None if wrapped is empty else wrapped
    for found in (user, held.get("_cached_user"), held.get("_acached_user")):
        if found is not None and getattr(found, "is_authenticated", None) is True:
            return str(found.pk)
    return None


def _remember_exception(request: Any = None, **_: Any) -> None:
    """Keep the class of an exception that Django turns into a response of status 500."""
    import sys  # noqa: PLC0415 - only requests that fail need it

    audit = getattr(request, "__dict__", {}).get(KEY)
    if isinstance(audit, RequestAudit):
        audit.exchange.error = sys.exc_info()[0]


def connect(*, emitter: Emits | None = None) -> None:
    """Record who signs in and out, and who is refused; and have ``manage.py check`` look.

    ``auth.login`` and ``auth.logout`` have the user as their actor and ``backend`` as a field;
    ``auth.login_failed`` has ``login``, the name that was given. Call it in ``AppConfig.ready``; a
    second call changes the emitter only.

    Args:
        emitter: writes the records; the process-wide one when ``None``.
    """
    _Signals.emitter = emitter
    signals.user_logged_in.connect(_logged_in, dispatch_uid="audit_emit")
    signals.user_logged_out.connect(_logged_out, dispatch_uid="audit_emit")
    signals.user_login_failed.connect(_login_failed, dispatch_uid="audit_emit")
    checks.register(check_middleware)


class _Signals:
    emitter: Emits | None = None


def _emit(ctx: Any, event_type: str, fields: dict[str, Any]) -> None:
    emitter = _Signals.emitter
    (audit_emit.emit if emitter is None else emitter.emit)(ctx, event_type, fields)


def _logged_in(request: Any = None, user: Any = None, **_: Any) -> None:
    _signed("auth.login", request, user)


def _logged_out(request: Any = None, user: Any = None, **_: Any) -> None:
    _signed("auth.logout", request, user)


def _signed(event_type: str, request: Any, user: Any) -> None:
    """Record that a user signed in or out; the request is theirs from there on, or was theirs."""
    if user is None:
        return
    served = SERVED.get()
    # Also of a view that goes on in its thread when its request was cancelled.
    if served is not None and served.was_put_into(getattr(request, "__dict__", None)):
        update_request(user_id=str(user.pk))
    _emit({"user_id": str(user.pk)}, event_type, _backend(user))


def _login_failed(credentials: Any = None, **_: Any) -> None:
    name = get_user_model().USERNAME_FIELD
    given = credentials if isinstance(credentials, dict) else {}
    login = given.get(name, given.get("username"))
    _emit(current_context(), "auth.login_failed", {} if login is None else {"login": str(login)})


def _backend(user: Any) -> dict[str, Any]:
    backend = getattr(user, "backend", None)
    return {} if backend is None else {"backend": str(backend)}


def track(
    model: Any,
    *,
    fields: Sequence[str] | None = None,
    before: Before = "loaded",
    outbox: bool | None = None,
    emitter: Emits | None = None,
) -> None:
    """Record each change of a model, with the values before and after, once it is committed.

    ``model.created``, ``model.updated``, ``model.deleted`` have ``model``, ``pk``, ``changes`` and
    ``via``; docs/integrations.md describes them. Nothing is recorded of a transaction that is
    rolled back. SQL that is not made by the ORM, and ``_raw_delete``, cannot be seen.

    Args:
        model: the class; not a proxy, whose changes are seen with those of its model.
        fields: the names of the fields; all of them, and no many-to-many field, by default.
        before: ``loaded``: what a row had is what it had when it was read, without a query; or
            ``database``: it is read again before each ``save``.
        outbox: whether a record goes through the transaction itself, so that both are there or
            neither is (docs/postgresql.md; a sealer must run); by default where the emitter's
            ``store`` is the same database.
        emitter: writes the records; the process-wide one when ``None``.

    Raises:
        ConfigError: the model is tracked already, is a proxy or abstract, or has no such field.
    """
    apps.check_models_ready()
    meta = model._meta  # noqa: SLF001 - Django's public API
    if meta.abstract or meta.proxy:
        raise ConfigError("model", f"{meta.label} is abstract or a proxy; track what it stands for")
    if before not in ("loaded", "database"):
        raise ConfigError("before", "must be loaded or database")
    own = {field.name: field for field in meta.concrete_fields}
    relations = {field.name: field for field in meta.many_to_many}
    wanted = list(own) if fields is None else list(fields)
    unknown = [name for name in wanted if name not in own and name not in relations]
    if unknown:
        raise ConfigError("fields", f"{meta.label} has no field {unknown[0]}")
    names = {own[name].attname: name for name in wanted if name in own}
    through = {relations[n].remote_field.through: n for n in wanted if n in relations}
    tracked = Tracked(model, meta.label_lower, names, before, outbox, emitter)
    _django_tracking.start(tracked, through)
    _django_queries.wrap()
