"""What ``import audit_emit`` adds to the start of an interpreter."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from bench.figure import Figure
from bench.process import environment

CODES = ("pass", "import msgspec", "import audit_emit")


def started(code: str, directory: Path, core: Path | None = None) -> float:
    """The milliseconds from start to end of an interpreter that runs ``code``.

    Args:
        code: what to run.
        directory: where compiled modules are kept: an installed package has them, too.
        core: all that is installed, instead of what is installed here.
    """
    command = [sys.executable, "-c", code]
    env = {**environment(), "PYTHONPYCACHEPREFIX": str(directory / "pycache")}
    if core is not None:
        command.insert(1, "-S")
        env["PYTHONPATH"] = str(core)
    begin = perf_counter_ns()
    subprocess.run(command, check=True, cwd=directory, env=env)
    return (perf_counter_ns() - begin) / 1e6


def core_only(directory: Path) -> Path:
    """A path with the library and what its import needs, and nothing that msgspec looks for."""
    core = directory / "core"
    core.mkdir()
    for name in ("audit_emit", "msgspec"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        (core / name).symlink_to(Path(found.origin).parent)
    return core


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The median of the differences of neighbours."""
    runs = 10 if quick else 60
    core = core_only(directory)
    rows = [
        [started(code, directory, place) for place in (None, core) for code in CODES]
        for _ in range(runs + 1)
    ][1:]  # the first row compiled the modules
    bare, library, loaded = (median(row[i] for row in rows) for i in range(3))
    alone = median(row[5] - row[3] for row in rows)
    return [
        Figure(
            name="import audit_emit, beyond a bare interpreter",
            value=median(row[2] - row[0] for row in rows),
            limit=40.0,
            unit=" ms",
            note=(
                f"{loaded:.0f} - {bare:.0f} ms, of which msgspec {library - bare:.0f}; "
                f"{alone:.0f} ms with nothing else installed; {runs} runs"
            ),
            detail={"codes": CODES, "rows": rows},
        )
    ]
