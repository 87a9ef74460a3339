"""Verifying a log, beside hashing its bytes once (``sha256sum``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.bench_startup import grow
from bench.figure import Figure

RECORD = 605
"""Bytes of a record that ``grow`` writes."""

CLI = "import sys; from audit_emit.cli import main; sys.exit(main())"


def timed(command: list[str], *, cores: int) -> tuple[float, float]:
    """Wall seconds of a command on so many cores, and its peak memory in MB."""
    usable = sorted(os.sched_getaffinity(0))[:cores] if hasattr(os, "sched_getaffinity") else []
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        if usable:
            os.sched_setaffinity(process.pid, usable)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return seconds, usage.ru_maxrss / scale


def verify(path: Path, jobs: int) -> list[str]:
    """The command line that verifies a file."""
    return [sys.executable, "-c", CLI, "verify", "--jobs", str(jobs), str(path)]


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Best of several runs, taken in turn, so that a busy machine is so for all of them."""
    records, runs = (100_000, 3) if quick else (1_000_000, 7)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD)
    other = (
        ["sha256sum", str(path)] if shutil.which("sha256sum") else ["shasum", "-a256", str(path)]
    )
    taken: dict[str, list[float]] = {"sha256sum": [], "one": [], "two": []}
    peak = 0.0
    for _ in range(runs):
        taken["sha256sum"].append(timed(other, cores=1)[0])
        seconds, memory = timed(verify(path, 1), cores=1)
        taken["one"].append(seconds)
        taken["two"].append(timed(verify(path, 2), cores=2)[0])
        peak = max(peak, memory)
    base = min(taken["sha256sum"])
    size = path.stat().st_size
    note = f"{min(taken['one']):.2f} s / {base:.2f} s, {size / 1e6:.0f} MB"
    figures = [
        Figure(f"verify {count:,} records / sha256sum", min(taken["one"]) / base, 1.0, "x",
               note=note, detail=dict(taken)),
        Figure("… on two cores", min(taken["two"]) / base, 0.6, "x",
               note=f"{min(taken['two']):.2f} s"),
    ]  # fmt: skip
    if not quick:
        path.unlink()
        grow(path, 1 << 30)
        _, peak = timed(verify(path, 1), cores=1)
    figures.append(Figure("peak memory of verify", peak, 64.0, " MB"))
    path.unlink()
    return figures
