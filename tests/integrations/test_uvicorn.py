"""The ASGI adapter on a real server: what a client that is driven by hand cannot show."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from support.audit_log import AuditLog
from support.waiting import PATIENCE, until

from audit_emit.integrations import _receive
from audit_emit.integrations.asgi import AuditMiddleware


class Served:
    """An application on a server of its own, and clients of it."""

    def __init__(self, app: Any, **config: Any) -> None:
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="error", lifespan="off", http="h11", **config)
        )
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        until(lambda: self.server.started or not self._thread.is_alive())
        assert self.server.started, "the server could not begin"
        self._address = self.server.servers[0].sockets[0].getsockname()

    def ask(self, method: str, path: str, body: bytes = b"") -> socket.socket:
        connection = socket.create_connection(self._address, timeout=PATIENCE)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        connection.sendall(f"{head}{length}\r\n".encode() + body)
        return connection

    def answer(self, method: str, path: str, body: bytes = b"") -> bytes:
        with self.ask(method, path, body) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def nobody_is_there(self) -> bool:
        return not self.server.server_state.connections

    def close(self) -> None:
        self.server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


class Slow:
    """Three endpoints that answer when they are told to."""

    def __init__(self, log: AuditLog) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.app = FastAPI()
        self.app.get("/async")(self.in_a_task)
        self.app.get("/sync")(self.in_a_thread)
        self.app.post("/async")(self.with_a_body)
        self.audited = AuditMiddleware(self.app, emitter=log.emitter)

    async def in_a_task(self) -> str:
        self.entered.set()
        assert await asyncio.to_thread(self.go_on.wait, PATIENCE)
        return "late"

    def in_a_thread(self) -> str:
        self.entered.set()
        assert self.go_on.wait(PATIENCE)
        return "late"

    async def with_a_body(self, request: Request) -> str:
        await request.body()
        return await self.in_a_task()


@pytest.fixture
def slow(audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(_receive, "PEEK_AFTER_SECONDS", 0.0)
    return Slow(audit_log)


@pytest.fixture(params=["plain", "behind a middleware"])
def served(slow: Slow, request: pytest.FixtureRequest) -> Iterator[Served]:
    class Passes(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    if request.param != "plain":
        slow.app.add_middleware(Passes)
    made = Served(slow.audited)
    yield made
    slow.go_on.set()
    made.close()


REQUESTS = [("GET", "/async", b""), ("GET", "/sync", b""), ("POST", "/async", b"{}")]


@pytest.mark.thorough
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_client_that_left_before_the_answer_is_recorded_as_gone(
    method: str, path: str, body: bytes, slow: Slow, served: Served, audit_log: AuditLog
) -> None:
    connection = served.ask(method, path, body)
    assert slow.entered.wait(PATIENCE)
    connection.close()
    until(served.nobody_is_there)
    slow.go_on.set()
    until(audit_log.records)

    assert audit_log.only()["fields"]["outcome"] == "aborted"


@pytest.mark.thorough
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_client_that_waits_is_answered(
    method: str, path: str, body: bytes, slow: Slow, served: Served, audit_log: AuditLog
) -> None:
    slow.go_on.set()

    assert served.answer(method, path, body).endswith(b'"late"')
    assert audit_log.only()["fields"]["outcome"] == "success"


def test_a_root_path_that_the_server_tells_is_in_path_and_route(audit_log: AuditLog) -> None:
    app = FastAPI()

    @app.get("/items/{number}")
    @app.get("/health")
    def view(number: int = 0) -> None: ...

    audited = AuditMiddleware(app, emitter=audit_log.emitter, skip_paths=["/health"])
    served = Served(audited, root_path="/svc")
    try:
        served.answer("GET", "/health")
        served.answer("GET", "/items/5")
    finally:
        served.close()

    fields = audit_log.only()["fields"]
    assert (fields["path"], fields["route"]) == ("/svc/items/5", "/svc/items/{number}")
