from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from support.audit_log import AuditLog

from audit_emit.context import (
    VAR,
    LiveContext,
    bind,
    current_context,
    update_request,
    with_user_id,
)
from audit_emit.errors import ConfigError
from audit_emit.integrations.asgi import AuditMiddleware

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


class Server:
    """A server of one request, driven by hand.

    Args:
        received: what ``receive`` gives, in order; then it waits for ever.
        fails: the type of a message on which ``send`` raises, as when the client has left.
    """

    def __init__(self, received: Iterable[Message] = (BODY,), fails: str = "") -> None:
        self.sent: list[Message] = []
        self._received = list(received)
        self._fails = fails

    async def receive(self) -> Message:
        if not self._received:
            await asyncio.Event().wait()
        return self._received.pop(0)

    async def send(self, message: Message) -> None:
        if message["type"] == self._fails:
            raise OSError("gone")
        self.sent.append(message)

    def serve(self, app: App, scope: Scope | None = None, **facts: Any) -> Server:
        asyncio.run(self.call(app, scope, **facts))
        return self

    async def call(self, app: App, scope: Scope | None = None, **facts: Any) -> None:
        await app(http(**facts) if scope is None else scope, self.receive, self.send)

    def headers(self, name: bytes = b"x-request-id") -> list[bytes]:
        return [
            value
            for message in self.sent
            for taken, value in message.get("headers", ())
            if taken.lower() == name
        ]


def http(**facts: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/here",
        "raw_path": b"/here",
        "query_string": b"token=CANARY",
        "root_path": "",
        "headers": [],
        "client": ("203.0.113.9", 4711),
        "server": ("127.0.0.1", 80),
        **facts,
    }


def websocket(**facts: Any) -> Scope:
    return {**http(), "type": "websocket", "scheme": "ws", "subprotocols": [], **facts}


def answer(*messages: Message) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def audited(app: App, log: AuditLog, **options: Any) -> AuditMiddleware:
    return AuditMiddleware(app, emitter=log.emitter, **options)


async def get(app: App, path: str = "/", **kwargs: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, **kwargs)


def test_request_is_recorded(audit_log: AuditLog) -> None:
    server = Server().serve(audited(answer(start(201), body(b"abc")), audit_log), method="POST")

    record = audit_log.only()
    fields = record["fields"]
    assert record["event_type"] == "http.request"
    assert fields.pop("duration_ms") >= 0
    assert fields == {
        "method": "POST",
        "path": "/here",
        "status": 201,
        "outcome": "success",
        "bytes": 3,
        "client_ip": "203.0.113.0/24",
    }
    assert server.headers() == [record["correlation_id"].encode()]


def test_request_without_actor_is_anonymous(audit_log: AuditLog) -> None:
    Server().serve(audited(answer(start(), body()), audit_log))

    assert audit_log.only()["actor_kind"] == "anonymous"


def test_query_string_is_not_recorded(audit_log: AuditLog) -> None:
    Server().serve(audited(answer(start(), body()), audit_log))

    assert "CANARY" not in repr(audit_log.records())


def test_secret_in_a_path_is_held_back(audit_log: AuditLog) -> None:
    secret = "sk_" + "live_" + "CANARY0123456789abcdefABCD"
    Server().serve(audited(answer(start(), body()), audit_log), path=f"/reset/{secret}")

    assert "CANARY" not in repr(audit_log.records())
    assert audit_log.only()["fields"]["status"] == 200


def test_actor_is_never_taken_from_a_header(audit_log: AuditLog) -> None:
    claims = "eyJhbGciOiJub25lIn0." + "eyJzdWIiOiJyb290In0."
    headers = [
        (b"x-user-id", b"root"),
        (b"x-forwarded-user", b"root"),
        (b"remote-user", b"root"),
        (b"authorization", b"Bearer " + claims.encode()),
    ]
    Server().serve(audited(answer(start(), body()), audit_log), headers=headers)

    assert audit_log.only()["user_id"] == ""


@pytest.mark.parametrize(
    "value",
    [
        b"-" * 100_000,
        b"{urn:uuid:0123456789abcdef0123456789abcdef}",
        b"a" * 8192,
        b"\xe9\xff",
        b"",
    ],
)
def test_malformed_request_id_is_replaced(audit_log: AuditLog, value: bytes) -> None:
    app = audited(answer(start(), body()), audit_log, trust_request_id=True)
    server = Server().serve(app, headers=[(b"X-Request-ID", value)])

    record = audit_log.only()
    assert len(record["correlation_id"]) == 32
    assert record["fields"].get("client_request_id", "").isascii()
    assert server.headers() == [record["correlation_id"].encode()]


def test_untrusted_request_id_is_evidence(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log)
    Server().serve(app, headers=[(b"x-request-id", b"theirs")])

    record = audit_log.only()
    assert record["correlation_id"] != "theirs"
    assert record["fields"]["client_request_id"] == "theirs"


def test_request_id_of_a_trusted_proxy_is_used(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log, trusted_proxies=["203.0.113.0/24"])
    server = Server().serve(app, headers=[(b"x-request-id", b"theirs")])

    assert audit_log.only()["correlation_id"] == "theirs"
    assert server.headers() == [b"theirs"]


def test_repeated_request_id_is_noted(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log, trust_request_id=True)
    headers = [(b"x-request-id", b"not one"), (b"x-request-id", b"second")]
    Server().serve(app, headers=headers)

    record = audit_log.only()
    assert record["correlation_id"] == "second"
    assert record["fields"]["notes"] == ["dup_header"]


