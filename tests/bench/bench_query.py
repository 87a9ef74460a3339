"""Asking a log for one key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.bench_startup import grow
from bench.bench_verify import CLI, RECORD, timed
from bench.event import variants
from bench.figure import Figure

KEY = "STRIPE_LIVE_KEY"
SECONDS = 3.0


def events() -> list[dict[str, Any]]:
    """One of a thousand has the key; the others have some hundred keys."""
    made = variants()
    for number, fields in enumerate(made):
        fields["key"] = f"SERVICE_{number % 300}_API_KEY"
    made[len(made) // 2]["key"] = KEY
    return made


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The best of several runs of the command, start of the interpreter and all, on one core."""
    records, runs = (100_000, 3) if quick else (1_000_000, 5)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD, events())
    figures = []
    for name, words, status in (
        (f"query {count:,} records for one key", ["--where", f"key={KEY}"], 0),
        ("… for who changed it", ["--who-changed", KEY], 0),
        ("… for a key that is not there", ["--where", "key=NOT_THERE"], 3),
    ):
        command = [sys.executable, "-c", CLI, "query", *words, str(path)]
        found = [timed(command, cores=1, status=status) for _ in range(runs)]
        wall, busy = min(run.wall for run in found), min(run.busy for run in found)
        note = f"of the processor; {wall:.2f} s on the clock, {max(r.memory for r in found):.0f} MB"
        figures.append(Figure(name, busy, SECONDS, " s", note=note, detail={"query": found}))
    path.unlink()
    return figures
