"""What a request held is free when it is over, and does not wait for the garbage collector."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from support.requirements import package

from audit_emit.context import current_context
from audit_emit.integrations._request import KEY, RouteEvent
from audit_emit.integrations.asgi import AuditMiddleware as AsgiMiddleware
from audit_emit.integrations.wsgi import AuditMiddleware as WsgiMiddleware


class Held:
    """Something that a server keeps in the scope or the environ of a request."""


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


pytestmark = pytest.mark.usefixtures("_no_collector", "audit_events")


def is_free_after(work: Callable[[dict[str, Any]], object]) -> bool:
    """Whether what a request held is gone as soon as nobody serves it."""
    held = Held()
    gone = weakref.ref(held)
    work({"held": held})
    del held
    return gone() is None


def asgi(app: Any, scope: dict[str, Any]) -> None:
    async def quiet(*_: Any) -> Any:
        return {"type": "http.request"}

    scope |= {"type": "http", "method": "GET", "path": "/x", "headers": [], "client": None}
    # Without a loop: a task keeps the exception that ended it, and with it the scope.
    with suppress(StopIteration):
        app(scope, quiet, quiet).send(None)


def wsgi(app: Any, environ: dict[str, Any], path: str = "/x") -> None:
    environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "HTTP_HOST": "x"}
    environ |= {"SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    body = app(environ, lambda *_: lambda data: None)
    for _ in body:
        pass
    body.close()


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def reads(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await hello(scope, receive, send)


async def never(_scope: Any, _receive: Any, _send: Any) -> None:
    raise LookupError


def hello_wsgi(_environ: Any, start: Any) -> list[bytes]:
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def never_wsgi(_environ: Any, _start: Any) -> list[bytes]:
    raise LookupError


@pytest.mark.parametrize(
    ("serve", "middleware", "app"),
    [
        (asgi, AsgiMiddleware, hello),
        (asgi, AsgiMiddleware, reads),
        (asgi, AsgiMiddleware, never),
        (wsgi, WsgiMiddleware, hello_wsgi),
        (wsgi, WsgiMiddleware, never_wsgi),
    ],
)
def test_after_a_request(serve: Callable[..., None], middleware: Any, app: Any) -> None:
    def work(origin: dict[str, Any]) -> None:
        try:
            serve(middleware(app), origin)
        except LookupError:
            assert app in {never, never_wsgi}

    assert is_free_after(work)


def test_after_a_request_whose_context_a_timer_of_the_server_keeps() -> None:
    kept = []

    async def serve(scope: Any, receive: Any, _send: Any) -> None:
        async def send(_: Any) -> None:
            kept.append(copy_context())

        await AsgiMiddleware(hello)(scope, receive, send)

    assert is_free_after(lambda scope: asgi(serve, scope))
    assert kept[-1].run(current_context).correlation_id


def test_requests_that_are_over_share_nothing() -> None:
    copies: list[dict[str, Any]] = []

    async def copies_scope(scope: Any, receive: Any, send: Any) -> None:
        copies.append(dict(scope))
        await hello(scope, receive, send)

    for _ in range(2):
        asgi(AsgiMiddleware(copies_scope), {})
    late, other = (each[KEY] for each in copies)
    late.add_inner_origin({}, lambda: "u-17")
    late.declared.append(RouteEvent("x.y", {}))
    late.exchange.status = 500
    assert other.inner_origins == other.declared == []
    assert other.exchange.status is None
    assert other.live.context.user_id == ""


def test_after_a_request_to_a_mounted_application() -> None:
    async def mounts(scope: Any, receive: Any, send: Any) -> None:
        await AsgiMiddleware(hello)(dict(scope), receive, send)

    assert is_free_after(lambda scope: asgi(AsgiMiddleware(mounts), scope))


def test_after_a_request_to_flask() -> None:
    package("flask")
    from flask import Flask

    from audit_emit.integrations.flask import AuditEmit

    app = Flask("service")
    app.add_url_rule("/x", view_func=lambda: "ok", endpoint="x")
    AuditEmit(app)
    assert is_free_after(lambda environ: wsgi(app.wsgi_app, environ))


def test_after_a_request_to_django() -> None:
    package("django")
    from support import django_site as site

    site.set_up()
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    # Alone: Django's own middleware for users holds a request in a circle.
    with override_settings(MIDDLEWARE=[site.PATH]):
        handler = WSGIHandler()

        def work(environ: dict[str, Any]) -> None:
            wsgi(handler, {**environ, "wsgi.input": io.BytesIO()}, "/invoices/7/")

        work({})  # what the first request loads
        assert is_free_after(work)
