"""Verifying a log, beside hashing its bytes once (``sha256sum``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
from bench.bench_startup import grow
from bench.figure import Figure
from bench.process import environment

RECORD = 605
"""Bytes of a record that ``grow`` writes."""

CLI = "import sys; from audit_emit.cli import main; sys.exit(main())"
_TIMED = """
import json, os, sys, time
cores, *command = sys.argv[1:]
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(cores)])
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
began = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
_, ended, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
busy = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(ended), wall, busy, usage.ru_maxrss]))
"""
"""A small parent: the peak memory of a process begins with that of the one it was started by."""


class Run(NamedTuple):
    """What one command took: seconds on the clock and of the processor, and peak memory in MB."""

    wall: float
    busy: float
    memory: float


def timed(command: list[str], *, cores: int, status: int = 0) -> Run:
    """Run a command on so many cores; it must end with this status."""
    small = [sys.executable, "-ISc", _TIMED, str(cores), *command]
    told = subprocess.run(small, stdout=subprocess.PIPE, env=environment(), check=True).stdout
    found, wall, busy, peak = msgspec.json.decode(told, type=tuple[int, float, float, int])
    if found != status:
        raise RuntimeError(f"{command} ended with {found}")
    return Run(wall, busy, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


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
    hashed, alone, spread = [], [], []
    for _ in range(runs):
        hashed.append(timed(other, cores=1))
        alone.append(timed(verify(path, 1), cores=1))
        spread.append(timed(verify(path, 2), cores=2))
    base, one = min(run.busy for run in hashed), min(run.busy for run in alone)
    base_wall, two = min(run.wall for run in hashed), min(run.wall for run in spread)
    peak = max(run.memory for run in alone)
    figures = [
        Figure(
            name=f"verify {count:,} records on one core / sha256sum",
            value=one / base,
            limit=0.75,
            unit="x",
            note=f"{one:.2f} / {base:.2f} s of the processor, {path.stat().st_size / 1e6:.0f} MB",
            detail={"sha256sum": hashed, "verify": alone},
        ),
        Figure(
            name="… on two cores",
            value=two / base_wall,
            limit=0.6,
            unit="x",
            note=f"{two:.2f} / {base_wall:.2f} s on the clock",
            detail={"verify": spread},
        ),
    ]
    if not quick:
        path.unlink()
        grow(path, 1 << 30)
        peak = timed(verify(path, 1), cores=1).memory
    size = path.stat().st_size / 1e9
    figures.append(Figure(f"peak memory of verify on {size:.2g} GB", peak, 64.0, " MB"))
    path.unlink()
    return figures
