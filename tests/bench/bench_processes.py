"""Four processes on one log against one process alone."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.chain import check
from bench.figure import Figure
from bench.process import Worker, drained

MANY = 4


def throughput(answers: list[Any]) -> float:
    """Events per second of all workers together."""
    return sum(float(each["count"]) / float(each["seconds"]) for each in answers)


def spend(workers: list[Worker], seconds: float) -> list[Any]:
    """All workers log at the same time."""
    for worker in workers:
        worker.ask(f"spend {seconds}")
    return [worker.result() for worker in workers]


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The ratio of the two throughputs, and whether both logs are whole."""
    rounds, seconds = (2, 0.5) if quick else (7, 1.5)
    groups = {1: directory / "one", MANY: directory / "many"}
    answers: dict[int, list[list[Any]]] = {size: [] for size in groups}
    with ExitStack() as stack:
        workers: dict[int, list[Worker]] = {}
        for size, place in groups.items():
            place.mkdir()
            stdout = stack.enter_context(drained())
            workers[size] = [
                stack.enter_context(Worker("audit_emit", place, stdout)) for _ in range(size)
            ]
        for number in range(rounds + 1):
            for size, group in workers.items():
                # The first round warms up: it counts for the file, not for the figure.
                answers[size].append(spend(group, seconds if number else 0.2))
                for worker in group:
                    worker.do("settle")
    logged = {
        size: sum(int(each["count"]) for answer in taken for each in answer)
        for size, taken in answers.items()
    }
    found = {size: check(place) for size, place in groups.items()}
    damage = [text for each in found.values() for text in each.damage]
    lost = sum(logged.values()) - sum(each.records for each in found.values())
    rates = {size: [throughput(each) for each in taken[1:]] for size, taken in answers.items()}
    one, many = median(rates[1]), median(rates[MANY])
    return [
        Figure(
            name="four processes on one log / one process",
            value=median(b / a for a, b in zip(rates[1], rates[MANY], strict=True)),
            limit=0.6,
            at_least=True,
            sound=not damage and not lost,
            note=(
                f"{many:,.0f} / {one:,.0f} events/s; of {logged[MANY]:,} events "
                f"{lost} lost, {len(damage)} damaged"
            ),
            detail={"answers": answers, "damage": damage[:10], "lost": lost},
        )
    ]
