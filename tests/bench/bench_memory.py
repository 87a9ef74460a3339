"""Memory of a process that has logged a million events."""

from __future__ import annotations

from pathlib import Path

from bench.figure import Figure
from bench.process import Worker, drained

EARLY = 10_000


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Resident memory late minus early."""
    late = 100_000 if quick else 1_000_000
    with drained() as stdout, Worker("audit_emit", directory, stdout) as worker:
        worker.do(f"burst {EARLY}")
        early_bytes = worker.do("rss")
        worker.do(f"burst {late - EARLY}")
        late_bytes = worker.do("rss")
    return [
        Figure(
            name=f"memory after {late:,} events beyond that after {EARLY:,}",
            value=(late_bytes - early_bytes) / 1e6,
            limit=5.0,
            unit=" MB",
            note=f"{late_bytes / 1e6:.1f} - {early_bytes / 1e6:.1f} MB resident",
            detail={"early": early_bytes, "late": late_bytes},
        )
    ]
