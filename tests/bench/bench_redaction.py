"""What redaction finds, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path

from bench.figure import Figure
from support.redaction_figures import (
    PLACES,
    altered_logs,
    altered_records,
    altered_values,
    evasions_held_back,
    formats_held_back,
)


def measure(_directory: Path, *, quick: bool) -> list[Figure]:
    """The five figures of redaction."""
    each = 3 if quick else 10
    times = 1 if quick else 10
    shares = {place: formats_held_back(place, each)[0] for place in PLACES}
    worst = min(shares, key=shares.__getitem__)
    return [
        Figure(
            "formats of tokens held back, in the worst of four places",
            100 * shares[worst],
            97,
            " %",
            at_least=True,
            note=worst,
            detail=shares,
        ),
        Figure(
            "ways to write a secret down that are seen",
            100 * evasions_held_back(),
            100,
            " %",
            at_least=True,
        ),
        Figure(
            "harmless records of a cloud altered", 100 * altered_records(1000 * times)[0], 1, " %"
        ),
        Figure("harmless values altered", 100 * altered_values(4000 * times)[0], 0.15, " %"),
        Figure("lines of ordinary logs altered", 100 * altered_logs(2000 * times)[0], 0.3, " %"),
    ]
