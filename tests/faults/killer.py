"""Several processes append to one log and are killed; what they had acknowledged must be there.

Runs as a program of its own, because it forks: ``python -m faults.killer DIRECTORY RUNS SEED``.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from faults.log import Log

from audit_emit import Emitter

WRITERS = 3
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


def run(path: Path, number: int, chance: random.Random) -> list[str]:
    """Start writers, wait for the first acknowledgement, and kill them at random moments.

    Returns:
        What was acknowledged.
    """
    max_bytes = chance.choice([4096, 20_000, 1 << 26])
    padding = chance.choice([0, 0, 2, 10])
    writers = [
        Writer(path, f"{number}.{w}", max_bytes=max_bytes, padding=padding) for w in range(WRITERS)
    ]
    first = select.select([w.reply for w in writers], [], [], 30.0)[0]
    assert first, "no writer wrote anything"
    begun = time.monotonic()
    lives = sorted(chance.uniform(0, LONGEST) for _ in writers)
    for writer, life in zip(chance.sample(writers, WRITERS), lives, strict=True):
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
    assert emitter.close()
    log = Log(directory).check()
    found = {record["fields"].get("key") for record in log.records}
    lost = set(acknowledged) - found
    assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
    return log


def main() -> None:
    directory, runs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    tears = records = number = 0
    while number < runs:
        place = directory / str(number)
        place.mkdir()
        acknowledged: list[str] = []
        for _ in range(min(RUNS_PER_LOG, runs - number)):
            acknowledged += run(place / "audit.jsonl", number, chance)
            number += 1
        log = check(place, acknowledged)
        tears += len(log.of("audit.recovered"))
        records += len(log.records)
        shutil.rmtree(place)
    print(f"{number} runs, {records} records, {tears} tears")


if __name__ == "__main__":
    main()
