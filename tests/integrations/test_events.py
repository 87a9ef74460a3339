"""What the adapters emit fits the classes that say so, and the pages name the same fields."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from support import requirements

from audit_emit import configure
from audit_emit.integrations.events import EVENTS
from audit_emit.integrations.wsgi import AuditMiddleware
from audit_emit.testing import Captured

TYPES = {one.__event_type__: one for one in EVENTS}


@pytest.fixture
def emitted(audit_events: Captured) -> Iterator[Captured]:
    configure(schemas=EVENTS)
    yield audit_events  # which fails the test for what does not fit
    assert len(audit_events)
    assert {one["event_type"] for one in audit_events} <= TYPES.keys()


def answer(path: str, *, raising: bool = False) -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        if raising:
            raise LookupError
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    environ: dict[str, Any] = {"PATH_INFO": path, "REMOTE_ADDR": "203.0.113.9"}
    environ |= {"HTTP_USER_AGENT": "curl/8", "HTTP_X_REQUEST_ID": "r-1"}
    setup_testing_defaults(environ)
    body: Any = AuditMiddleware(app, user_agent=True)(environ, lambda *_: lambda _: None)
    list(body)
    body.close()


def test_a_request(emitted: Captured) -> None:
    answer("/orders")
    with pytest.raises(LookupError):
        answer("/orders", raising=True)
    assert len(emitted.of("http.request")) == 2


def test_changes_of_rows(emitted: Captured) -> None:
    sqlalchemy = requirements.package("sqlalchemy")
    orm = requirements.package("sqlalchemy.orm")
    from audit_emit.integrations.sqlalchemy import track

    base: Any = orm.declarative_base()

    class Invoice(base):  # type: ignore[misc]
        __tablename__ = "invoices"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        amount = sqlalchemy.Column(sqlalchemy.Integer)

    engine = sqlalchemy.create_engine("sqlite://")
    base.metadata.create_all(engine)
    track(Invoice)
    with orm.Session(engine) as session:
        invoice = Invoice(amount=1)
        session.add(invoice)
        session.commit()
        invoice.amount = 2
        session.commit()
        session.delete(invoice)
        session.commit()
    engine.dispose()
    assert {one["event_type"] for one in emitted} == {
        "model.created",
        "model.updated",
        "model.deleted",
    }


def test_calls_of_tools(emitted: Captured) -> None:
    tools = requirements.package("langchain_core.tools")
    from audit_emit.integrations.langchain import LangChainAudit

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    tool = tools.StructuredTool.from_function(add)
    tool.invoke({"a": 1, "b": 2}, config={"callbacks": [LangChainAudit()]})
    assert emitted.of("agent.tool_called")


def test_calls_over_mcp(emitted: Captured) -> None:
    fastmcp = requirements.package("fastmcp")
    from audit_emit.integrations.fastmcp import FastMcpAudit

    server = fastmcp.FastMCP("notes", middleware=[FastMcpAudit()])

    @server.tool  # type: ignore[untyped-decorator]
    def note(text: str) -> str:
        return text

    async def call() -> None:
        async with fastmcp.Client(server) as client:
            await client.call_tool("note", {"text": "a"})

    asyncio.run(call())
    assert emitted.of("mcp.tool_called")


@pytest.mark.parametrize(
    ("page", "heading", "names"),
    [
        ("hosts.md", "## gRPC", ["grpc.request"]),
        ("hosts.md", "### Changes of models", ["model.created", "model.updated", "model.deleted"]),
        (
            "hosts.md",
            "## MCP",
            ["mcp.tool_called", "mcp.resource_read", "mcp.prompt_read", "mcp.listed"],
        ),
        ("integrations.md", "## The record of a request", ["http.request", "websocket.session"]),
    ],
)
def test_the_pages_name_the_same_fields(page: str, heading: str, names: list[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    section = re.split(r"\n##+ ", text.partition(f"\n{heading}\n")[2])[0]
    declared = {field for name in names for field in TYPES[name].__struct_encode_fields__}
    missing = {field for field in declared if f"`{field}`" not in section}
    assert missing == set()
