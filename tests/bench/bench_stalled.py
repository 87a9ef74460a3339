"""The reader of stdout stops: the application goes on, the file has everything."""

from __future__ import annotations

import signal
from pathlib import Path
from statistics import median

from bench.chain import check
from bench.figure import Figure
from bench.process import Worker, drained

FILL = 2000
"""Calls after the stop that are not measured: by then the pipe is full."""


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """p99 and maximum of a call while nobody reads."""
    rounds, calls = (3, 2000) if quick else (11, 5000)
    with drained() as stdout:
        reader = stdout.reader
        assert reader is not None
        with Worker("audit_emit", directory, stdout) as worker:
            worker.do(f"round {FILL}")
            before = worker.do(f"round {calls}")
            reader.send_signal(signal.SIGSTOP)
            filling = worker.do(f"round {FILL}")
            taken = [worker.do(f"round {calls}") for _ in range(rounds)]
        reader.send_signal(signal.SIGCONT)
    found = check(directory)
    logged = 2 * FILL + (1 + rounds) * calls
    sound = not found.damage and found.records == logged
    worst = max(each["max"] for each in (filling, *taken))
    note = f"{found.records} of {logged} records in the file, {len(found.damage)} damaged"
    detail = {"before": before, "filling": filling, "rounds": taken, "damage": found.damage[:10]}
    return [
        Figure(
            name="stdout reader stopped: p99 of emit",
            value=median(each["p99"] for each in taken) / 1e6,
            limit=1.0,
            unit=" ms",
            sound=sound,
            note=note,
            detail=detail,
        ),
        Figure(
            name="stdout reader stopped: maximum",
            value=worst / 1e6,
            limit=50.0,
            unit=" ms",
            sound=sound,
            note=f"{before['max'] / 1e6:.2f} ms while it was read",
        ),
    ]
