from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from support.audit_log import AuditLog

from audit_emit.context import bind, current_context
from audit_emit.integrations.asgi import AuditMiddleware
from audit_emit.integrations.fastapi import CurrentAudit, RouteEvent, audited_route, set_actor

VOID = audited_route("invoice.void")


@pytest.fixture
def app(audit_log: AuditLog) -> FastAPI:
    made = FastAPI()
    made.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    return made


def get(app: FastAPI, path: str = "/", **kwargs: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, **kwargs)

    return asyncio.run(ask())


def signed_in() -> str:
    set_actor("u1", actor_kind="admin", workspace_id="w1")
    return "u1"


async def signed_in_async() -> str:
    return signed_in()


def bound_in_a_block() -> Iterator[None]:
    with bind(user_id="u1", actor_kind="admin"):
        yield


@contextmanager
def acting() -> Iterator[None]:
    with bind(user_id="u1", actor_kind="admin"):
        yield


def bound_in_a_block_in_a_block() -> Iterator[None]:
    with acting():
        yield


@pytest.mark.parametrize("dependency", [bound_in_a_block, bound_in_a_block_in_a_block])
@pytest.mark.parametrize("sync", [True, False])
def test_a_block_of_a_sync_dependency_is_the_rest_of_the_request(
    dependency: Any, sync: bool, app: FastAPI, audit_log: AuditLog
) -> None:
    def view() -> None:
        audit_log.emitter.emit(None, "invoice.read")

    async def view_async() -> None:
        view()

    app.get("/", dependencies=[Depends(dependency)])(view if sync else view_async)
    get(app)

    read, request = audit_log.records()
    assert read["user_id"] == request["user_id"] == "u1"
    assert read["actor_kind"] == request["actor_kind"] == "admin"


