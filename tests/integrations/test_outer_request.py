"""An application in an application: one request, one record."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from flask import Flask, g
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.routing import Mount
from support import requirements
from support.audit_log import AuditLog
from support.waiting import PATIENCE
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder

from audit_emit.context import bind, current_context, update_request
from audit_emit.integrations.asgi import AuditMiddleware
from audit_emit.integrations.flask import AuditEmit, set_actor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.middleware.wsgi import WSGIMiddleware

a2wsgi = requirements.package("a2wsgi")

BRIDGES = {"starlette": WSGIMiddleware, "a2wsgi": a2wsgi.WSGIMiddleware}

FLASK_LOGIN = "_login_user"


def get(app: Any, path: str, **kwargs: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, **kwargs)

    return asyncio.run(ask())


class Inner:
    """A Flask application with the extension."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self.app = Flask("inner")
        AuditEmit(self.app, emitter=log.emitter)

        @self.app.get("/items/<int:number>")
        def item(number: int) -> str:
            log.emitter.emit(None, "item.read", {"number": number})
            return f"{current_context().correlation_id}"

        @self.app.get("/signs-in")
        def signs_in() -> str:
            set_actor("flask", actor_kind="admin", workspace_id="w")
            return ""

        @self.app.get("/fails")
        def fails() -> str:
            raise ValueError


@pytest.fixture
def inner(audit_log: AuditLog) -> Inner:
    return Inner(audit_log)


@pytest.fixture(params=BRIDGES)
def outer(request: pytest.FixtureRequest, inner: Inner) -> FastAPI:
    made = FastAPI()
    made.mount("/flask", BRIDGES[request.param](inner.app))

    @made.middleware("http")
    async def sign_in(incoming: Request, call_next: Callable[..., Any]) -> Any:
        if "authorization" in incoming.headers:
            update_request(user_id="outer")
        return await call_next(incoming)

    made.add_middleware(AuditMiddleware, emitter=inner.log.emitter)
    return made


def test_a_request_of_a_mounted_flask_application_is_one_record_of_the_outer_actor(
    outer: FastAPI, audit_log: AuditLog
) -> None:
    answer = get(outer, "/flask/items/5?a=b", headers={"Authorization": "x"})

    read, request = audit_log.records()
    assert (read["event_type"], request["event_type"]) == ("item.read", "http.request")
    assert read["user_id"] == request["user_id"] == "outer"
    assert answer.headers.get_list("x-request-id") == [request["correlation_id"]]
    assert answer.text == read["correlation_id"] == request["correlation_id"]


def test_path_and_route_are_those_of_the_whole(outer: FastAPI, audit_log: AuditLog) -> None:
    get(outer, "/flask/items/5")

    fields = audit_log.records("http.request")[0]["fields"]
    assert (fields["path"], fields["route"]) == ("/flask/items/5", "/flask/items/<int:number>")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "x"}])
def test_an_actor_that_the_inner_application_sets_replaces_that_of_the_outer_one(
    headers: dict[str, str], outer: FastAPI, audit_log: AuditLog
) -> None:
    get(outer, "/flask/signs-in", headers=headers)

    record = audit_log.only()
    assert (record["user_id"], record["workspace_id"]) == ("flask", "w")


def test_an_actor_that_the_outer_application_sets_is_not_replaced_by_a_user_found_in_the_inner_one(
    outer: FastAPI, inner: Inner, audit_log: AuditLog
) -> None:
    class User:
        is_authenticated = True

        def get_id(self) -> str:
            return "loaded"

    @inner.app.before_request
    def load() -> None:
        setattr(g, FLASK_LOGIN, User())

    get(outer, "/flask/items/5", headers={"Authorization": "x"})

    assert {record["user_id"] for record in audit_log.records()} == {"outer"}


def test_the_user_that_the_inner_application_has_loaded_is_found(
    inner: Inner, audit_log: AuditLog
) -> None:
    class User:
        is_authenticated = True

        def get_id(self) -> str:
            return "loaded"

    @inner.app.before_request
    def load() -> None:
        setattr(g, FLASK_LOGIN, User())

    app = Starlette(routes=[Mount("/flask", app=a2wsgi.WSGIMiddleware(inner.app))])
    get(AuditMiddleware(app, emitter=audit_log.emitter), "/flask/items/5")

    assert {record["user_id"] for record in audit_log.records()} == {"loaded"}


def test_a_view_that_goes_on_when_the_outer_application_has_ended_keeps_its_user(
    inner: Inner, audit_log: AuditLog
) -> None:
    """As where a client leaves: the task is cancelled, and the thread of the view goes on."""
    is_there, is_over = Event(), Event()
    view: list[Thread] = []

    class User:
        is_authenticated = True

        def get_id(self) -> str:
            return "loaded"

    @inner.app.get("/slow")
    def slow() -> str:
        setattr(g, FLASK_LOGIN, User())
        is_there.set()
        assert is_over.wait(PATIENCE)
        audit_log.emitter.emit(current_context(), "item.deleted", {})
        return ""

    async def bridge(scope: Any, _receive: Any, _send: Any) -> None:
        environ = {**EnvironBuilder(path="/slow").get_environ(), "asgi.scope": scope}
        given = (copy_context().run, inner.app, environ, lambda *_: None)
        view.append(Thread(target=given[0], args=given[1:]))
        view[0].start()
        assert is_there.wait(PATIENCE)
        raise asyncio.CancelledError

    with suppress(asyncio.CancelledError):
        get(AuditMiddleware(bridge, emitter=audit_log.emitter), "/slow")
    is_over.set()
    view[0].join(PATIENCE)

    request, deleted = audit_log.records()
    assert request["fields"]["outcome"] == "cancelled"
    assert (deleted["event_type"], deleted["user_id"]) == ("item.deleted", "loaded")
    assert deleted["correlation_id"] == request["correlation_id"]


