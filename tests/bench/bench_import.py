"""What ``import audit_emit`` adds to the start of an interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from bench.figure import Figure
from bench.process import environment


def started(code: str, directory: Path) -> float:
    """The milliseconds from start to end of an interpreter that runs ``code``."""
    command = [sys.executable, "-c", code]
    # Compiled modules, as an installed package has them, and nothing left in the checkout.
    env = {**environment(), "PYTHONPYCACHEPREFIX": str(directory / "pycache")}
    begin = perf_counter_ns()
    subprocess.run(command, check=True, cwd=directory, env=env)
    return (perf_counter_ns() - begin) / 1e6


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The median of the differences of neighbours."""
    runs = 10 if quick else 60
    pairs = [
        (started("pass", directory), started("import audit_emit", directory))
        for _ in range(runs + 1)
    ][1:]  # the first pair compiled the modules
    bare, loaded = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return [
        Figure(
            name="import audit_emit, beyond a bare interpreter",
            value=median(b - a for a, b in pairs),
            limit=40.0,
            unit=" ms",
            note=f"{loaded:.0f} - {bare:.0f} ms, {runs} runs",
            detail={"pairs": pairs},
        )
    ]
