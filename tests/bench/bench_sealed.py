"""One emit of each usual shape with a field sealed under a person's key, against the same without.

The field is the first one that is a text, else the first one: what would be ``Subject(…)`` in a
call. ``user_id`` is a pseudonym in the sealed events, as it is where keys are configured.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import geometric_mean, median

from bench.bench_latency import p50
from bench.chain import check
from bench.figure import Figure, shown
from bench.process import Rounds, Worker, busy, in_turns
from bench.shapes import SHAPES

SEALED, PLAIN = "audit_emit_sealed", "audit_emit"
LIMIT = 1.5


def rounds_of(directory: Path, shape: str, rounds: int, calls: int) -> tuple[Rounds, bool]:
    """The times of both in every round, one after the other, and whether the logs are whole."""
    with ExitStack() as stack:
        workers = {}
        for name in (SEALED, PLAIN):
            place = directory / name
            place.mkdir()
            worker = Worker(name, place, stack.enter_context(busy()), BENCH_SHAPE=shape)
            workers[name] = stack.enter_context(worker)
        taken = in_turns(workers, rounds, calls)
    logs = [check(directory / name) for name in taken]
    return taken, all(not log.damage and log.records == (rounds + 1) * calls for log in logs)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The geometric mean of the ratios of all shapes, and the worst one."""
    rounds, calls = (3, 500) if quick else (15, 1000)
    ratios, notes, sound = {}, [], True
    for at, shape in enumerate(SHAPES):
        place = directory / str(at)
        place.mkdir()
        taken, whole = rounds_of(place, shape, rounds, calls)
        sound &= whole
        pairs = zip(taken[SEALED], taken[PLAIN], strict=True)
        ratios[shape] = median(mine["p50"] / theirs["p50"] for mine, theirs in pairs)
        times = f"{p50(taken[SEALED]) / 1e3:.1f} / {p50(taken[PLAIN]) / 1e3:.1f} µs"
        notes.append(f"| {shape} | {times} | {shown(ratios[shape])} |")
    print("\n".join(notes), file=sys.stderr)
    worst = max(ratios, key=ratios.__getitem__)
    note = f"worst: {shown(ratios[worst])} ({worst})"
    mean = geometric_mean(ratios.values())
    name = "p50 of a sealed emit / plain, mean of the shapes"
    return [Figure(name, mean, LIMIT, sound=sound, note=note, detail=ratios)]
