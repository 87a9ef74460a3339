"""What the adapters cost beside what does the same, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import throughput
from bench.figure import Figure

PROGRAM = Path(__file__).with_name("hosts.py")


def taken(directory: Path, what: str, *variants: str, rounds: int) -> dict[str, dict[str, float]]:
    """The numbers that each variant prints: the median of several rounds, one after the other."""
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in variants:
            log = directory / f"{what}-{variant}-{number}.jsonl"
            command = [sys.executable, str(PROGRAM), what, variant, str(log)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[variant].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        variant: {name: median(one[name] for one in numbers) for name in numbers[0]}
        for variant, numbers in found.items()
    }


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Figures of the hosts."""
    rounds = 1 if quick else 5
    asgi = taken(directory, "asgi", "all", rounds=rounds)["all"]
    own = (asgi["ours"] - asgi["none"]) / (asgi["theirs"] - asgi["none"])
    django = taken(directory, "django", "none", "ours", "auditlog", rounds=rounds)
    rows = taken(directory, "sqlalchemy", "none", "ours", rounds=rounds)
    per_row = max(rows["ours"][name] - rows["none"][name] for name in rows["none"])
    metrics = taken(directory, "metrics", "off", "a collector", "several processes", rounds=rounds)
    return [
        Figure("ASGI middleware's own time / asgi-correlation-id's", own, 1.5, detail=asgi),
        Figure(
            "Django save() of a tracked model / django-auditlog's",
            django["ours"]["us"] / django["auditlog"]["us"],
            0.4,
            detail=_flat(django),
        ),
        Figure("Django save() of a tracked model: queries", django["ours"]["queries"], 1),
        Figure(
            "SQLAlchemy, for each of 10,000 changed rows", per_row, 60, " µs", detail=_flat(rows)
        ),
        *(
            Figure(
                f"p50 of emit, {name} / without metrics", spent["us"] / metrics["off"]["us"], 1.1
            )
            for name, spent in metrics.items()
            if name != "off"
        ),
        *throughput.measure(directory, quick=quick),
    ]


def _flat(numbers: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {f"{name} {key}": one for name, each in numbers.items() for key, one in each.items()}
