"""A declared event against the plain call, with and without the schema of its type."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.bench_latency import p50
from bench.chain import check
from bench.figure import Figure
from bench.process import Rounds, Worker, busy, in_turns

PLAIN = "the plain call"
CONTENDERS = {
    PLAIN: ("plain_call", ""),
    "a declared event": ("declared_event", ""),
    "a declared event, its class configured": ("declared_event", "class"),
    "the plain call, the class configured": ("plain_call", "class"),
    "the plain call, a JSON Schema configured": ("plain_call", "document"),
}
"""How each process is started: what logs there, and which schemas it has."""

LIMIT = 1.2


def rounds_of(directory: Path, rounds: int, calls: int) -> tuple[Rounds, bool]:
    """The times of every contender in every round, and whether all logs are whole.

    In a round one follows the other, each in a process of its own.
    """
    places = []
    with ExitStack() as stack:
        workers = {}
        for at, (name, (contender, schemas)) in enumerate(CONTENDERS.items()):
            place = directory / str(at)
            place.mkdir()
            places.append(place)
            stdout = stack.enter_context(busy())
            worker = Worker(contender, place, stdout, BENCH_SCHEMAS=schemas)
            workers[name] = stack.enter_context(worker)
        taken = in_turns(workers, rounds, calls)
    logs = [check(place) for place in places]
    whole = all(not log.damage and log.records == (rounds + 1) * calls for log in logs)
    marked = any(b'"_schema"' in (place / "audit.jsonl").read_bytes() for place in places)
    return taken, whole and not marked


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The ratio of each to the plain call without schemas, round by round."""
    rounds, calls = (5, 1000) if quick else (31, 2000)
    taken, sound = rounds_of(directory, rounds, calls)
    figures = []
    for name in CONTENDERS:
        if name == PLAIN:
            continue
        pairs = zip(taken[name], taken[PLAIN], strict=True)
        figures.append(
            Figure(
                name=f"p50 of {name} / {PLAIN}",
                value=median(ours["p50"] / plain["p50"] for ours, plain in pairs),
                limit=LIMIT,
                sound=sound,
                note=f"{p50(taken[name]) / 1e3:.1f} / {p50(taken[PLAIN]) / 1e3:.1f} µs",
                detail={"rounds": taken},
            )
        )
    return figures
