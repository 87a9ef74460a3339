"""Child processes of a run: the contenders, and the reader at the other end of stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

TESTS = Path(__file__).resolve().parents[1]
DRAIN = "import os\nwhile os.read(0, 65536): pass"
ANSWER_SECONDS = 600.0


def environment() -> dict[str, str]:
    """Ours without settings of the library, and with the checkout importable."""
    env = {name: value for name, value in os.environ.items() if "AUDIT_EMIT" not in name}
    path = [os.environ.get("PYTHONPATH", ""), str(TESTS), str(TESTS.parent)]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return env


@contextmanager
def drained() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The write end of a pipe that a process of its own reads, as a container runtime does."""
    read_end, write_end = os.pipe()
    reader = subprocess.Popen([sys.executable, "-ISc", DRAIN], stdin=read_end)
    os.close(read_end)
    try:
        yield write_end, reader
    finally:
        os.close(write_end)
        reader.kill()
        reader.wait()


@contextmanager
def devnull() -> Iterator[tuple[int, None]]:
    """A stdout that costs nothing."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor, None
    finally:
        os.close(descriptor)


class Worker:
    """A process that logs on command (see ``bench.worker``)."""

    def __init__(self, contender: str, directory: Path, stdout: int, **options: str) -> None:
        reply, child_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", contender, str(directory), str(child_end)],
            stdin=subprocess.PIPE,
            stdout=stdout,
            pass_fds=[child_end],
            env={**environment(), **options},
        )
        os.close(child_end)
        self._reply = os.fdopen(reply, "rb")
        self.open_ns = int(self.result()["open_ns"])

    def ask(self, command: str) -> None:
        """Send a command; ``result`` waits for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """The answer to the oldest command that has none yet."""
        line = self._reply.readline()
        if not line:
            raise RuntimeError(f"a worker ended: exit status {self._process.wait()}")
        return msgspec.json.decode(line)

    def do(self, command: str) -> Any:
        """Send a command and wait for its answer."""
        self.ask(command)
        return self.result()

    def close(self) -> None:
        """Let the process end by itself, with its exit handlers."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reply.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
