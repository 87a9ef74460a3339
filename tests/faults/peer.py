"""Another process with an emitter, which does what it is told: ``python -m faults.peer``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from faults.child import environment
from support.waiting import PATIENCE

from audit_emit import Emitter

Reply = list[tuple[int, str]]
"""What has a receipt: the number of each event, and the hash of its record."""


def make(path: str) -> Emitter:
    return Emitter(service="faults", jsonl=path, stdout=False, durability="os", max_bytes=8192)


def emit(emitter: Emitter, number: int) -> Reply:
    receipt = emitter.emit(None, "state.event", {"n": number})
    return [] if receipt is None else [(number, receipt.hash)]


class Peer:
    """The process, as seen by a test."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "faults.peer"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        )

    def ask(self, what: str, argument: Any = None) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, argument]).encode() + b"\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        assert reply, "the peer ended"
        return [(number, digest) for number, digest in json.loads(reply)]

    def end(self) -> None:
        self._process.communicate()


class Served:
    """The other side."""

    def __init__(self) -> None:
        self.emitter: Emitter | None = None
        self.path = ""

    def open(self, path: str) -> Reply:
        self.close()
        self.path = path
        self.emitter = make(path)
        return []

    def close(self, _: None = None) -> Reply:
        if self.emitter is not None:
            assert self.emitter.close(PATIENCE)
        self.emitter = None
        return []

    def emit(self, number: int) -> Reply:
        assert self.emitter is not None
        return emit(self.emitter, number)

    def fork(self, number: int) -> Reply:
        """A child emits with what it inherited."""
        assert self.emitter is not None
        reply, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(told, json.dumps(emit(self.emitter, number)).encode())
            os._exit(0)
        os.close(told)
        os.waitpid(pid, 0)
        return _read(reply)

    def crash(self, number: int) -> Reply:
        """A child with an emitter of its own emits until it is killed."""
        reply, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            emitter = make(self.path)
            for each in range(number, number + 100_000):
                os.write(told, json.dumps(emit(emitter, each)).encode() + b"\n")
            os._exit(1)
        os.close(told)
        first = os.read(reply, 1 << 16)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        lines = (first + _rest(reply)).splitlines()
        return [pair for line in lines for pair in json.loads(line)]


def _read(number: int) -> Reply:
    found: Reply = json.loads(_rest(number))
    return found


def _rest(number: int) -> bytes:
    parts = b""
    while part := os.read(number, 1 << 16):
        parts += part
    os.close(number)
    return parts


def main() -> None:
    served = Served()
    for line in sys.stdin:
        what, argument = json.loads(line)
        reply = getattr(served, what)(argument)
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
    if served.path and Path(served.path).parent.exists():
        served.close()


if __name__ == "__main__":
    main()
