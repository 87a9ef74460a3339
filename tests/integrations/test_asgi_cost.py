"""What the ASGI adapter itself does, without the records."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from audit_emit.integrations import _request_context
from audit_emit.integrations.asgi import AuditMiddleware


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


def calls(app: Any) -> int:
    """How many functions of Python a request calls, but the first one, at which some are loaded."""
    count = 0

    def counted(_frame: Any, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    async def work() -> None:
        await app(scope(), receive, send)
        sys.setprofile(counted)
        try:
            await app(scope(), receive, send)
        finally:
            sys.setprofile(None)

    asyncio.run(work())
    return count


def test_a_request_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """``make bench BENCH=hosts`` measures the time, beside a middleware that only makes ids."""
    # Another test may have loaded structlog, into which the ids are copied then.
    monkeypatch.setattr(_request_context, "is_mirrored", lambda: False)
    assert calls(AuditMiddleware(hello, requests=False)) - calls(hello) <= 48
