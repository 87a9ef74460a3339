"""What the ASGI adapter itself costs, without the records."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from support.requirements import package

from audit_emit.integrations import _request_context
from audit_emit.integrations.asgi import AuditMiddleware

REQUESTS = 500
ROUNDS = 15


async def hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def scope() -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"x"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 1234),
        "state": {},
    }


async def receive() -> Any: ...


async def send(_: Any) -> None: ...


async def seconds(app: Any) -> float:
    began = time.process_time()
    for _ in range(REQUESTS):
        await app(scope(), receive, send)
    return time.process_time() - began


async def costs(apps: list[Any]) -> list[float]:
    """The least of several rounds for each, taken in turns, so that a busy machine hits all."""
    rounds = [[await seconds(app) for app in apps] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def test_it_costs_at_most_twice_what_a_middleware_does_that_only_makes_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1.45 times on a quiet machine; it was four times as much."""
    # Another test may have loaded structlog, into which the ids are copied then.
    monkeypatch.setattr(_request_context, "is_mirrored", lambda: False)
    other = package("asgi-correlation-id").CorrelationIdMiddleware
    bare, theirs, ours = asyncio.run(
        costs([hello, other(hello), AuditMiddleware(hello, requests=False)])
    )
    assert ours - bare < 2.0 * (theirs - bare)
