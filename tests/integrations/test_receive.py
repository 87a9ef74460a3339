"""A client that leaves while the application does not listen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.audit_log import AuditLog

from audit_emit.integrations import _receive
from audit_emit.integrations._receive import Message
from audit_emit.integrations.asgi import AuditMiddleware

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"x"}
BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
PART: Message = {"type": "http.request", "body": b"part", "more_body": True}
GONE: Message = {"type": "http.disconnect"}

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@pytest.fixture(autouse=True)
def _any_time_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receive, "PEEK_AFTER_SECONDS", 0.0)


class Connection:
    """What a server knows of one client. It takes a response for one that has left in silence."""

    def __init__(self, *received: Message, gone: bool = False) -> None:
        self.received = deque(received)
        self.gone = gone
        self.asked = 0
        self.waits = 0
        self._left = asyncio.Event()

    def leave(self) -> None:
        self.gone = True
        self._left.set()

    async def receive(self) -> Message:
        self.asked += 1
        if self.gone:
            return GONE
        if self.received:
            return self.received.popleft()
        self.waits += 1
        try:
            await self._left.wait()
        finally:
            self.waits -= 1
        return GONE

    async def send(self, message: Message) -> None: ...


def serve(
    log: AuditLog,
    connection: Connection,
    app: Callable[[Receive, Send], Awaitable[None]],
    method: str = "GET",
) -> dict[str, Any]:
    async def asgi(_: object, receive: Receive, send: Send) -> None:
        await app(receive, send)

    scope = {"type": "http", "method": method, "path": "/", "headers": []}
    wrapped = AuditMiddleware(asgi, emitter=log.emitter)

    async def run() -> None:
        await wrapped(scope, connection.receive, connection.send)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert connection.waits == 0, "a question to the server is left over"
    fields: dict[str, Any] = log.only()["fields"]
    return fields


async def answers(receive: Receive, send: Send) -> None:
    await send(START)
    await send(END)


async def reads(receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answers(receive, send)


@pytest.mark.parametrize("app", [answers, reads])
def test_a_client_that_left_before_the_answer_is_recorded_as_gone(
    app: Any, audit_log: AuditLog
) -> None:
    class Leaves(Connection):
        async def receive(self) -> Message:
            message = await super().receive()
            self.gone = True
            return message

    assert serve(audit_log, Leaves(BODY), app)["outcome"] == "aborted"


@pytest.mark.parametrize("app", [answers, reads])
def test_a_client_that_waits_has_its_answer(app: Any, audit_log: AuditLog) -> None:
    fields = serve(audit_log, Connection(BODY), app)
    assert (fields["status"], fields["outcome"]) == (200, "success")


def test_what_was_heard_ahead_is_not_lost_to_the_application(audit_log: AuditLog) -> None:
    heard: list[Message] = []

    async def late(receive: Receive, send: Send) -> None:
        await answers(receive, send)
        heard.append(await receive())
        connection.leave()
        heard.append(await receive())

    connection = Connection(BODY)

    serve(audit_log, connection, late)
    assert heard == [BODY, GONE]


def test_a_body_that_the_application_has_not_read_stays_in_the_server(
    audit_log: AuditLog,
) -> None:
    connection = Connection(PART, BODY)
    assert serve(audit_log, connection, answers, method="POST")["outcome"] == "success"
    assert connection.asked == 0


def test_a_server_that_the_application_listens_to_is_not_asked_twice(audit_log: AuditLog) -> None:
    async def listens(receive: Receive, send: Send) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await answers(receive, send)
        listening.cancel()

    connection = Connection(BODY)
    serve(audit_log, connection, listens)
    assert connection.asked == 2


def test_a_server_that_fails_when_it_is_asked_changes_nothing(audit_log: AuditLog) -> None:
    class Fails(Connection):
        async def receive(self) -> Message:
            raise RuntimeError

    assert serve(audit_log, Fails(), answers)["outcome"] == "success"


def test_a_quick_answer_asks_nothing(audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receive, "PEEK_AFTER_SECONDS", 60.0)
    connection = Connection(BODY)
    serve(audit_log, connection, answers)
    assert connection.asked == 0


@pytest.mark.parametrize("listens", [True, False])
def test_a_client_that_leaves_once_it_has_all_that_was_promised_has_its_answer(
    audit_log: AuditLog, listens: bool
) -> None:
    start = {**START, "headers": [(b"content-length", b"4")]}

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(start)
        await send({**END, "body": b"whole"[:4], "more_body": True})
        connection.leave()
        if listens:
            await receive()
        await send({**END, "body": b""})

    connection = Connection(BODY)
    assert serve(audit_log, connection, app)["outcome"] == "success"


def test_a_client_that_leaves_before_it_has_all_is_gone(audit_log: AuditLog) -> None:
    start = {**START, "headers": [(b"content-length", b"5")]}

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(start)
        await send({**END, "body": b"hal", "more_body": True})
        connection.leave()
        await send({**END, "body": b"ve", "more_body": True})
        await send({**END, "body": b""})

    connection = Connection(BODY)
    assert serve(audit_log, connection, app)["outcome"] == "aborted"
