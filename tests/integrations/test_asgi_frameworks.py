"""The ASGI adapter around Litestar and Quart: requests, streams and websockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from support.audit_log import AuditLog
from support.requirements import package

from audit_emit.context import update_request
from audit_emit.integrations.asgi import AuditMiddleware


def litestar(log: AuditLog) -> Any:
    package("litestar")
    from litestar import Litestar, WebSocket, get, websocket
    from litestar.response import ServerSentEvent

    @get("/items")
    async def item() -> str:
        update_request(user_id="u-17")
        log.emitter.emit(None, "item.seen")
        return "seen"

    @get("/fails")
    async def fails() -> None:
        raise KeyError("the message")

    @get("/events")
    async def events() -> ServerSentEvent:
        async def each() -> AsyncIterator[str]:
            for number in range(3):
                log.emitter.emit(None, "event.sent", {"number": number})
                yield str(number)

        return ServerSentEvent(each())

    @websocket("/chat")
    async def chat(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    # Litestar resolves annotations by the names of the module.
    item.fn.__globals__.update(WebSocket=WebSocket, ServerSentEvent=ServerSentEvent)
    return Litestar([item, fails, events, chat])


def quart(log: AuditLog) -> Any:
    package("quart")
    from quart import Quart, Response, websocket

    app = Quart(__name__, root_path=".")

    @app.get("/items")
    async def item() -> str:
        update_request(user_id="u-17")
        log.emitter.emit(None, "item.seen")
        return "seen"

    @app.get("/fails")
    async def fails() -> str:
        raise KeyError("the message")

    @app.get("/events")
    async def events() -> Response:
        async def each() -> AsyncIterator[bytes]:
            for number in range(3):
                log.emitter.emit(None, "event.sent", {"number": number})
                yield f"data: {number}\n\n".encode()

        return Response(each(), content_type="text/event-stream")

    @app.websocket("/chat")
    async def chat() -> None:
        await websocket.send(await websocket.receive())

    return app


@pytest.fixture(params=[litestar, quart])
def app(request: pytest.FixtureRequest, audit_log: AuditLog) -> Any:
    return AuditMiddleware(request.param(audit_log), emitter=audit_log.emitter)


def ask(app: Any, path: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(path)

    return asyncio.run(run())


def test_a_request_is_recorded_with_its_actor(app: Any, audit_log: AuditLog) -> None:
    answer = ask(app, "/items")
    seen, request = audit_log.records()
    assert request["fields"]["status"] == 200
    assert (seen["user_id"], request["user_id"]) == ("u-17", "u-17")
    assert answer.headers["X-Request-ID"] == request["correlation_id"] == seen["correlation_id"]


def test_a_failure_is_recorded_without_its_message(app: Any, audit_log: AuditLog) -> None:
    ask(app, "/fails")
    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (500, "failure")
    assert "the message" not in str(audit_log.records())


def test_a_stream_of_events_is_in_the_request_to_its_end(app: Any, audit_log: AuditLog) -> None:
    assert ask(app, "/events").text.count("data:") == 3
    *sent, request = audit_log.records()
    assert [one["correlation_id"] for one in sent] == [request["correlation_id"]] * 3
    assert request["fields"]["outcome"] == "success"


def test_a_websocket_is_one_record(app: Any, audit_log: AuditLog) -> None:
    messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        return await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/chat", "headers": [(b"host", b"x")]}
    scope |= {"query_string": b"", "client": ("127.0.0.1", 1), "server": ("x", 80), "state": {}}
    scope |= {"scheme": "ws", "subprotocols": [], "root_path": "", "raw_path": b"/chat"}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0"}, "extensions": {}}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 30))
    record = audit_log.only()
    assert record["event_type"] == "websocket.session"
    fields = record["fields"]
    assert (fields["status"], fields["messages_in"], fields["messages_out"]) == (101, 1, 1)