def test_peer_is_who_connected_not_who_a_proxy_header_names(audit_log: AuditLog) -> None:
    async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = ("10.0.0.7", 0)  # as a proxy header middleware below ours does
        await answer(start(), body())(scope, receive, send)

    app = audited(proxied, audit_log, trusted_proxies=["10.0.0.0/8"], client_ip="full")
    Server().serve(app, headers=[(b"x-request-id", b"theirs")])

    record = audit_log.only()
    assert record["correlation_id"] != "theirs"
    assert record["fields"]["client_ip"] == "10.0.0.7"


def test_traceparent_is_bound(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log)
    Server().serve(app, headers=[(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())])

    record = audit_log.only()
    assert (record["trace_id"], record["span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize("version", ["ff", "0G"])
def test_malformed_traceparent_is_ignored(audit_log: AuditLog, version: str) -> None:
    app = audited(answer(start(), body()), audit_log)
    Server().serve(app, headers=[(b"traceparent", f"{version}-{TRACE}-{SPAN}-01".encode())])

    assert not audit_log.only().get("trace_id")


def test_live_span_is_preferred_over_the_header(audit_log: AuditLog) -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
    app = audited(answer(start(), body()), audit_log)
    with trace.use_span(span):
        Server().serve(app, headers=[(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())])

    record = audit_log.only()
    assert record["trace_id"] == "abc".zfill(32)
    assert record["span_id"] == "def".zfill(16)


def test_own_header_of_the_application_is_kept(audit_log: AuditLog) -> None:
    app = audited(answer(start(200, (b"X-REQUEST-ID", b"mine")), body()), audit_log)

    assert Server().serve(app).headers() == [b"mine"]


def test_response_header_has_another_name(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log, response_header="X-Correlation-ID")
    server = Server().serve(app)

    assert server.headers() == []
    assert server.headers(b"x-correlation-id") == [audit_log.only()["correlation_id"].encode()]


def test_response_header_is_switched_off(audit_log: AuditLog) -> None:
    app = audited(answer(start(), body()), audit_log, response_header=None)

    assert Server().serve(app).sent[0]["headers"] == []


def test_message_of_the_application_is_not_changed(audit_log: AuditLog) -> None:
    shared = start()
    Server().serve(audited(answer(shared, body()), audit_log))

    assert shared == start()


def test_headers_that_can_be_read_only_once_are_sent(audit_log: AuditLog) -> None:
    message = {**start(), "headers": iter([(b"x-other", b"kept")])}
    server = Server().serve(audited(answer(message, body()), audit_log, receipts=True))

    assert server.headers(b"x-other") == [b"kept"]
    assert len(server.headers()) == 1


def test_a_length_that_is_no_number_for_python_is_the_servers_to_refuse(
    audit_log: AuditLog,
) -> None:
    server = Server().serve(
        audited(answer(start(200, (b"content-length", b"9" * 5000)), body()), audit_log)
    )

    assert len(server.sent) == 2
    assert audit_log.only()["fields"]["status"] == 200


def test_request_records_are_switched_off(audit_log: AuditLog) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_context().correlation_id)
        await answer(start(), body())(scope, receive, send)

    server = Server().serve(audited(app, audit_log, requests=False))

    assert audit_log.records() == []
    assert server.headers() == [seen[0].encode()]


@pytest.mark.parametrize("skip", [["/here"], ["/he*"], lambda path: path == "/here"])
def test_skipped_path_has_no_record(audit_log: AuditLog, skip: Any) -> None:
    app = audited(answer(start(), body()), audit_log, skip_paths=skip)
    Server().serve(app)
    Server().serve(app, path="/there")

    assert audit_log.only()["fields"]["path"] == "/there"


def test_bad_option_is_told_at_set_up(audit_log: AuditLog) -> None:
    with pytest.raises(ConfigError, match="client_ip"):
        AuditMiddleware(answer(), client_ip="all")  # type: ignore[arg-type]


def test_lifespan_is_untouched(audit_log: AuditLog) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    server = Server()
    scope = {"type": "lifespan", "state": {}}
    server.serve(audited(app, audit_log), scope)

    assert seen == [scope, server.receive, server.send]
    assert scope == {"type": "lifespan", "state": {}}
    assert audit_log.records() == []


def test_middleware_twice_records_once(audit_log: AuditLog) -> None:
    app = audited(audited(answer(start(), body()), audit_log), audit_log)
    server = Server().serve(app)

    assert server.headers() == [audit_log.only()["correlation_id"].encode()]


def test_exception_is_recorded_and_goes_on_unchanged(audit_log: AuditLog) -> None:
    error = ValueError("CANARY")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(ValueError, match="CANARY") as caught:
        Server().serve(audited(app, audit_log))

    fields = audit_log.only()["fields"]
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")
    assert "bytes" not in fields
    assert "CANARY" not in repr(audit_log.records())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exit_is_recorded_and_goes_on(audit_log: AuditLog, kind: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise kind

    coroutine = Server().call(audited(app, audit_log))
    with pytest.raises(kind):
        coroutine.send(None)

    fields = audit_log.only()["fields"]
    assert (fields["outcome"], fields["error"]) == ("failure", kind.__name__)
    assert "status" not in fields


def test_exception_in_the_middle_of_a_response(audit_log: AuditLog) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(start(), body(b"ab", more=True))(scope, receive, send)
        raise ValueError

    with pytest.raises(ValueError):
        Server().serve(audited(app, audit_log))

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"], fields["bytes"]) == (200, "failure", 2)


def failing(status: int, *, handler: Callable[..., Any] | None = None) -> Starlette:
    async def view(request: Request) -> Response:
        if status == 500:
            raise ValueError("CANARY")
        raise HTTPException(status)

    handlers: dict[Any, Any] = {} if handler is None else {500: handler}
    return Starlette(routes=[Route("/", view)], exception_handlers=handlers)


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, "denied"), (403, "denied"), (404, "failure"), (409, "failure")]
)
def test_http_exception_is_a_status(audit_log: AuditLog, status: int, outcome: str) -> None:
    asyncio.run(get(audited(failing(status), audit_log)))

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (status, outcome)
    assert "error" not in fields


