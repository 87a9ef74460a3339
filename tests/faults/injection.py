"""One injection from beginning to end, and the places where a scene can be injected."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faults.scenes_strace import SCENES, lines_of
from faults.strace import ERRORS, Call, Fault, Outcome, run

ATTEMPTS = 4
"""Another thread may be faster or slower than when the calls were counted."""

UNFAILING = frozenset({"close"})
"""A call that is made to fail is not made at all; what does not close is no close that failed."""


class Job(NamedTuple):
    """A fault in a scene."""

    scene: str
    fault: Fault

    def command(self) -> str:
        """What repeats it."""
        call, when, error = self.fault
        return (
            f"python tests/faults/inject.py --scenario {self.scene} "
            f"--call {call} --when {when} --error {error}"
        )


class Result(NamedTuple):
    """How it went; ``failure`` is empty when all is well.

    ``met`` says whether the fault hit a call on the log's directory.
    """

    job: Job
    met: bool
    failure: str
    where: str = ""


def places(scene: str) -> list[tuple[str, int]]:
    """Every call on a file of the log: its name and its number in its thread.

    A call is left out when another thread makes one of this name and number before, on a file of
    somebody else: what is done to the one is done to the other.

    Raises:
        AssertionError: the scene fails without any fault.
        StraceError: nothing can be traced here.
    """
    with tempfile.TemporaryDirectory(prefix="audit-fault-") as name:
        outcome = attempt(scene, Path(name), None)
        first = {(call.name, call.number): call for call in reversed(outcome.calls)}
        calls = outcome.within(Path(name, "log"))
    return sorted({(c.name, c.number) for c in calls if first[c.name, c.number] is c})


def jobs(scene: str, errors: Sequence[str] = ERRORS) -> list[Job]:
    """Every fault of a scene."""
    return [
        Job(scene, Fault(call, when, error))
        for call, when in places(scene)
        for error in errors
        if error == "SIGKILL" or call not in UNFAILING
    ]


def inject(job: Job, keep: str = "") -> Result:
    """Do it, and check what is left; ``keep`` is a directory for the last attempt's files."""
    outcome: Outcome | None = None
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="audit-fault-") as name:
            place = Path(name)
            try:
                outcome = attempt(job.scene, place, job.fault)
            except AssertionError as error:
                return Result(job, met=True, failure=str(error)[:2000] or "an assertion failed")
            finally:
                if keep:
                    shutil.copytree(place, keep, dirs_exist_ok=True)
            if outcome.met(job.fault, place / "log"):
                return Result(job, met=True, failure="", where=_where(job.fault, outcome.calls))
    return Result(job, met=False, failure="")


def _where(fault: Fault, calls: Sequence[Call]) -> str:
    return next((f"{c.name}({c.text}" for c in calls if c.number == fault.when), "")


def attempt(scene: str, place: Path, fault: Fault | None) -> Outcome:
    """Prepare, play and check a scene.

    Raises:
        AssertionError: something does not hold that must.
        StraceError: nothing can be traced here.
    """
    prepare, play, check = SCENES[scene]
    log = place / "log"
    prepare(log)
    before = lines_of(log)
    if log.exists():
        shutil.copytree(log, place / "before")
    outcome = run(lambda tell: play(log, tell), place, fault)
    killed = outcome.status < 0 and fault is not None and fault.kills
    assert outcome.status == 0 or killed, f"it raised, or died: {outcome.output[-1500:]}"
    assert "Traceback" not in outcome.output, outcome.output[-1500:]
    try:
        check(log, before, outcome, fault)
    except Exception as error:
        told = json.dumps(outcome.told)[-300:]
        raise AssertionError(f"{type(error).__name__}: {error}; told {told}") from error
    return outcome
