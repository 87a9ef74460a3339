"""The example on MCP, over stdio and over HTTP, with a real client."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.host_server import EXAMPLES, running
from support.plain_log_reader import records as whole_records
from support.ports import free_port
from support.requirements import package
from support.waiting import until

package("mcp")

from mcp.client import Client  # noqa: E402
from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

Drive = Callable[[Client], Awaitable[None]]


def records(log: Path, event_type: str | None = None) -> list[dict[str, Any]]:
    found = [one for one in whole_records(log) if not one["event_type"].startswith("audit.")]
    return [one for one in found if event_type in (None, one["event_type"])]


def variables(log: Path, stdout: str) -> dict[str, str]:
    return {
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "notes",
        "AUDIT_EMIT_STDOUT": stdout,
    }


def over_stdio(log: Path, drive: Drive, stdout: str = "stderr") -> str:
    """Run a client; what the server has written to standard error."""
    errors = log.with_name("errors.txt")
    path = os.pathsep.join((EXAMPLES, os.environ.get("PYTHONPATH", "")))
    env = {**os.environ, "PYTHONPATH": path, **variables(log, stdout)}
    program = StdioServerParameters(
        command=sys.executable, args=[f"{EXAMPLES}/mcp_app.py"], env=env
    )

    async def run() -> None:
        with errors.open("w") as file:
            async with Client(stdio_client(program, errlog=file)) as client:
                await drive(client)

    asyncio.run(run())
    return errors.read_text()


def over_http(log: Path, drive: Drive) -> None:
    port = free_port()

    async def run() -> None:
        async with Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp")) as client:
            await drive(client)

    command = ("python", f"{EXAMPLES}/mcp_app.py", str(port))
    output = log.with_name("output.txt")
    with running(*command, port=port, log=output, env=variables(log, "0")):
        asyncio.run(run())


async def everything(client: Client) -> None:
    arguments = {"title": "a", "text": "hello", "password": "open sesame"}
    await client.call_tool("write_note", arguments)
    await client.call_tool("delete_note", {"title": "none"})
    await client.read_resource("note://a")
    await client.get_prompt("summarize", {"title": "a"})
    await client.list_tools()


@pytest.mark.parametrize("transport", [over_stdio, over_http])
def test_each_call_is_one_record(tmp_path: Path, transport: Any) -> None:
    log = tmp_path / "audit.jsonl"
    transport(log, everything)
    until(lambda: records(log, "mcp.prompt_read"), "the last record")
    kinds = [one["event_type"] for one in records(log)]
    assert kinds == [
        "note.written",
        "mcp.tool_called",
        "mcp.tool_called",
        "mcp.resource_read",
        "mcp.prompt_read",
    ]
    written, first, second, resource, prompt = records(log)
    assert written["correlation_id"] == first["correlation_id"] != second["correlation_id"]
    assert (first["user_id"], first["actor_kind"]) == ("", "anonymous")
    assert first["fields"]["tool"] == "write_note"
    assert first["fields"]["arguments"]["text"] == "hello"
    assert "open sesame" not in str(records(log))
    outcomes = [one["fields"]["outcome"] for one in (first, second, resource, prompt)]
    assert outcomes == ["success", "failure", "success", "success"]
    assert resource["fields"]["resource"] == "note://a"
    assert prompt["fields"]["prompt"] == "summarize"
    assert first["fields"]["duration_ms"] >= 0


def test_a_call_that_the_client_gives_up_is_recorded_once(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"

    async def drive(client: Client) -> None:
        call = asyncio.create_task(client.call_tool("wait", {"seconds": 3600}))
        await asyncio.to_thread(until, lambda: records(log, "wait.begun"), "the call's start")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(until, lambda: records(log, "mcp.tool_called"), "its record")

    over_stdio(log, drive)
    (record,) = records(log, "mcp.tool_called")
    assert record["fields"]["outcome"] == "cancelled"


def test_lines_on_the_channel_of_the_protocol_are_turned_off_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    log = tmp_path / "audit.jsonl"
    errors = over_stdio(log, everything, stdout="1")
    assert errors.count("set AUDIT_EMIT_STDOUT=stderr") == 1
    assert len(records(log, "mcp.tool_called")) == 2