def test_an_exception_of_the_inner_application_is_that_of_the_request(
    outer: FastAPI, audit_log: AuditLog
) -> None:
    get(outer, "/flask/fails")

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["error"]) == (500, "ValueError")


def test_repeated_headers_and_those_that_are_added_change_nothing(
    inner: Inner, audit_log: AuditLog
) -> None:
    app = FastAPI()
    app.mount("/flask", WSGIMiddleware(inner.app))

    class Adds:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            added = [*scope["headers"], (b"x-added", b"1")]
            await app({**scope, "headers": added}, receive, send)

    headers = [("X-A", "1"), ("X-A", "2"), ("Cookie", "a=b; c=d")]
    get(AuditMiddleware(Adds(), emitter=audit_log.emitter), "/flask/items/5", headers=headers)

    assert len(audit_log.records("http.request")) == 1


def test_a_block_around_the_inner_application_hides_nothing(
    inner: Inner, audit_log: AuditLog
) -> None:
    app = FastAPI()
    app.mount("/flask", WSGIMiddleware(inner.app))

    async def blocked(scope: Any, receive: Any, send: Any) -> None:
        with bind(workspace_id="w"):
            await app(scope, receive, send)

    get(AuditMiddleware(blocked, emitter=audit_log.emitter), "/flask/items/5")

    assert len(audit_log.records("http.request")) == 1
    assert audit_log.records("item.read")[0]["workspace_id"] == "w"


@pytest.mark.parametrize("path", ["/flask/items/5", "/other"])
def test_a_request_that_the_application_makes_itself_is_another_one(
    path: str, inner: Inner, audit_log: AuditLog
) -> None:
    app = FastAPI()

    @app.get(path)
    def view() -> str:
        return inner.app.test_client().get("/items/5").text

    app.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    get(app, path)

    paths = [record["fields"]["path"] for record in audit_log.records("http.request")]
    assert paths == ["/items/5", path]
    assert len({record["correlation_id"] for record in audit_log.records("http.request")}) == 2


def test_a_scope_that_is_kept_and_served_again_after_its_request_is_another_request(
    audit_log: AuditLog,
) -> None:
    kept: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(dict(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    audited = AuditMiddleware(app, emitter=audit_log.emitter)
    get(audited, "/first")

    async def quiet(*_: Any) -> Any: ...

    asyncio.run(audited({**kept[0], "path": "/again"}, quiet, quiet))

    assert [one["fields"]["path"] for one in audit_log.records()] == ["/first", "/again"]


def test_a_request_that_a_server_begins_where_the_answer_to_its_like_ended_is_another_one(
    audit_log: AuditLog,
) -> None:
    """As uvicorn does when a client sends requests without waiting for the answers."""
    next_one: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"busy"})
        while next_one:  # and works on, as a background task does
            await next_one.pop()

    audited = AuditMiddleware(app, emitter=audit_log.emitter)
    asked = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"x")]}

    async def serve() -> None:
        async def quiet(*_: Any) -> Any: ...

        async def send(message: Any) -> None:
            if "body" in message:
                next_one.append(asyncio.create_task(audited({**asked}, quiet, quiet)))

        await audited({**asked}, quiet, send)

    asyncio.run(serve())

    records = audit_log.records("http.request")
    assert [one["fields"]["status"] for one in records] == [503, 503]
    assert len({one["correlation_id"] for one in records}) == 2


def test_an_asgi_application_in_a_flask_one_is_one_record(
    inner: Inner, audit_log: AuditLog
) -> None:
    app = FastAPI()

    @app.get("/things/{thing}")
    def view(thing: str) -> str:
        update_request(user_id="within")
        return f"{current_context().correlation_id}"

    audited: Any = inner.app.wsgi_app
    bridged = a2wsgi.ASGIMiddleware(AuditMiddleware(app, emitter=audit_log.emitter))
    audited._app = DispatcherMiddleware(audited._app, {"/fast": bridged})
    answer = inner.app.test_client().get("/fast/things/7")

    record = audit_log.only()
    assert answer.json == record["correlation_id"]
    assert record["user_id"] == "within"
    assert record["fields"]["path"] == "/fast/things/7"


def test_an_application_mounted_in_a_mounted_one_is_one_record(
    inner: Inner, audit_log: AuditLog
) -> None:
    middle = Starlette(routes=[Mount("/flask", app=a2wsgi.WSGIMiddleware(inner.app))])
    middle.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    app = FastAPI()
    app.mount("/middle", middle)
    app.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    get(app, "/middle/flask/items/5")

    (request,) = audit_log.records("http.request")
    assert request["fields"]["route"] == "/middle/flask/items/<int:number>"


def test_the_request_context_of_the_inner_application_is_as_ever(
    inner: Inner, audit_log: AuditLog
) -> None:
    @inner.app.get("/where")
    def where() -> str:
        return f"{flask_request.script_root} {flask_request.path}"

    app = FastAPI()
    app.mount("/flask", WSGIMiddleware(inner.app))
    app.add_middleware(AuditMiddleware, emitter=audit_log.emitter)

    assert get(app, "/flask/where").text == "/flask /where"
