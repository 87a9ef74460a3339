"""The proof of one record of a long log, and questions for a number and a time, asked again."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.bench_checkpoint import RECORD_BYTES, signer
from bench.bench_startup import grow
from bench.bench_verify import CLI, Run, timed
from bench.figure import Figure

SECONDS = 2.0


class Asked(NamedTuple):
    """A figure of one command: its name, its words, and the status that it ends with."""

    name: str
    words: list[str]
    status: int = 0


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Each command once, and then the best of several runs, on the clock."""
    records, runs = (200_000, 2) if quick else (5_000_000, 3)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD_BYTES)
    signer(path).run("manual")
    seq = count // 2
    figures = []
    with tempfile.TemporaryDirectory() as place:
        for name, words, status in (
            Asked(f"prove a record of {count:,}, again", ["prove", str(seq), str(path)]),
            Asked(f"query seq=N of {count:,}", ["query", "--where", f"seq={seq}", str(path)]),
            Asked("query --since 1m, again", ["query", "--since", "1m", str(path)], 3),
            Asked("tail --since 1m, again", ["tail", "--since", "1m", str(path)]),
        ):
            command = ["env", f"TMPDIR={place}", sys.executable, "-c", CLI, *words]
            first = timed(command, cores=1, status=status)
            figures.append(figure(name, first, [_again(command, status) for _ in range(runs)]))
    shutil.rmtree(directory / "tile", ignore_errors=True)
    path.unlink()
    return figures


def _again(command: list[str], status: int) -> Run:
    return timed(command, cores=1, status=status)


def figure(name: str, first: Run, again: list[Run]) -> Figure:
    """The best of the later runs, with the first one beside it."""
    best = min(run.wall for run in again)
    note = f"the first time {first.wall:.2f} s, {max(run.memory for run in [first, *again]):.0f} MB"
    return Figure(name, best, SECONDS, " s", note=note, detail={"first": first, "again": again})
