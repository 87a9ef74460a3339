"""A server and a client of mcp 1.x, each a process of its own: ``mcp_1_program.py server stdio``.

Needs mcp 1.x where Python finds it first (``tests/integrations/test_mcp_1.py``).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).parents[1]))

from support.waiting import until


def serve(transport: str, port: int) -> None:
    """A server with one of each, recorded."""
    fastmcp: Any = importlib.import_module("mcp.server.fastmcp")

    import audit_emit
    from audit_emit.integrations.mcp import attach

    server = fastmcp.FastMCP("notes", port=port)

    def add(a: int, b: int, password: str = "") -> int:
        audit_emit.emit(None, "note.written", {})
        return a + b

    def fail() -> None:
        raise KeyError("the message")

    async def wait() -> None:
        audit_emit.emit(None, "wait.begun", {})
        await asyncio.sleep(3600)

    def read() -> str:
        return "one"

    def summarize() -> str:
        return "Summarize."

    async def late() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)

    for tool in (add, fail, late, wait):
        server.tool()(tool)
    server.resource("note://one")(read)
    server.prompt()(summarize)
    attach(server)
    server.run(transport)


async def drive(session: Any) -> None:
    """Each kind of call, and one that is given up."""
    types: Any = importlib.import_module("mcp.types")
    await session.initialize()
    await session.call_tool("add", {"a": 1, "b": 2, "password": "open sesame"})
    await session.call_tool("fail", {})
    await session.call_tool("late", {})
    await session.read_resource("note://one")
    await session.get_prompt("summarize")
    await session.list_tools()
    number = session._request_id
    call = asyncio.create_task(session.call_tool("wait", {}, timedelta(seconds=3600)))
    log = Path(os.environ["AUDIT_EMIT_JSONL"])
    await asyncio.to_thread(until, lambda: b"wait.begun" in log.read_bytes(), "the call's start")
    params = types.CancelledNotificationParams(requestId=number, reason="of the tests")
    cancelled = types.CancelledNotification(method="notifications/cancelled", params=params)
    await session.send_notification(types.ClientNotification(cancelled))
    try:
        await call
    except Exception as error:
        print(f"given up: {error}")


async def client(transport: str, port: int) -> None:
    mcp: Any = importlib.import_module("mcp")
    if transport == "stdio":
        program = mcp.StdioServerParameters(
            command=sys.executable, args=[__file__, "server", "stdio", "0"], env={**os.environ}
        )
        opened = mcp.stdio_client(program)
    else:
        http: Any = importlib.import_module("mcp.client.streamable_http")
        opened = http.streamablehttp_client(f"http://127.0.0.1:{port}/mcp")
    async with opened as streams, mcp.ClientSession(*streams[:2]) as session:
        await drive(session)


if __name__ == "__main__":
    role, transport, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if role == "server":
        serve(transport, port)
    else:
        asyncio.run(client(transport, port))
