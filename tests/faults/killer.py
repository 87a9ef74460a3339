"""Several processes append to one log and are killed; what they had acknowledged must be there.

Runs as a program of its own, because it forks: ``python -m faults.killer DIRECTORY RUNS SEED``.
What it has counted is printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

from faults.log import Log
from support.verifier_comparison import both, kinds
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._verify.findings import Kind

RUNS_PER_LOG = 10
LONGEST = 0.02
"""Seconds that the writers live at most after the first acknowledgement."""


def write(path: Path, writer: str, reply: int, *, max_bytes: int, padding: int) -> None:
    """Append for ever, and acknowledge each number that has a receipt."""
    emitter = Emitter(
        service="faults", jsonl=path, stdout=False, durability="os", max_bytes=max_bytes
    )
    fields = {f"pad{i}": "x" * 4000 for i in range(padding)}
    number = 0
    while True:
        if emitter.emit(None, "kill.event", {"key": f"{writer}-{number}", **fields}) is not None:
            os.write(reply, f"{writer}-{number}\n".encode())
        number += 1


class Style(NamedTuple):
    """How many write, and when they rotate; 0 is something else every time."""

    writers: int
    max_bytes: int


class Writer:
    """A process that appends, and what it has acknowledged."""

    def __init__(self, path: Path, name: str, *, max_bytes: int, padding: int) -> None:
        self.reply, write_end = os.pipe()
        self.told = bytearray()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                write(path, name, write_end, max_bytes=max_bytes, padding=padding)
            finally:
                os._exit(1)
        os.close(write_end)

    def read(self) -> bool:
        """Take what it acknowledged; whether it is still there."""
        part = os.read(self.reply, 1 << 16)
        self.told += part
        return bool(part)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def end(self) -> list[str]:
        """Everything that it has acknowledged, after its end."""
        while self.read():
            pass
        os.close(self.reply)
        return self.told.decode().split()


def run(path: Path, number: int, chance: random.Random, style: Style) -> list[str]:
    """Start writers, wait for the first acknowledgement, and kill them at random moments.

    Returns:
        What was acknowledged.
    """
    max_bytes = style.max_bytes or chance.choice([4096, 20_000, 1 << 26])
    padding = chance.choice([0, 0, 2, 10])
    writers = [
        Writer(path, f"{number}.{w}", max_bytes=max_bytes, padding=padding)
        for w in range(style.writers)
    ]
    first = select.select([w.reply for w in writers], [], [], 30.0)[0]
    assert first, "no writer wrote anything"
    begun = time.monotonic()
    lives = sorted(chance.uniform(0, LONGEST) for _ in writers)
    for writer, life in zip(chance.sample(writers, len(writers)), lives, strict=True):
        listen(writers, begun + life)
        writer.kill()
    return [key for writer in writers for key in writer.end()]


def listen(writers: list[Writer], until: float) -> None:
    """Read acknowledgements until a moment, so that nobody waits for room in a pipe."""
    alive = {writer.reply: writer for writer in writers}
    while alive and (left := until - time.monotonic()) > 0:
        for reply in select.select(list(alive), [], [], left)[0]:
            if not alive[reply].read():
                del alive[reply]


def check(directory: Path, acknowledged: list[str]) -> Log:
    """What a service finds that starts after the last writer was killed."""
    emitter = Emitter(service="faults", jsonl=directory / "audit.jsonl", stdout=False)
    assert emitter.emit(None, "kill.over", {}) is not None
    assert emitter.close(PATIENCE)
    log = Log(directory).check()
    found = {record["fields"].get("key") for record in log.records}
    lost = set(acknowledged) - found
    assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
    undeclared = set(kinds(both(directory, key=None))) - {Kind.RECOVERED_TEAR}
    assert not undeclared, f"found and not declared: {undeclared}"
    return log


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("runs", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--max-bytes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no log after these")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    chance = random.Random(options.seed)
    counts = dict.fromkeys(("runs", "acknowledged", "records", "segments", "tears"), 0)
    while counts["runs"] < options.runs and time.monotonic() < end:
        place = options.directory / str(counts["runs"])
        place.mkdir()
        acknowledged: list[str] = []
        for _ in range(min(RUNS_PER_LOG, options.runs - counts["runs"])):
            style = Style(options.writers, options.max_bytes)
            acknowledged += run(place / "audit.jsonl", counts["runs"], chance, style)
            counts["runs"] += 1
        log = check(place, acknowledged)
        counts["acknowledged"] += len(acknowledged)
        counts["records"] += len(log.records)
        counts["segments"] += len(log.files)
        counts["tears"] += len(log.of("audit.recovered"))
        shutil.rmtree(place)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
