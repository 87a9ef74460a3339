"""Child processes of a run: the contenders, and the reader at the other end of stdout."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from audit_emit._runtime.compiled import SWITCH

TESTS = Path(__file__).resolve().parents[1]
DRAIN = """
import os, sys, time
lines, busy = 0, int(sys.argv[1])
os.write(1, b"\\n")
while data := os.read(0, 65536):
    lines += data.count(10)
    until = time.perf_counter_ns() + busy
    while time.perf_counter_ns() < until: pass
print(lines)
"""
BUSY_NS = 50_000
ROOM = 1 << 20
"""Bytes that the pipe of a busy reader holds, as many as a process may ask for without privileges.

The usual 64 KiB are a hundred lines, half a millisecond of calls. Where the scheduler keeps the
reader from its processor for longer, ours loses a line and declares the loss, while the others
wait, which their median does not show: such a round would compare two different things."""
END_SECONDS = 30.0

Rounds = dict[str, list[dict[str, float]]]
"""What the calls of each worker took, in every round."""


def environment() -> dict[str, str]:
    """Ours with the checkout importable, without settings of the library or the interpreter."""
    env = {
        name: value
        for name, value in os.environ.items()
        if ("AUDIT_EMIT" not in name or name == SWITCH) and not name.startswith("PYTHON")
    }
    path = [os.environ.get("PYTHONPATH", ""), str(TESTS), str(TESTS / "support"), str(TESTS.parent)]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return env


@dataclass
class Stdout:
    """What a contender gets as stdout.

    Attributes:
        descriptor: the end to write to.
        reader: the process at the other end, if there is one.
        lines: how many lines that process has read; known once it has ended.
    """

    descriptor: int
    reader: subprocess.Popen[bytes] | None = None
    lines: int = 0


@contextmanager
def drained(busy_ns: int = 0, room: int = 0) -> Iterator[Stdout]:
    """A pipe that a process of its own reads, as a container runtime does.

    Args:
        busy_ns: how long the reader is busy with what it has read. A reader that is not busy at
            all sleeps before every line of a slow writer, who pays for waking it.
        room: how many bytes the pipe holds, where the system lets that be set; 0 for the usual.
    """
    read_end, write_end = os.pipe()
    if room and hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, room)
    command = [sys.executable, "-ISc", DRAIN, str(busy_ns)]
    reader = subprocess.Popen(command, stdin=read_end, stdout=subprocess.PIPE)
    os.close(read_end)
    stdout = Stdout(write_end, reader)
    assert reader.stdout is not None
    reader.stdout.readline()  # it reads from now on: a pipe holds a hundred lines
    try:
        yield stdout
    finally:
        os.close(write_end)
        try:
            stdout.lines = int(reader.communicate(timeout=END_SECONDS)[0])
        except subprocess.TimeoutExpired:
            reader.kill()
            reader.wait()


def busy() -> AbstractContextManager[Stdout]:
    """A pipe whose reader does something with the lines, and is awake when the next one comes."""
    return drained(BUSY_NS, ROOM)


@contextmanager
def devnull() -> Iterator[Stdout]:
    """A stdout that costs nothing."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield Stdout(descriptor)
    finally:
        os.close(descriptor)


class Worker:
    """A process that logs on command (see ``bench.worker``)."""

    def __init__(self, contender: str, directory: Path, stdout: Stdout, **options: str) -> None:
        reply, child_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-Pm", "bench.worker", contender, str(directory), str(child_end)],
            stdin=subprocess.PIPE,
            stdout=stdout.descriptor,
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


def in_turns(workers: Mapping[str, Worker], rounds: int, calls: int) -> Rounds:
    """Let each worker make so many calls in every round, one worker after the other.

    What one left to its background ends before the next one starts. The first round warms up, and
    is not among them.
    """
    taken: Rounds = {name: [] for name in workers}
    for number in range(rounds + 1):
        for name, worker in workers.items():
            times = worker.do(f"round {calls}")
            worker.do("settle")
            if number:
                taken[name].append(times)
    return taken
