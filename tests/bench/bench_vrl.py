"""``vector/audit.vrl`` in the engine of ``vrl-python``, apart from what Python adds to it.

The engine tells how long the compiled program ran, without compiling it and without the conversion
of events to and from Python. That conversion, which Vector has no use for, is measured with a
program that does nothing. What Vector does besides (it reads, copies the event, sends) is not here.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.bench_startup import grow
from bench.figure import Figure
from support.vrl_engine import AUDIT, runtime

NOTHING = "true"
WANTED = 50_000
BATCH = 200


class BackfillSettings(NamedTuple):
    """Microseconds an event: by the engine's clock, and of the processor with the conversions."""

    engine: float
    called: float


def batch(program: str, lines: Sequence[str]) -> BackfillSettings:
    """Run a program over lines, one call each, as that is all this engine offers."""
    execute = runtime(program).execute
    began, engine = time.process_time(), 0.0
    for line in lines:
        engine += execute(program, {"message": line}).elapsed_ms or 0.0
    called = time.process_time() - began
    return BackfillSettings(engine * 1e3 / len(lines), called * 1e6 / len(lines))


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Many short batches in turn: the best of them is what a busy machine disturbed least."""
    path = directory / "audit.jsonl"
    grow(path, 1 << 20)
    records = path.read_text(encoding="utf-8").splitlines()
    path.unlink()
    lines = [f"audit: {one}" if n % 2 else one for n, one in enumerate(records)]
    batches = [lines[at : at + BATCH] for at in range(0, len(lines) - BATCH, BATCH)]
    audit, nothing = [], []
    for _ in range(5 if quick else 50):
        for each in batches:
            audit.append(batch(AUDIT, each))
            nothing.append(batch(NOTHING, each))
    best = min(pace.engine for pace in audit)
    usual = statistics.median(pace.engine for pace in audit)
    called = min(pace.called for pace in audit)
    idle = min(pace.called for pace in nothing)
    return [
        Figure(
            name="audit.vrl in the engine, one core",
            value=1e6 / best,
            limit=WANTED,
            unit=" events/s",
            at_least=True,
            note=f"{len(records[0])} bytes each; median {1e6 / usual:,.0f}/s; through Python"
            f" {1e6 / called:,.0f}/s, where a program that does nothing makes {1e6 / idle:,.0f}/s",
            detail={"audit": audit, "nothing": nothing},
        )
    ]
