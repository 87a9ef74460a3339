"""A report on a log, beside reading every record of it once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.bench_startup import grow
from bench.bench_verify import RECORD, Run, timed
from bench.figure import Figure

LIMIT = 2.0
COMMAND = "import sys; from audit_emit.cli import main; sys.exit(main())"
PASS = (
    "import sys; from audit_emit import open_log\n"
    "print(sum(1 for record in open_log(sys.argv[1]).records()))"
)
"""One pass: every record as plain values."""


def reported(path: Path, *words: str) -> list[str]:
    """The command line of a report that has all records in its period."""
    return [
        *(sys.executable, "-c", COMMAND, "report", str(path), "--since", "2026-01-01"),
        *("--until", "2027-01-01", "--format", "json", *words),
    ]


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Best of several runs, taken in turn, on one core; start of the interpreter and all."""
    records, runs = (100_000, 3) if quick else (1_000_000, 5)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD)
    once: list[Run] = []
    plain: list[Run] = []
    looking: list[Run] = []
    for _ in range(runs):
        once.append(timed([sys.executable, "-c", PASS, str(path)], cores=1))
        plain.append(timed(reported(path, "--no-anomalies"), cores=1))
        looking.append(timed(reported(path), cores=1))
    path.unlink()
    base = _busy(once)
    return [
        Figure(
            f"report on {count:,} records without anomalies / one pass",
            _busy(plain) / base,
            LIMIT,
            "x",
            note=f"{_busy(plain):.2f} / {base:.2f} s of the processor, "
            f"{max(run.memory for run in plain):.0f} MB; with anomalies "
            f"{_busy(looking) / base:.2f} x, {max(run.memory for run in looking):.0f} MB",
            detail={"pass": once, "report": plain, "with anomalies": looking},
        )
    ]


def _busy(runs: Sequence[Run]) -> float:
    return min(run.busy for run in runs)
