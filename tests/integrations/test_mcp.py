"""MCP: what the example over real transports does not show."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.requirements import package

package("mcp")
package("fastmcp")

from fastmcp import Client, FastMCP  # noqa: E402

from audit_emit.integrations.fastmcp import FastMcpAudit  # noqa: E402
from audit_emit.integrations.mcp import Facts, McpAudit, Recorder, attach  # noqa: E402


def drive(server: FastMCP, *calls: tuple[str, dict[str, Any]]) -> None:
    async def run() -> None:
        async with Client(server) as client:
            for name, arguments in calls:
                await client.call_tool(name, arguments, raise_on_error=False)

    asyncio.run(run())


def test_fastmcp_names_the_exception_of_a_tool_and_not_its_message(records: Any) -> None:
    server: FastMCP = FastMCP("shop", middleware=[FastMcpAudit()])

    @server.tool
    def fail(token: str) -> None:
        raise KeyError("the message")

    drive(server, ("fail", {"token": "open sesame"}))
    (record,) = records()
    assert record["event_type"] == "mcp.tool_called"
    assert (record["fields"]["outcome"], record["fields"]["error"]) == ("failure", "KeyError")
    assert "open sesame" not in str(record)
    assert "the message" not in str(record)


def test_a_call_of_a_mounted_server_is_one_record(records: Any) -> None:
    inner: FastMCP = FastMCP("inner", middleware=[FastMcpAudit()])

    @inner.tool
    def add(a: int, b: int) -> int:
        return a + b

    outer: FastMCP = FastMCP("outer", middleware=[FastMcpAudit()])
    outer.mount(inner, namespace="inner")
    drive(outer, ("inner_add", {"a": 1, "b": 2}), ("inner_add", {"a": 2, "b": 2}))
    assert [one["fields"]["tool"] for one in records()] == ["inner_add", "inner_add"]


class Token:
    subject = "u-17"
    client_id = "agent-4"


class User:
    access_token = Token()


class Request:
    def __init__(self) -> None:
        self.scope = {"user": User()}
        self.headers = {"mcp-session-id": "a session that is a credential"}


def facts(method: str = "tools/call", **params: Any) -> Facts:
    made = Facts(method, params, 1)
    made.request = Request()
    made.session_id = made.request.headers["mcp-session-id"]
    made.meta = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    return made


def test_the_subject_of_a_verified_token_acts_and_the_session_is_hashed(records: Any) -> None:
    async def run() -> None:
        await Recorder().record(facts(name="add"), lambda: asyncio.sleep(0, {"isError": True}))

    asyncio.run(run())
    (record,) = records()
    assert (record["user_id"], record["actor_kind"]) == ("u-17", "agent")
    assert (record["trace_id"], record["span_id"]) == ("a" * 32, "b" * 16)
    assert record["fields"]["client_id"] == "agent-4"
    assert record["fields"]["outcome"] == "failure"
    assert "credential" not in json.dumps(record)


def test_arguments_and_lists_are_as_asked(records: Any) -> None:
    async def run() -> None:
        recorder = Recorder(arguments=False, lists=True)
        await recorder.record(facts(name="add", arguments={"a": 1}), lambda: asyncio.sleep(0))
        await recorder.record(facts("tools/list"), lambda: asyncio.sleep(0))

    asyncio.run(run())
    called, listed = records()
    assert "arguments" not in called["fields"]
    assert (listed["event_type"], listed["fields"]["method"]) == ("mcp.listed", "tools/list")


def test_a_cancelled_call_is_recorded_and_stays_cancelled(records: Any) -> None:
    async def run() -> None:
        task = asyncio.create_task(McpAudit().record(facts(name="wait"), lambda: asyncio.sleep(60)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert records()[0]["fields"]["outcome"] == "cancelled"


def test_attach_refuses_what_is_no_server_of_1_x() -> None:
    with pytest.raises(TypeError, match="McpAudit"):
        attach(FastMCP("2.x"))
