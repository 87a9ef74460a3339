"""Notes over MCP: which agent has called which tool.

pip install 'audit-emit[mcp]'
AUDIT_EMIT_STDOUT=stderr python mcp_app.py             # over stdio, as an agent starts it
python mcp_app.py 8000                                 # over HTTP
"""

from __future__ import annotations

import asyncio
import sys

from mcp.server.mcpserver import MCPServer

from audit_emit import emit
from audit_emit.integrations.mcp import McpAudit

server = MCPServer("notes", middleware=[McpAudit()])
_notes: dict[str, str] = {}


@server.tool()
def write_note(title: str, text: str, password: str = "") -> str:
    """Keep a note, which may be locked."""
    emit(None, "note.written", {"title": title, "locked": bool(password)})
    _notes[title] = text
    return "kept"


@server.tool()
async def wait(seconds: float) -> str:
    """Take some time."""
    emit(None, "wait.begun", {"seconds": seconds})
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def delete_note(title: str) -> str:
    """Delete a note; fails if there is none."""
    del _notes[title]
    return "gone"


@server.resource("note://{title}")
def read_note(title: str) -> str:
    """One note."""
    return _notes.get(title, "")


@server.prompt()
def summarize(title: str) -> str:
    """Ask for a summary."""
    return f"Summarize the note {title}."


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