@pytest.mark.parametrize("outermost", [True, False])
def test_unhandled_exception_has_one_record(audit_log: AuditLog, outermost: bool) -> None:
    app: Any = failing(500)
    if outermost:
        app = audited(app, audit_log)
    else:
        app.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    response = asyncio.run(get(app))

    fields = audit_log.only()["fields"]
    assert response.status_code == 500
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")
    assert ("x-request-id" in response.headers) is outermost


def test_failing_500_handler_has_one_record(audit_log: AuditLog) -> None:
    async def handler(request: Request, error: Exception) -> Response:
        raise LookupError

    with pytest.raises(LookupError):
        Server().serve(audited(failing(500, handler=handler), audit_log), path="/")

    assert audit_log.only()["fields"]["error"] == "LookupError"


def test_failing_middleware_above_leaves_one_record(audit_log: AuditLog) -> None:
    inner = audited(answer(start(), body()), audit_log)

    async def above(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        raise ValueError

    with pytest.raises(ValueError):
        Server().serve(above)

    assert audit_log.only()["fields"]["outcome"] == "success"


def test_client_leaves_before_the_response(audit_log: AuditLog) -> None:
    async def view(request: Request) -> Response:
        await request.body()
        raise AssertionError

    app = audited(Starlette(routes=[Route("/", view, methods=["POST"])]), audit_log)
    with pytest.raises(ClientDisconnect):
        Server([GONE]).serve(app, path="/", method="POST")

    fields = audit_log.only()["fields"]
    assert (fields["outcome"], fields["error"]) == ("aborted", "ClientDisconnect")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0)


async def stream(request: Request) -> Response:
    return StreamingResponse(endless())


def test_client_leaves_mid_stream_and_send_raises(audit_log: AuditLog) -> None:
    server = Server(fails="http.response.body")
    with pytest.raises(ClientDisconnect):
        server.serve(audited(Starlette(routes=[Route("/", stream)]), audit_log), path="/")

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (200, "aborted")


def test_client_leaves_mid_stream_and_receive_says_so(audit_log: AuditLog) -> None:
    app = audited(Starlette(routes=[Route("/", stream)]), audit_log)
    Server([BODY, GONE]).serve(app, path="/", asgi={"version": "3.0", "spec_version": "2.0"})

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (200, "aborted")


