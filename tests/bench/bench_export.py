"""Records as events of OCSF."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.bench_startup import grow
from bench.bench_verify import CLI, RECORD, timed
from bench.figure import Figure

LEAST = 60_000


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Best of several runs; the start of the interpreter counts."""
    records, runs = (100_000, 3) if quick else (500_000, 5)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD)
    command = [sys.executable, "-c", CLI, "export", str(path), "--format", "ocsf"]
    taken = [timed(command, cores=1) for _ in range(runs)]
    size = path.stat().st_size / 1e6
    path.unlink()
    return [
        Figure(
            f"export --format ocsf of {count:,} records, a second of the processor",
            count / min(run.busy for run in taken),
            LEAST,
            at_least=True,
            note=f"{size:.0f} MB, {max(run.memory for run in taken):.0f} MB of memory",
            detail={"runs": taken},
        )
    ]
