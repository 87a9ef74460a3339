"""Programs that serve: started on a free port, waited for, and ended with the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

EXAMPLES = str(Path(__file__).parents[2] / "integrations")
SUPPORT = str(Path(__file__).parents[1])


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
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
            process.wait(PATIENCE / 4)  # after which it is killed
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(PATIENCE)


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except FileNotFoundError:
        return []
    return [int(child) for text in texts for child in text.split()]
