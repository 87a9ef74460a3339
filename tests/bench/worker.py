"""A child process with one contender: commands on stdin, one JSON answer each on ``--reply``.

``python -m bench.worker CONTENDER DIRECTORY REPLY_FD`` answers ``{"open_ns": …}`` and then

    round N      logs N events one by one: p50, p99, max and mean of a call, in ns
    spend S      logs for S seconds: how many, how many of them returned None, and the seconds
    burst N      logs N events, measures nothing
    settle       returns when the background has nothing left to do
    rss          resident memory in bytes
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
from bench.contender import Contender
from bench.peers import CONTENDERS


def resident() -> int:
    """Resident memory in bytes; where /proc is missing, its peak."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def timed(contender: Contender, events: Iterator[Any], count: int) -> dict[str, float]:
    """The times of ``count`` calls, each taken by itself."""
    log, now = contender.log, perf_counter_ns
    taken = array("q", bytes(8 * count))
    for i in range(count):
        event = next(events)
        begin = now()
        log(event)
        taken[i] = now() - begin
    ordered = sorted(taken)
    return {
        "p50": ordered[count // 2],
        "p99": ordered[count * 99 // 100],
        "max": ordered[-1],
        "mean": sum(ordered) / count,
    }


def spent(contender: Contender, events: Iterator[Any], seconds: float) -> dict[str, float]:
    """How much is logged in a time."""
    log, now = contender.log, perf_counter_ns
    count = missed = 0
    begin = now()
    end = begin + int(seconds * 1e9)
    while now() < end:
        missed += log(next(events)) is None
        count += 1
    return {"count": count, "missed": missed, "seconds": (now() - begin) / 1e9}


def answer(command: str, argument: str, contender: Contender, events: Iterator[Any]) -> Any:
    """Do one command."""
    match command:
        case "round":
            return timed(contender, events, int(argument))
        case "spend":
            return spent(contender, events, float(argument))
        case "burst":
            for event in itertools.islice(events, int(argument)):
                contender.log(event)
            return True
        case "settle":
            return bool(contender.settle())
        case "rss":
            return resident()
    raise ValueError(command)


def main() -> None:
    """Serve commands until stdin ends."""
    name, directory, reply = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    opener = CONTENDERS[name]()
    begin = perf_counter_ns()
    contender = opener(directory)
    encode = msgspec.json.encode
    os.write(reply, encode({"open_ns": perf_counter_ns() - begin}) + b"\n")
    events = itertools.cycle(contender.events)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        os.write(reply, encode(answer(command, argument, contender, events)) + b"\n")


if __name__ == "__main__":
    main()