@pytest.mark.parametrize(("status", "outcome"), [(200, "success"), (503, "failure")])
def test_client_leaves_after_the_end(audit_log: AuditLog, status: int, outcome: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(start(status), body(b"ok"))(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    Server([GONE]).serve(audited(app, audit_log))

    assert audit_log.only()["fields"]["outcome"] == outcome


@pytest.mark.parametrize("before", [(), (start(),), (start(), body(b"x", more=True))])
def test_cancellation_is_recorded_and_goes_on(audit_log: AuditLog, before: Any) -> None:
    waiting = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(*before)(scope, receive, send)
        waiting.set()
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(Server().call(audited(app, audit_log)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(cancel())

    fields = audit_log.only()["fields"]
    assert (fields["outcome"], fields["error"]) == ("cancelled", "CancelledError")


def test_cancellation_inside_send_is_recorded(audit_log: AuditLog) -> None:
    async def cancel() -> None:
        sends = asyncio.Event()

        async def stuck(message: Message) -> None:
            sends.set()
            await asyncio.Event().wait()

        app = audited(answer(start(), body()), audit_log)
        task = asyncio.create_task(app(http(), Server().receive, stuck))
        await sends.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())

    assert audit_log.only()["fields"]["outcome"] == "cancelled"


def test_response_never_sent(audit_log: AuditLog) -> None:
    Server().serve(audited(answer(), audit_log))

    fields = audit_log.only()["fields"]
    assert fields["outcome"] == "failure"
    assert fields["notes"] == ["no_response"]


def test_response_never_finished(audit_log: AuditLog) -> None:
    Server().serve(audited(answer(start(), body(b"x", more=True)), audit_log))

    assert audit_log.only()["fields"]["outcome"] == "aborted"


def test_double_start_keeps_the_first_status(audit_log: AuditLog) -> None:
    server = Server().serve(audited(answer(start(200), start(404), body()), audit_log))

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["notes"]) == (200, ["double_start"])
    assert len(server.headers()) == 1


def test_second_body_does_not_record_again(audit_log: AuditLog) -> None:
    Server().serve(audited(answer(start(), body(), body()), audit_log))

    assert audit_log.only()["fields"]["status"] == 200


def test_interim_response_is_not_the_response(audit_log: AuditLog) -> None:
    early: Message = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
    server = Server().serve(audited(answer(start(103), early, start(200), body()), audit_log))

    assert audit_log.only()["fields"]["status"] == 200
    assert server.sent[:2] == [start(103), early]
    assert len(server.headers()) == 1


def test_pathsend_completes_without_a_byte_count(audit_log: AuditLog) -> None:
    path: Message = {"type": "http.response.pathsend", "path": "/file"}
    Server().serve(audited(answer(start(), path), audit_log))

    fields = audit_log.only()["fields"]
    assert fields["outcome"] == "success"
    assert "bytes" not in fields


def test_trailers_and_other_extensions_pass(audit_log: AuditLog) -> None:
    push: Message = {"type": "http.response.push", "path": "/a.css", "headers": []}
    trailers: Message = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    server = Server().serve(audited(answer(push, start(), body(), trailers), audit_log))

    assert server.sent[0] is push
    assert server.sent[-1] is trailers
    assert audit_log.only()["fields"]["status"] == 200


@pytest.mark.parametrize(
    ("method", "status", "data"), [("HEAD", 200, b"abc"), ("GET", 304, b""), ("GET", 204, b"")]
)
def test_response_without_body(audit_log: AuditLog, method: str, status: int, data: bytes) -> None:
    Server().serve(audited(answer(start(status), body(data)), audit_log), method=method)

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"], fields["bytes"]) == (status, "success", 0)


@pytest.mark.parametrize(("again", "status"), [(False, 500), (True, 404)])
def test_a_response_that_the_server_refuses_is_not_the_one_that_is_recorded(
    audit_log: AuditLog, again: bool, status: int
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(start(200))
        except ValueError:
            if not again:
                raise
            await send(start(404))
            await send(body(b"gone"))

    async def server(message: Message) -> None:
        if message.get("status") == 200:
            raise ValueError("a header that is none")

    async def serve() -> None:
        with suppress(ValueError):
            await audited(app, audit_log)(http(), Server().receive, server)

    asyncio.run(serve())
    fields = audit_log.only()["fields"]
    assert fields["status"] == status
    assert "notes" not in fields


def test_stream_is_counted(audit_log: AuditLog) -> None:
    chunks = [body(b"x" * 10, more=True)] * 5
    Server().serve(audited(answer(start(), *chunks, body()), audit_log))

    assert audit_log.only()["fields"]["bytes"] == 50


def test_request_body_is_not_read(audit_log: AuditLog) -> None:
    server = Server([BODY, GONE])
    server.serve(audited(answer(start(), body()), audit_log), method="POST")

    assert asyncio.run(server.receive()) is BODY


def test_failing_emitter_does_not_reach_the_application() -> None:
    class Failing:
        def emit(self, ctx: object, event_type: Any, fields: Any = None, /) -> object:
            raise RuntimeError

    server = Server().serve(AuditMiddleware(answer(start(), body()), emitter=Failing()))

    assert len(server.sent) == 2


def test_hostile_scope_does_not_reach_the_application(audit_log: AuditLog) -> None:
    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("CANARY")

    app = audited(answer(start(), body()), audit_log)
    server = Server().serve(app, user=Hostile(), route=Hostile(), client=None)

    record = audit_log.only()
    assert len(server.sent) == 2
    assert record["user_id"] == ""
    assert record["fields"]["notes"] == ["scope_unreadable"]


class Account(BaseUser):
    is_authenticated = True

    @property
    def identity(self) -> str:
        return "u-42"


class Tokens(AuthenticationBackend):
    def __init__(self, user: BaseUser) -> None:
        self.user = user

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        return AuthCredentials(), self.user


@pytest.mark.parametrize(
    ("user", "user_id", "kind"),
    [
        (Account(), "u-42", "user"),
        (SimpleUser("sam"), "sam", "user"),
        (UnauthenticatedUser(), "", "anonymous"),
    ],
)
def test_actor_is_who_the_authentication_middleware_verified(
    audit_log: AuditLog, user: BaseUser, user_id: str, kind: str
) -> None:
    async def view(request: Request) -> Response:
        audit_log.emitter.emit(None, "secret.set", {})
        return Response()

    authentication = Middleware(AuthenticationMiddleware, backend=Tokens(user))
    app = Starlette(routes=[Route("/", view)], middleware=[authentication])
    asyncio.run(get(audited(app, audit_log)))

    inside, request = audit_log.records()
    assert inside["user_id"] == request["user_id"] == user_id
    assert inside["actor_kind"] == request["actor_kind"] == kind


def test_nobody_becomes_a_user_in_whichever_way_it_is_said(audit_log: AuditLog) -> None:
    emit = audit_log.emitter.emit

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with bind(workspace_id="w"):
            emit(None, "secret.list", {})
        with bind(user_id="u1"):
            emit(None, "secret.list", {})
        emit(with_user_id(None, "u2"), "secret.list", {})
        update_request(workspace_id="w")
        emit(None, "secret.list", {})
        update_request(user_id="u3")
        emit(None, "secret.list", {})
        await answer(start(), body())(scope, receive, send)

    Server().serve(audited(app, audit_log))

    assert [(made["user_id"], made["actor_kind"]) for made in audit_log.records()] == [
        ("", "anonymous"),
        ("u1", "user"),
        ("u2", "user"),
        ("", "anonymous"),
        ("u3", "user"),
        ("u3", "user"),
    ]


def test_what_the_application_says_beats_the_middleware(audit_log: AuditLog) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = SimpleUser("sam")
        update_request(user_id="root", actor_kind="admin")
        await answer(start(), body())(scope, receive, send)

    Server().serve(audited(app, audit_log))

    record = audit_log.only()
    assert (record["user_id"], record["actor_kind"]) == ("root", "admin")


def test_user_with_a_method_for_is_authenticated_is_not_believed(audit_log: AuditLog) -> None:
    class Old:
        id = "7"

        def is_authenticated(self) -> bool:
            return False

    Server().serve(audited(answer(start(), body()), audit_log), user=Old())

    assert audit_log.only()["user_id"] == ""


def test_context_is_bound_for_the_request_only(audit_log: AuditLog) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_context().correlation_id)
        update_request(user_id="u1")
        await answer(start(), body())(scope, receive, send)

    async def main() -> None:
        await Server().call(audited(app, audit_log))
        seen.append(current_context().correlation_id)
        assert current_context().user_id == ""

    asyncio.run(main())

    assert seen == [audit_log.only()["correlation_id"], ""]


def test_ids_bound_around_the_request_are_kept(audit_log: AuditLog) -> None:
    inner = audited(answer(start(), body()), audit_log)

    async def tenant(scope: Scope, receive: Receive, send: Send) -> None:
        with bind(workspace_id="w1"):
            await inner(scope, receive, send)

    Server().serve(tenant)

    assert audit_log.only()["workspace_id"] == "w1"


def test_leaked_context_of_another_request_is_not_inherited(audit_log: AuditLog) -> None:
    inner = audited(answer(start(), body()), audit_log)

    async def leaking(scope: Scope, receive: Receive, send: Send) -> None:
        VAR.set(LiveContext(current_context().replace(user_id="somebody else")))
        await inner(scope, receive, send)

    Server().serve(leaking)

    assert audit_log.only()["user_id"] == ""


def test_ids_are_in_structlog_for_the_request_only(audit_log: AuditLog) -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(structlog.contextvars.get_contextvars())
        update_request(user_id="u1")
        seen.append(structlog.contextvars.get_contextvars())
        await answer(start(), body())(scope, receive, send)

    async def main() -> None:
        await Server().call(audited(app, audit_log))
        seen.append(structlog.contextvars.get_contextvars())

    asyncio.run(main())

    first = {"correlation_id": audit_log.only()["correlation_id"], "actor_kind": "user"}
    assert seen == [first, {**first, "user_id": "u1"}, {}]


def test_sync_endpoint_in_a_thread_shares_the_context(audit_log: AuditLog) -> None:
    def view(request: Request) -> Response:
        update_request(user_id="from-thread")
        return Response()

    asyncio.run(get(audited(Starlette(routes=[Route("/", view)]), audit_log)))

    assert audit_log.only()["user_id"] == "from-thread"


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


@pytest.mark.parametrize("above", [True, False])
def test_base_http_middleware_hides_nothing(audit_log: AuditLog, above: bool) -> None:
    async def view(request: Request) -> Response:
        update_request(user_id="deep")
        return PlainTextResponse("ok")

    audit = Middleware(AuditMiddleware, emitter=audit_log.emitter)
    order = [Middleware(Passing), audit] if above else [audit, Middleware(Passing)]
    asyncio.run(get(Starlette(routes=[Route("/", view)], middleware=order)))

    record = audit_log.only()
    assert (record["user_id"], record["fields"]["status"]) == ("deep", 200)


@pytest.mark.parametrize("above", [True, False])
def test_exception_through_base_http_middleware(audit_log: AuditLog, above: bool) -> None:
    def view(request: Request) -> Response:
        raise ValueError

    audit = Middleware(AuditMiddleware, emitter=audit_log.emitter)
    order = [Middleware(Passing), audit] if above else [audit, Middleware(Passing)]
    asyncio.run(get(Starlette(routes=[Route("/", view)], middleware=order)))

    assert audit_log.only()["fields"]["error"] == "ValueError"


def test_background_task_runs_after_the_record_with_its_ids(audit_log: AuditLog) -> None:
    def task() -> None:
        audit_log.emitter.emit(None, "mail.sent", {})

    async def view(request: Request) -> Response:
        update_request(user_id="u1")
        return PlainTextResponse("ok", background=BackgroundTask(task))

    asyncio.run(get(audited(Starlette(routes=[Route("/", view)]), audit_log)))

    request, background = audit_log.records()
    assert request["event_type"] == "http.request"
    assert background["correlation_id"] == request["correlation_id"]
    assert background["user_id"] == "u1"


@pytest.mark.parametrize("requests", [False, True])
def test_a_task_that_goes_on_after_the_request_has_its_user(
    audit_log: AuditLog, requests: bool
) -> None:
    over = asyncio.Event()
    tasks = []

    async def later() -> None:
        await over.wait()
        audit_log.emitter.emit(None, "task.done")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = SimpleNamespace(is_authenticated=True, id="u-17")
        tasks.append(asyncio.create_task(later()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def drive() -> None:
        await get(AuditMiddleware(app, emitter=audit_log.emitter, requests=requests))
        over.set()
        await tasks.pop()

    asyncio.run(drive())
    (done,) = audit_log.records("task.done")
    assert done["user_id"] == "u-17"


def test_a_thread_that_goes_on_when_the_client_has_left_has_the_user_that_it_loads(
    audit_log: AuditLog,
) -> None:
    """An application may return then, as Django does, and leave the thread of a view behind."""
    threads: list[Callable[[], None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        def view() -> None:
            scope["user"] = SimpleNamespace(is_authenticated=True, id="u-17")
            audit_log.emitter.emit(None, "view.done")

        threads.append(partial(copy_context().run, view))
        assert await receive() == GONE

    Server([GONE]).serve(audited(app, audit_log))
    threads.pop()()

    request, done = audit_log.records()
    assert (request["fields"]["outcome"], request["user_id"]) == ("aborted", "")
    assert done["user_id"] == "u-17"


def test_failing_background_task_leaves_one_record(audit_log: AuditLog) -> None:
    def task() -> None:
        raise ValueError

    async def view(request: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(task))

    with pytest.raises(ValueError):
        Server().serve(audited(Starlette(routes=[Route("/", view)]), audit_log), path="/")

    assert audit_log.only()["fields"]["status"] == 200


def test_streaming_generator_sees_the_context(audit_log: AuditLog) -> None:
    async def chunks() -> AsyncIterator[str]:
        for _ in range(3):
            yield current_context().correlation_id
            await asyncio.sleep(0)

    async def view(request: Request) -> Response:
        return StreamingResponse(chunks())

    response = asyncio.run(get(audited(Starlette(routes=[Route("/", view)]), audit_log)))

    assert response.text == audit_log.only()["correlation_id"] * 3


@pytest.mark.thorough
def test_two_hundred_requests_do_not_mix(audit_log: AuditLog) -> None:
    gate = asyncio.Event()
    arrived = []

    async def view(request: Request) -> Response:
        user = request.path_params["user"]
        arrived.append(user)
        if len(arrived) == 200:
            gate.set()
        await gate.wait()
        update_request(user_id=user)
        await asyncio.sleep(0)
        audit_log.emitter.emit(None, "secret.set", {"user": user})
        return PlainTextResponse(current_context().correlation_id)

    def sync_view(request: Request) -> Response:
        update_request(user_id=request.path_params["user"])
        audit_log.emitter.emit(None, "secret.set", {"user": request.path_params["user"]})
        return PlainTextResponse(current_context().correlation_id)

    routes = [Route("/async/{user}", view), Route("/sync/{user}", sync_view)]
    app = Starlette(routes=routes, middleware=[Middleware(Passing)])

    async def main() -> list[httpx.Response]:
        outer = audited(app, audit_log)
        kinds = ("async", "sync")
        calls = [get(outer, f"/{kind}/u{n}") for n in range(200) for kind in kinds]
        return await asyncio.gather(*calls)

    told = {response.headers["x-request-id"]: response.text for response in asyncio.run(main())}

    assert len(told) == 400
    assert all(header == seen for header, seen in told.items())
    for record in audit_log.records("secret.set"):
        assert record["user_id"] == record["fields"]["user"]
    for record in audit_log.records("http.request"):
        assert record["fields"]["path"].endswith("/" + record["user_id"])
    assert {record["correlation_id"] for record in audit_log.records()} == set(told)


@pytest.mark.thorough
def test_ten_thousand_requests_at_once_do_not_mix(audit_log: AuditLog) -> None:
    many = 10_000
    arrived = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal arrived
        user = scope["path"][1:]
        update_request(user_id=user)
        arrived += 1
        if arrived == many:
            gate.set()
        await gate.wait()
        audit_log.emitter.emit(None, "secret.set", {"user": user})
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(message: Any = None) -> Any:
        return {"type": "http.disconnect"}

    async def main() -> None:
        outer = audited(app, audit_log)
        scope = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
        await asyncio.gather(
            *(outer({**scope, "path": f"/u{n}"}, nothing, nothing) for n in range(many))
        )

    gate = asyncio.Event()
    asyncio.run(main())

    found = {one["correlation_id"]: one["user_id"] for one in audit_log.records("secret.set")}
    assert len(found) == many
    assert all(one["user_id"] == one["fields"]["user"] for one in audit_log.records("secret.set"))
    requests = audit_log.records("http.request")
    assert {one["correlation_id"]: one["user_id"] for one in requests} == found
    assert all(one["fields"]["path"] == f"/{one['user_id']}" for one in requests)


def test_route_template_of_starlette(audit_log: AuditLog) -> None:
    async def view(request: Request) -> Response:
        return Response()

    app = Starlette(routes=[Route("/items/{id:int}", view)])
    asyncio.run(get(audited(app, audit_log), "/items/5"))

    assert audit_log.only()["fields"]["route"] == "/items/{id}"


@pytest.mark.parametrize(("paths", "route"), [(["/a"], "/a"), (["/a", "/b"], None)])
def test_endpoint_names_its_route_when_the_scope_does_not(
    audit_log: AuditLog, paths: list[str], route: str | None
) -> None:
    async def view(request: Request) -> Response:
        return Response()

    app = FastAPI()
    for path in paths:
        app.add_route(path, view)
    asyncio.run(get(audited(app, audit_log), "/a"))

    assert audit_log.only()["fields"].get("route") == route


@pytest.mark.parametrize(
    ("path", "route"), [("/m/b/5", "/m/b/{id}"), ("/files/a/b", "/files/{path}")]
)
def test_route_template_of_a_mounted_application(
    audit_log: AuditLog, path: str, route: str
) -> None:
    async def view(request: Request) -> Response:
        return Response()

    inner = Mount("/m", routes=[Route("/b/{id}", view)])
    files = Mount("/files", app=answer(start(), body()))
    asyncio.run(get(audited(Starlette(routes=[inner, files]), audit_log), path))

    assert audit_log.only()["fields"]["route"] == route


def test_a_request_of_many_parts_keeps_its_user(audit_log: AuditLog) -> None:
    """The client says how many, and must not become nobody by that."""

    async def batch(scope: Scope, receive: Receive, send: Send) -> None:
        async def dropped(message: Message) -> None: ...

        scope["user"] = SimpleUser("ann")
        inner = audited(answer(start(), body()), audit_log)
        for number in range(sys.getrecursionlimit() + 100):
            await inner({**scope, "path": f"/{number}"}, receive, dropped)
        await answer(start(), body())(scope, receive, send)

    Server().serve(audited(batch, audit_log))

    assert audit_log.only()["user_id"] == "ann"


def test_route_of_a_404_is_unknown(audit_log: AuditLog) -> None:
    asyncio.run(get(audited(Starlette(routes=[]), audit_log), "/nowhere"))

    assert "route" not in audit_log.only()["fields"]


def talk(*received: Message) -> Server:
    return Server([{"type": "websocket.connect"}, *received])


def app_of(endpoint: Callable[[WebSocket], Awaitable[None]]) -> Starlette:
    return Starlette(routes=[WebSocketRoute("/here", endpoint)])


def text(value: str) -> Message:
    return {"type": "websocket.receive", "text": value}


def closed(code: int) -> Message:
    return {"type": "websocket.disconnect", "code": code}


def test_websocket_session_is_recorded_once(audit_log: AuditLog) -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(2):
            await socket.send_text(await socket.receive_text())
        await socket.close(1000)

    server = talk(text("a"), text("b"))
    server.serve(audited(app_of(echo), audit_log), websocket())

    record = audit_log.only()
    fields = record["fields"]
    assert record["event_type"] == "websocket.session"
    assert (fields["status"], fields["code"], fields["outcome"]) == (101, 1000, "success")
    assert (fields["messages_in"], fields["messages_out"]) == (2, 2)
    assert server.headers() == [record["correlation_id"].encode()]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(1000, "success"), (1001, "success"), (1005, "success"), (1006, "aborted")],
)
def test_websocket_closed_by_the_client(audit_log: AuditLog, code: int, outcome: str) -> None:
    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.receive_text()

    with pytest.raises(WebSocketDisconnect):
        talk(text("a"), closed(code)).serve(audited(app_of(listen), audit_log), websocket())

    fields = audit_log.only()["fields"]
    assert (fields["code"], fields["outcome"]) == (code, outcome)
    assert "error" not in fields


def test_websocket_denied(audit_log: AuditLog) -> None:
    async def deny(socket: WebSocket) -> None:
        await socket.close(1008)

    talk().serve(audited(app_of(deny), audit_log), websocket())

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (403, "denied")


def test_websocket_denied_with_a_response(audit_log: AuditLog) -> None:
    async def deny(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("no", status_code=401))

    server = talk()
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    server.serve(audited(app_of(deny), audit_log), websocket(extensions=extensions))

    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"]) == (401, "denied")
    assert len(server.headers()) == 1


@pytest.mark.parametrize(
    ("code", "outcome"), [(1008, "denied"), (1011, "failure"), (4403, "denied")]
)
def test_websocket_closed_by_the_application(audit_log: AuditLog, code: int, outcome: str) -> None:
    async def kick(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(code)

    talk().serve(audited(app_of(kick), audit_log), websocket())

    assert audit_log.only()["fields"]["outcome"] == outcome


def test_websocket_client_leaves_before_it_is_accepted(audit_log: AuditLog) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    talk(closed(1006)).serve(audited(app, audit_log), websocket())

    fields = audit_log.only()["fields"]
    assert fields["outcome"] == "aborted"
    assert "status" not in fields


def test_websocket_send_to_a_client_that_left(audit_log: AuditLog) -> None:
    async def push(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("a")

    server = Server([{"type": "websocket.connect"}], fails="websocket.send")
    with pytest.raises(WebSocketDisconnect):
        server.serve(audited(app_of(push), audit_log), websocket())

    fields = audit_log.only()["fields"]
    assert (fields["code"], fields["outcome"]) == (1006, "aborted")


def test_websocket_handler_raises(audit_log: AuditLog) -> None:
    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError

    with pytest.raises(ValueError):
        talk().serve(audited(app_of(fail), audit_log), websocket())

    fields = audit_log.only()["fields"]
    assert (fields["outcome"], fields["error"]) == ("failure", "ValueError")


def test_websocket_cancelled(audit_log: AuditLog) -> None:
    async def main() -> None:
        accepted = asyncio.Event()

        async def wait(socket: WebSocket) -> None:
            await socket.accept()
            accepted.set()
            await socket.receive_text()

        task = asyncio.create_task(talk().call(audited(app_of(wait), audit_log), websocket()))
        await accepted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert audit_log.only()["fields"]["outcome"] == "cancelled"


def test_process_wide_emitter_is_asked_for_at_call_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import audit_emit

    app = AuditMiddleware(answer(start(), body()))
    emitted = []
    monkeypatch.setattr(audit_emit, "emit", lambda *args: emitted.append(args[1]))
    Server().serve(app)

    assert emitted == ["http.request"]


def test_adapter_imports_no_framework() -> None:
    code = (
        "import sys, audit_emit.integrations.asgi\n"
        "hosts = {'anyio', 'fastapi', 'flask', 'opentelemetry', 'starlette', 'structlog'}\n"
        "sys.exit(', '.join(hosts & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


# Root paths: what a server or a proxy has put before the path of the application.


async def health(request: Request) -> Response:
    return Response()


ROUTES = [Route("/health", health), Route("/items/{id}", health)]


@pytest.mark.parametrize(
    ("facts", "path", "route"),
    [
        ({"path": "/svc/items/5", "root_path": "/svc"}, "/svc/items/5", "/svc/items/{id}"),
        ({"path": "/items/5", "root_path": "/svc"}, "/items/5", "/items/{id}"),
        ({"path": "/items/5"}, "/items/5", "/items/{id}"),
        ({"path": "/svc/items/5", "root_path": "/svc/"}, "/svc/items/5", None),
    ],
)
def test_path_and_route_have_the_same_root(
    facts: Scope, path: str, route: str | None, audit_log: AuditLog
) -> None:
    Server().serve(audited(Starlette(routes=ROUTES), audit_log), http(**facts))

    fields = audit_log.only()["fields"]
    assert (fields["path"], fields.get("route")) == (path, route)


@pytest.mark.parametrize("inside", [True, False], ids=["add_middleware", "wrapped"])
@pytest.mark.parametrize("prefix", ["", "/svc"], ids=["proxy strips", "proxy keeps"])
def test_path_and_route_have_the_same_root_where_the_application_tells_it(
    inside: bool, prefix: str, audit_log: AuditLog
) -> None:
    app = FastAPI()
    app.root_path = "/svc"  # as the argument does, of which newer versions warn
    app.add_route("/items/{id}", health)
    if inside:
        app.add_middleware(AuditMiddleware, emitter=audit_log.emitter)
    Server().serve(app if inside else audited(app, audit_log), http(path=f"{prefix}/items/5"))

    fields = audit_log.only()["fields"]
    assert (fields["path"], fields["route"]) == (f"{prefix}/items/5", f"{prefix}/items/{{id}}")


def test_a_middleware_inside_a_mount_has_the_path_and_the_route_of_the_whole(
    audit_log: AuditLog,
) -> None:
    inner = audited(Starlette(routes=[Mount("/b", routes=ROUTES)]), audit_log)
    Server().serve(Starlette(routes=[Mount("/a", app=inner)]), http(path="/a/b/items/5"))

    fields = audit_log.only()["fields"]
    assert (fields["path"], fields["route"]) == ("/a/b/items/5", "/a/b/items/{id}")


@pytest.mark.parametrize(
    "facts",
    [
        {"path": "/svc/health", "root_path": "/svc"},
        {"path": "/health", "root_path": "/svc"},
        {"path": "/health"},
    ],
)
def test_the_path_of_the_application_is_skipped(facts: Scope, audit_log: AuditLog) -> None:
    app = audited(Starlette(routes=ROUTES), audit_log, skip_paths=["/health"])
    Server().serve(app, http(**facts))

    assert audit_log.records() == []


def test_the_path_is_skipped_of_an_application_that_tells_its_root(audit_log: AuditLog) -> None:
    app = FastAPI()
    app.root_path = "/svc"  # as the argument does, of which newer versions warn
    app.add_route("/health", health)
    Server().serve(audited(app, audit_log, skip_paths=["/health"]), http(path="/svc/health"))

    assert audit_log.records() == []


def test_the_path_is_skipped_of_an_application_that_is_mounted(audit_log: AuditLog) -> None:
    inner = audited(Starlette(routes=ROUTES), audit_log, skip_paths=["/health"])
    Server().serve(Starlette(routes=[Mount("/a", app=inner)]), http(path="/a/health"))

    assert audit_log.records() == []


@pytest.mark.parametrize("path", ["/svchealth", "/svc/health/x", "/a/health"])
def test_what_only_ends_like_a_skipped_path_is_recorded(path: str, audit_log: AuditLog) -> None:
    app = Starlette(routes=[Mount("/a", routes=ROUTES)])
    scope = http(path=path, root_path="/svc")
    Server().serve(audited(app, audit_log, skip_paths=["/health"]), scope)

    assert audit_log.only()["fields"]["path"] == path


# Copied scopes.


class Copies:
    """An authentication middleware that hands on a scope of its own."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "user": SimpleUser("u-17")}, receive, send)


def test_a_user_in_a_copied_scope_is_found_by_a_middleware_inside(audit_log: AuditLog) -> None:
    routed = Starlette(routes=ROUTES)
    app = audited(Copies(audited(routed, audit_log)), audit_log)
    Server().serve(app, http(path="/items/5"))

    record = audit_log.only()
    assert (record["user_id"], record["actor_kind"]) == ("u-17", "user")
    assert record["fields"]["route"] == "/items/{id}"


def test_the_user_of_the_outer_scope_comes_first(audit_log: AuditLog) -> None:
    app = audited(Copies(audited(answer(start(), body()), audit_log)), audit_log)
    Server().serve(app, http(user=SimpleUser("outer")))

    assert audit_log.only()["user_id"] == "outer"


def test_a_handler_of_every_exception_knows_the_request_where_the_application_is_wrapped(
    audit_log: AuditLog,
) -> None:
    app = FastAPI()

    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:
        audit_log.emitter.emit(None, "app.failed")
        return Response(status_code=500)

    @app.get("/fails")
    def fails() -> None:
        update_request(user_id="u-17")
        raise ValueError

    asyncio.run(get(audited(app, audit_log), "/fails"))

    failed, request = audit_log.records()
    assert failed["event_type"] == "app.failed"
    assert failed["user_id"] == request["user_id"] == "u-17"
    assert failed["correlation_id"] == request["correlation_id"] != ""
