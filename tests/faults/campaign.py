"""Every injection into every scene, and the rounds of ``kill -9``, within a budget of time."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from faults.child import environment
from faults.injection import Job, Result, inject, jobs
from faults.scenes_strace import SCENES
from faults.strace import ERRORS, Fault, StraceError

SECONDS = 600.0
SHARE = 0.65
"""Of the time, for injections; the rest is for the rounds."""

ROUNDS = 1000
WRITERS = 4
MAX_BYTES = 65536
PROCESSES = 2
SEED = 1


MISSES = 0.02
"""How many injections may miss: a thread need not make the calls that it made when counted."""


class Counts(NamedTuple):
    """What came of the injections: by scene, call and error; and what went wrong."""

    done: Counter[tuple[str, str, str]]
    missed: list[Job]
    failed: list[Result]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when all is well, 1 when something failed, 2 when nothing can be traced."""
    options = _options(arguments)
    begun = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        try:
            plan = _plan(pool, options)
        except StraceError as error:
            print(f"nothing was injected: {error}", file=sys.stderr)
            return 2
        if not plan:
            print("there is no such call; --call, --when and --error name one", file=sys.stderr)
            return 1
        share = SHARE if options.rounds else 1.0
        counts = _inject(pool, plan, begun + share * options.seconds, options)
    good = _tell(plan, counts, time.monotonic() - begun)
    if options.rounds:
        good = _kill(options, begun + options.seconds) and good
    print(f"{time.monotonic() - begun:.0f} s of {options.seconds:.0f} s")
    return 0 if good else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inject.py", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=SECONDS, help="for everything (default 600)")
    add("--scenario", action="append", choices=SCENES, help="only this one; repeatable")
    add("--every", type=int, default=1, metavar="N", help="a sample: every N-th injection")
    add("--rounds", type=int, default=ROUNDS, help="of kill -9 (default 1000); 0 for none")
    add("--jobs", type=int, default=PROCESSES, help="processes at a time (default 2)")
    add("--call", help="with --when and --error: only this injection, without rounds")
    add("--when", type=int, help="which of the calls on files of the log, from 1")
    add("--error", choices=ERRORS)
    add("--keep", default="", metavar="DIR", help="copy the log and the trace of an injection here")
    options = parser.parse_args(arguments)
    if options.call:
        options.rounds = 0
        if not (options.when and options.error and options.scenario):
            parser.error("--call needs --scenario, --when and --error")
    return options


def _plan(pool: ProcessPoolExecutor, options: argparse.Namespace) -> list[Job]:
    """What to inject; mixed, so that a budget that is too small cuts a little of everything.

    Raises:
        StraceError: nothing can be traced here.
    """
    scenes = options.scenario or list(SCENES)
    if options.call:
        one = Fault(options.call, options.when, options.error)
        return [job for job in pool.submit(jobs, scenes[0]).result() if job.fault == one]
    found = [job for those in pool.map(jobs, scenes) for job in those]
    plan = random.Random(SEED).sample(found, len(found))
    return plan[:: options.every]


def _inject(
    pool: ProcessPoolExecutor, plan: Sequence[Job], until: float, options: argparse.Namespace
) -> Counts:
    counts = Counts(Counter(), [], [])
    for number, result in enumerate(_results(pool, plan, until, options), 1):
        job = result.job
        if result.failure:
            counts.failed.append(result)
        elif not result.met:
            counts.missed.append(job)
        else:
            counts.done[job.scene, job.fault.call, job.fault.error] += 1
        _progress(f"{number} of {len(plan)} injections, {len(counts.failed)} failed")
    _progress("")
    return counts


def _results(
    pool: ProcessPoolExecutor, plan: Sequence[Job], until: float, options: argparse.Namespace
) -> Iterator[Result]:
    left = iter(plan)
    running: set[Future[Result]] = set()
    while True:
        while len(running) < 2 * options.jobs and time.monotonic() < until:
            job = next(left, None)
            if job is None:
                break
            running.add(pool.submit(inject, job, options.keep))
        if not running:
            return
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future.result()


def _tell(plan: Sequence[Job], counts: Counts, seconds: float) -> bool:
    """The closing table; whether nothing is wrong."""
    scenes = list(dict.fromkeys(name for name in SCENES if any(job.scene == name for job in plan)))
    width = max(14, *(len(name) + 2 for name in scenes))
    print(f"injections done, {' / '.join(ERRORS)}")
    print("call".ljust(14) + "".join(name.rjust(width) for name in scenes))
    for call in sorted({job.fault.call for job in plan}):
        cells = [_cell(counts, scene, call).rjust(width) for scene in scenes]
        print((call.ljust(14) + "".join(cells)).rstrip())
    print("all".ljust(14) + "".join(_cell(counts, scene, "").rjust(width) for scene in scenes))
    done = sum(counts.done.values())
    cut = len(plan) - done - len(counts.missed) - len(counts.failed)
    print(
        f"{done} of {len(plan)} injections done in {seconds:.0f} s, {len(counts.failed)} failed, "
        f"{len(counts.missed)} missed their call, {cut} cut by the budget"
    )
    for result in counts.failed:
        print(f"\nFAILED: {result.job.command()}\n{result.failure}")
    for job in counts.missed:
        print(f"MISSED: {job.command()}")
    return not counts.failed and len(counts.missed) <= max(2, MISSES * len(plan))


def _cell(counts: Counts, scene: str, call: str) -> str:
    found = [
        sum(
            n
            for (s, c, e), n in counts.done.items()
            if (s, e) == (scene, error) and call in {c, ""}
        )
        for error in ERRORS
    ]
    return "/".join(map(str, found)) if any(found) else ""


def _kill(options: argparse.Namespace, until: float) -> bool:
    """The rounds of ``kill -9``; whether nothing is wrong."""
    begun = time.monotonic()
    share = -(-options.rounds // options.jobs)
    totals: Counter[str] = Counter()
    good = True
    with tempfile.TemporaryDirectory(prefix="audit-fault-") as name:
        killers = [
            Killer(Path(name, str(n)), min(share, options.rounds - n * share), n, until - begun)
            for n in range(options.jobs)
            if options.rounds > n * share
        ]
        for killer in killers:
            told = killer.process.communicate()[0]
            if killer.process.returncode:
                good = False
                print(f"\nFAILED: {killer.shown}\n{killer.errors.read_text()[-3000:]}")
            else:
                totals.update(json.loads(told))
    rounds = totals.pop("runs", 0)
    counted = ", ".join(f"{count} {what}" for what, count in totals.items())
    verdict = "0 acknowledged records lost, 0 undeclared findings" if good else "FAILED"
    print(
        f"{rounds} of {options.rounds} rounds of kill -9 over {WRITERS} writers, rotation at "
        f"{MAX_BYTES} bytes, in {time.monotonic() - begun:.0f} s: {counted}; {verdict}"
    )
    return good


class Killer:
    """A process that kills writers.

    Attributes:
        errors: where its standard error goes.
        shown: what repeats it.
    """

    def __init__(self, place: Path, rounds: int, seed: int, seconds: float) -> None:
        place.mkdir()
        self.errors = place.with_suffix(".stderr")
        style = ["--writers", str(WRITERS), "--max-bytes", str(MAX_BYTES)]
        command = ["-m", "faults.killer", str(place), str(rounds), str(seed), *style]
        self.shown = f"PYTHONPATH=tests:. python {' '.join(command)}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--seconds", f"{max(seconds, 1):.0f}"],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
            )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
