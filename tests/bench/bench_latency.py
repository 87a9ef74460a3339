"""One emit against what else could write the same two lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.chain import check
from bench.figure import Figure
from bench.peers import CONTENDERS
from bench.process import Rounds, Worker, busy, devnull, drained, in_turns

OURS = "audit_emit"
OTHERS = ("structlog_redacting", "audit_emit_sealed", "plain_call", "declared_event")
"""Contenders of other benchmarks."""

PEERS = tuple(name for name in CONTENDERS if name not in OTHERS)
STDOUTS = {"busy": busy, "devnull": devnull, "pipe": drained}
"""The one of the limits first, then those of ``figure.COLUMNS``.

Not the reader that sleeps before each line: the writer then pays for waking it, the kernel's five
microseconds are the greatest part of the floor, and how often a peer pays depends on its pace.
"""

LIMITS = (
    ("p50 of emit / the floor", ("floor",), 2.0),
    ("p50 of emit / structlog", ("structlog_orjson", "structlog_msgspec"), 0.6),
    ("p50 of emit / logging + python-json-logger", ("stdlib",), 0.27),
    ("p50 of emit / loguru", ("loguru",), 0.16),
)


def rounds_of(
    directory: Path, kind: Callable[[], Any], rounds: int, calls: int
) -> tuple[Rounds, int]:
    """The times of every contender in every round, and the lines that ours brought to stdout.

    In a round one contender follows the other.

    A contender has a process of its own, so that one's heap and threads do not weigh on another,
    and the work it left to its background ends before the next one starts.
    """
    with ExitStack() as stack:
        stdouts = {name: stack.enter_context(kind()) for name in PEERS}
        workers = {
            name: stack.enter_context(Worker(name, directory, stdout))
            for name, stdout in stdouts.items()
        }
        taken = in_turns(workers, rounds, calls)
    return taken, stdouts[OURS].lines


def p50(times: Sequence[dict[str, float]]) -> float:
    """The median of the rounds' medians, in ns."""
    return median(each["p50"] for each in times)


def ratio(taken: Rounds, peers: Sequence[str]) -> tuple[float, str]:
    """Ours against the fastest of some peers, and which one that was.

    Each round is compared with itself, so what slows the whole machine for a while cancels out.
    """
    peer = min(peers, key=lambda name: p50(taken[name]))
    pairs = zip(taken[OURS], taken[peer], strict=True)
    return median(ours["p50"] / theirs["p50"] for ours, theirs in pairs), peer


def spread(taken: Rounds) -> float:
    """p99 / p50 of ours."""
    return median(each["p99"] / each["p50"] for each in taken[OURS])


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The four ratios and the spread."""
    rounds, calls = (5, 1000) if quick else (31, 2000)
    by_stdout: dict[str, Rounds] = {}
    sound, arrived = True, ""
    for name, stdout in STDOUTS.items():
        place = directory / name
        place.mkdir()
        by_stdout[name], lines = rounds_of(place, stdout, rounds, calls)
        found = check(place)
        arrived = arrived or f"{lines} of {found.records + found.own} lines came out of the pipe"
        sound &= not found.damage and found.records == (rounds + 1) * calls
    first, *others = by_stdout.values()
    figures = []
    for title, peers, limit in LIMITS:
        value, peer = ratio(first, peers)
        figures.append(
            Figure(
                name=title,
                value=value,
                limit=limit,
                sound=sound,
                others=tuple(ratio(other, peers)[0] for other in others),
                note=f"{p50(first[OURS]) / 1e3:.1f} / {p50(first[peer]) / 1e3:.1f} µs ({peer})",
                detail={"rounds": by_stdout},
            )
        )
    p99 = Figure(
        name="p99 / p50 of emit",
        value=spread(first),
        limit=5.0,
        sound=sound,
        others=tuple(map(spread, others)),
        note=arrived,
    )
    return [*figures, p99]
