"""Programs that serve: started on a free port, waited for, and ended with the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.tiers import starts_a_server

SECONDS = 60.0
EXAMPLES = str(Path(__file__).parents[2] / "integrations")
SUPPORT = str(Path(__file__).parents[1])


def until(done: Callable[[], Any], what: str = "it") -> Any:
    """Wait for a condition; its first value that is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := done()):
        assert time.monotonic() < deadline, f"{what} has not happened in time"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@starts_a_server
@contextmanager
def running(
    *command: str, log: Path, port: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its own process group, ready when its port answers.

    Args:
        command: what to run; ``python`` stands for this interpreter.
        log: its output goes there.
        port: waited for.
        env: variables of its environment.
    """
    argv = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    path = os.pathsep.join((EXAMPLES, SUPPORT))
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(env or {})}
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdout=output,
            stderr=output,
            env=variables,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        if port is not None:
            until(lambda: answers(port) or process.poll() is not None, f"a start of {command}")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(20)


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except FileNotFoundError:
        return []
    return [int(child) for text in texts for child in text.split()]