def test_a_block_within_a_sync_endpoint_ends_with_it(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/")
    def view() -> None:
        with acting():
            audit_log.emitter.emit(None, "invoice.read")

    get(app)

    read, request = audit_log.records()
    assert (read["user_id"], request["user_id"]) == ("u1", "")


@pytest.mark.parametrize("dependency", [signed_in, signed_in_async])
def test_dependency_sets_the_actor_of_everything_after_it(
    app: FastAPI, audit_log: AuditLog, dependency: Any
) -> None:
    @app.get("/", dependencies=[Depends(dependency)])
    async def view() -> None:
        audit_log.emitter.emit(None, "secret.set", {})

    get(app)

    records = audit_log.records()
    assert [record["event_type"] for record in records] == ["secret.set", "http.request"]
    for record in records:
        assert record["user_id"] == "u1"
        assert record["actor_kind"] == "admin"
        assert record["workspace_id"] == "w1"


def test_sync_endpoint_sets_the_actor(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/")
    def view() -> None:
        set_actor("u1")

    get(app)

    record = audit_log.only()
    assert (record["user_id"], record["actor_kind"]) == ("u1", "user")


def test_workspace_stays_when_the_actor_is_set_without_one(
    app: FastAPI, audit_log: AuditLog
) -> None:
    @app.get("/", dependencies=[Depends(signed_in)])
    def view() -> None:
        set_actor("u2")

    get(app)

    assert audit_log.only()["workspace_id"] == "w1"


def test_current_audit_is_the_context_of_the_request(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/")
    def view(user: Annotated[str, Depends(signed_in)], ctx: CurrentAudit) -> list[str]:
        return [ctx.user_id, ctx.correlation_id]

    response = get(app)

    assert response.json() == ["u1", audit_log.only()["correlation_id"]]


def test_current_audit_is_of_its_own_moment(app: FastAPI, audit_log: AuditLog) -> None:
    def authenticate(ctx: CurrentAudit) -> None:
        assert ctx.user_id == ""
        set_actor("u1")

    @app.get("/", dependencies=[Depends(authenticate)])
    def view(ctx: CurrentAudit) -> str:
        return str(ctx.user_id)

    assert get(app).json() == "u1"


def test_current_audit_without_middleware_is_empty() -> None:
    bare = FastAPI()

    @bare.get("/")
    def view(ctx: CurrentAudit) -> str:
        return str(ctx.correlation_id)

    assert get(bare).json() == ""


def test_declared_event_is_written_with_the_outcome(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/", dependencies=[audited_route("invoice.void", resource="invoice")], status_code=202)
    def view(user: Annotated[str, Depends(signed_in)]) -> None:
        assert audit_log.records() == []

    get(app)

    event, request = audit_log.records()
    fields = event["fields"]
    assert event["event_type"] == "invoice.void"
    assert event["user_id"] == "u1"
    assert event["correlation_id"] == request["correlation_id"]
    assert fields.pop("duration_ms") >= 0
    assert fields == {"resource": "invoice", "status": 202, "outcome": "success"}


def test_endpoint_adds_fields_to_its_event(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/{key}")
    def view(
        key: str, event: Annotated[RouteEvent, audited_route("secret.set", scope="global")]
    ) -> None:
        event.fields["key"] = key

    get(app, "/API")
    get(app, "/DB")

    events = audit_log.records("secret.set")
    assert [event["fields"]["key"] for event in events] == ["API", "DB"]
    assert {event["fields"]["scope"] for event in events} == {"global"}


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [(ValueError("CANARY"), "failure", 500), (HTTPException(403), "denied", 403)],
)
def test_declared_event_of_an_endpoint_that_raises(
    app: FastAPI, audit_log: AuditLog, error: Exception, outcome: str, status: int
) -> None:
    @app.get("/", dependencies=[audited_route("invoice.void")])
    def view() -> None:
        raise error

    get(app)

    fields = audit_log.records("invoice.void")[0]["fields"]
    assert (fields["outcome"], fields["status"]) == (outcome, status)
    assert "CANARY" not in repr(audit_log.records())


def refused() -> None:
    raise HTTPException(401)


def test_declared_event_of_a_request_that_a_dependency_refuses(
    app: FastAPI, audit_log: AuditLog
) -> None:
    @app.get("/", dependencies=[audited_route("invoice.void"), Depends(refused)])
    def view() -> None: ...

    get(app)

    assert audit_log.records("invoice.void")[0]["fields"]["outcome"] == "denied"


def test_declared_event_of_a_malformed_request(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/{number}", dependencies=[audited_route("invoice.void")])
    def view(number: int) -> None: ...

    get(app, "/many")

    fields = audit_log.records("invoice.void")[0]["fields"]
    assert (fields["outcome"], fields["status"]) == ("failure", 422)


def test_declared_event_is_written_without_request_records(audit_log: AuditLog) -> None:
    quiet = FastAPI()
    quiet.add_middleware(AuditMiddleware, emitter=audit_log.emitter, requests=False)

    @quiet.get("/", dependencies=[audited_route("invoice.void")])
    def view() -> None: ...

    get(quiet)

    assert audit_log.only()["event_type"] == "invoice.void"


def test_two_events_of_one_route_are_both_written(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/", dependencies=[audited_route("a.b"), audited_route("c.d")])
    def view() -> None: ...

    get(app)

    types = [record["event_type"] for record in audit_log.records()]
    assert types == ["a.b", "c.d", "http.request"]


def test_event_that_a_route_names_twice_is_one(app: FastAPI, audit_log: AuditLog) -> None:
    @app.get("/", dependencies=[VOID])
    def view(event: Annotated[RouteEvent, VOID]) -> None:
        event.fields["number"] = 7

    get(app)

    (event,) = audit_log.records("invoice.void")
    assert event["fields"]["number"] == 7


def test_declared_event_needs_the_middleware() -> None:
    bare = FastAPI()

    @bare.get("/", dependencies=[audited_route("invoice.void")])
    def view() -> None: ...

    async def ask() -> None:
        transport = httpx.ASGITransport(bare)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            with pytest.raises(RuntimeError, match="AuditMiddleware"):
                await client.get("/")

    asyncio.run(ask())


def test_dependency_with_yield_sees_the_context(app: FastAPI, audit_log: AuditLog) -> None:
    seen = []

    def session() -> Iterator[None]:
        seen.append(current_context().correlation_id)
        yield
        seen.append(current_context().correlation_id)

    @app.get("/", dependencies=[Depends(session)])
    def view() -> None: ...

    get(app)

    assert seen == [audit_log.only()["correlation_id"]] * 2


def test_background_task_has_the_ids(app: FastAPI, audit_log: AuditLog) -> None:
    def task() -> None:
        audit_log.emitter.emit(None, "mail.sent", {})

    @app.get("/")
    def view(tasks: BackgroundTasks) -> None:
        set_actor("u1")
        tasks.add_task(task)

    get(app)

    request, mail = audit_log.records()
    assert mail["event_type"] == "mail.sent"
    assert (mail["user_id"], mail["correlation_id"]) == ("u1", request["correlation_id"])


def test_sync_stream_sees_the_context(app: FastAPI, audit_log: AuditLog) -> None:
    def chunks() -> Iterator[str]:
        for _ in range(3):
            yield current_context().correlation_id

    @app.get("/")
    def view() -> StreamingResponse:
        return StreamingResponse(chunks())

    response = get(app)

    assert response.text == audit_log.only()["correlation_id"] * 3


def test_route_template_has_the_prefixes(app: FastAPI, audit_log: AuditLog) -> None:
    inner = APIRouter(prefix="/secrets")
    outer = APIRouter(prefix="/workspaces/{workspace}")

    @inner.get("/{key}")
    def view(workspace: str, key: str) -> None: ...

    outer.include_router(inner)
    app.include_router(outer, prefix="/v1")
    get(app, "/v1/workspaces/w/secrets/API")

    assert audit_log.only()["fields"]["route"] == "/v1/workspaces/{workspace}/secrets/{key}"


def test_route_template_of_a_mounted_application(app: FastAPI, audit_log: AuditLog) -> None:
    inner = FastAPI()

    @inner.get("/items/{item}")
    def view(item: str) -> None: ...

    app.mount("/sub", inner)
    get(app, "/sub/items/5")

    assert audit_log.only()["fields"]["route"] == "/sub/items/{item}"


def test_route_template_of_a_405(app: FastAPI, audit_log: AuditLog) -> None:
    @app.post("/items/{item}")
    def view(item: str) -> None: ...

    get(app, "/items/5")

    fields = audit_log.only()["fields"]
    assert (fields["route"], fields["status"]) == ("/items/{item}", 405)


def test_event_of_a_websocket_route(app: FastAPI, audit_log: AuditLog) -> None:
    @app.websocket("/ws/{room}", dependencies=[audited_route("room.join")])
    async def join(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.close()

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/ws/a",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    asyncio.run(app(scope, receive, send))

    event, session = audit_log.records()
    assert event["event_type"] == "room.join"
    assert session["fields"]["route"] == "/ws/{room}"
    assert session["fields"]["outcome"] == "success"
