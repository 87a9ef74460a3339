"""mcp 1.x: ``attach`` on a real server, over its real transports.

It lies beside the 2.x that all other tests use: ``make`` puts it into ``mcp1`` of the environment;
where that was made otherwise, pip does it here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import mcp_1_program
from support.host_server import running
from support.plain_log_reader import records
from support.ports import free_port
from support.requirements import missing
from support.waiting import PATIENCE, until

IN_ENVIRONMENT = Path(sys.prefix, "mcp1")
PROGRAM = mcp_1_program.__file__


def of(log: Path, event_type: str) -> list[dict[str, Any]]:
    return [one for one in records(log) if one["event_type"] == event_type]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mcp 1.x is; the other packages that it needs are those of 2.x."""
    if (IN_ENVIRONMENT / "mcp").is_dir():
        return IN_ENVIRONMENT
    made = tmp_path_factory.mktemp("mcp1")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(made))
    packages = ("mcp<2", "httpx-sse", "pydantic-settings")
    done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
    if done.returncode:
        missing("mcp-1", f"mcp 1.x is not in {IN_ENVIRONMENT}, and pip says: {done.stderr[-200:]}")
    return made


@pytest.mark.parametrize("transport", ["stdio", "streamable-http"])
def test_each_call_of_a_server_of_1_x_is_one_record(
    tmp_path: Path, place: Path, transport: str
) -> None:
    log, port = tmp_path / "audit.jsonl", free_port()
    env = {
        "PYTHONPATH": os.pathsep.join((str(place), os.environ.get("PYTHONPATH", ""))),
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "notes",
        "AUDIT_EMIT_STDOUT": "stderr",
    }
    command = [sys.executable, PROGRAM, "client", transport, str(port)]

    def drive() -> None:
        done = subprocess.run(
            command,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        until(lambda: len(of(log, "mcp.tool_called")) == 4, "the record of the call given up")

    if transport == "stdio":
        drive()
    else:
        server = ("python", PROGRAM, "server", transport, str(port))
        with running(*server, port=port, log=tmp_path / "output.txt", env=env):
            drive()
    first, failed, late, given_up = of(log, "mcp.tool_called")
    (written,) = of(log, "note.written")
    assert written["correlation_id"] == first["correlation_id"] != failed["correlation_id"]
    assert (first["user_id"], first["actor_kind"]) == ("", "anonymous")
    assert (first["fields"]["tool"], first["fields"]["outcome"]) == ("add", "success")
    assert first["fields"]["arguments"]["a"] == 1
    assert (failed["fields"]["tool"], failed["fields"]["outcome"]) == ("fail", "failure")
    assert (late["fields"]["tool"], late["fields"]["outcome"]) == ("late", "failure")
    assert (given_up["fields"]["tool"], given_up["fields"]["outcome"]) == ("wait", "cancelled")
    assert [one["fields"]["resource"] for one in of(log, "mcp.resource_read")] == ["note://one"]
    assert [one["fields"]["prompt"] for one in of(log, "mcp.prompt_read")] == ["summarize"]
    told = log.read_text()
    assert "open sesame" not in told
    assert "the message" not in told
