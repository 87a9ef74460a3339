"""One emit of each usual shape of an event against what else could write the same two lines."""

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

from audit_emit._runtime.compiled import SWITCH

OURS, INTERPRETED = "audit_emit", "audit_emit without the compiled part"
FLOOR, PLAIN, REDACTING = "floor", "structlog_msgspec", "structlog_redacting"

CONTENDERS = {
    OURS: ("audit_emit", {}),
    INTERPRETED: ("audit_emit", {SWITCH: "0"}),
    FLOOR: (FLOOR, {}),
    PLAIN: (PLAIN, {}),
    REDACTING: (REDACTING, {}),
}
"""How each process is started: what logs there, and its environment."""

LIMITS = (
    ("p50 of emit / structlog without redaction", OURS, PLAIN, 0.6, 1.0),
    ("p50 of emit / the floor", OURS, FLOOR, 2.0, 3.0),
    ("p50 of emit / structlog with redaction", OURS, REDACTING, 0.3, None),
    ("p50 of emit in Python alone / structlog without redaction", INTERPRETED, PLAIN, 1.5, None),
)
"""Title, ours, the other, the limit of the geometric mean, and that of the worst shape."""


def rounds_of(directory: Path, shape: str, rounds: int, calls: int) -> tuple[Rounds, bool, int]:
    """The times of every contender in every round, and what became of our logs.

    In a round one follows the other, each in a process of its own.

    Returns:
        The times; whether the logs are whole; how many lines of them did not come out of the pipe.
    """
    with ExitStack() as stack:
        workers, stdouts = {}, []
        for at, (name, (peer, environment)) in enumerate(CONTENDERS.items()):
            place = directory / str(at)
            place.mkdir()
            stdouts.append(stdout := stack.enter_context(busy()))
            worker = Worker(peer, place, stdout, BENCH_SHAPE=shape, **environment)
            workers[name] = stack.enter_context(worker)
        taken = in_turns(workers, rounds, calls)
    ours = [at for at, (peer, _) in enumerate(CONTENDERS.values()) if peer == OURS]
    logs = [check(directory / str(at)) for at in ours]
    whole = all(not log.damage and log.records == (rounds + 1) * calls for log in logs)
    written = sum(log.records + log.own for log in logs)
    return taken, whole, written - sum(stdouts[at].lines for at in ours)


def ratio(taken: Rounds, ours: str, other: str) -> float:
    """Each round is compared with itself: what slows the machine for a while cancels out."""
    pairs = zip(taken[ours], taken[other], strict=True)
    return median(mine["p50"] / theirs["p50"] for mine, theirs in pairs)


def table(by_shape: dict[str, Rounds]) -> str:
    """The ratios of all shapes, in Markdown."""
    titles = [f"{title.removeprefix('p50 of ')}" for title, *_ in LIMITS]
    rows = [["shape", "emit", *titles], ["---"] * (len(titles) + 2)]
    for shape, taken in by_shape.items():
        values = [shown(ratio(taken, ours, other)) for _, ours, other, *_ in LIMITS]
        rows.append([shape, f"{p50(taken[OURS]) / 1e3:.1f} µs", *values])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The ratios: their geometric means, and the worst shapes."""
    rounds, calls = (3, 500) if quick else (15, 1000)
    by_shape: dict[str, Rounds] = {}
    sound, lost = True, 0
    for at, shape in enumerate(SHAPES):
        place = directory / str(at)
        place.mkdir()
        by_shape[shape], whole, missing = rounds_of(place, shape, rounds, calls)
        sound &= whole
        lost += missing
    print(table(by_shape), file=sys.stderr)
    if lost:  # an event whose line is not taken costs more: say so beside the figures
        print(f"{lost} lines of ours were not taken by a reader in time", file=sys.stderr)
    figures = []
    for title, ours, other, limit, worst_limit in LIMITS:
        ratios = {shape: ratio(taken, ours, other) for shape, taken in by_shape.items()}
        worst = max(ratios, key=ratios.__getitem__)
        mean = geometric_mean(ratios.values())
        note = f"worst: {shown(ratios[worst])} ({worst})"
        figures.append(
            Figure(
                f"{title}, mean of the shapes", mean, limit, sound=sound, note=note, detail=ratios
            )
        )
        if worst_limit is not None:
            figures.append(
                Figure(f"{title}, worst shape", ratios[worst], worst_limit, sound=sound, note=worst)
            )
    return figures
