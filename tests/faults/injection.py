"""One injection from beginning to end, and the places where a scene can be injected."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faults.scenes_strace import SCENES, lines_of, look_always
from faults.strace import ERRORS, Fault, Outcome, Tell, run

ATTEMPTS = 4
"""Another thread may be faster or slower than when the calls were counted."""

UNFAILING = frozenset({"close"})
"""A call that is made to fail is not made at all; what does not close is no close that failed."""


class Job(NamedTuple):
    """A fault in a scene; ``files`` are those of the log on which its calls count."""

    scene: str
    fault: Fault
    files: tuple[str, ...]

    def command(self) -> str:
        """What repeats it."""
        call, when, error = self.fault
        return (
            f"python tests/faults/inject.py --scenario {self.scene} "
            f"--call {call} --when {when} --error {error}"
        )


class Result(NamedTuple):
    """How it went: ``failure`` is empty when all is well; ``met``: the fault hit its call."""

    job: Job
    met: bool
    failure: str = ""


def jobs(scene: str, errors: Sequence[str] = ERRORS) -> list[Job]:
    """Every fault of a scene: each call on a file of its log, with each error.

    Raises:
        AssertionError: the scene fails without any fault.
        StraceError: nothing can be traced here.
    """
    with tempfile.TemporaryDirectory(prefix="audit-fault-") as name:
        place = Path(name).resolve()
        outcome = attempt(scene, place)
        log = str(place / "log")
        files = tuple(path.removeprefix(log) for path in outcome.paths(place / "log"))
    return [
        Job(scene, Fault(call, when, error), files)
        for call, when in sorted({(call.name, call.number) for call in outcome.calls})
        for error in errors
        if error == "SIGKILL" or call not in UNFAILING
    ]


def inject(job: Job, keep: str = "") -> Result:
    """Do it, and check what is left; ``keep`` is a directory for the last attempt's files."""
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="audit-fault-") as name:
            place = Path(name).resolve()
            try:
                outcome = attempt(job.scene, place, job.fault, job.files)
            except AssertionError as error:
                return Result(job, met=True, failure=str(error)[:2000] or "an assertion failed")
            finally:
                if keep:
                    shutil.copytree(place, keep, dirs_exist_ok=True)
            if outcome.met(job.fault):
                return Result(job, met=True)
    return Result(job, met=False)


def attempt(
    scene: str, place: Path, fault: Fault | None = None, files: Sequence[str] = ()
) -> Outcome:
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
    paths = [f"{log}{path}" for path in files]

    def played(tell: Tell) -> None:
        look_always()
        play(log, tell)

    outcome = run(played, place, log, fault, paths)
    killed = outcome.status < 0 and fault is not None and fault.kills
    assert outcome.status == 0 or killed, f"it raised, or died: {outcome.output[-1500:]}"
    assert "Traceback" not in outcome.output, outcome.output[-1500:]
    try:
        check(log, before, outcome, fault)
    except Exception as error:
        told = json.dumps(outcome.told)[-300:]
        raise AssertionError(f"{type(error).__name__}: {error}; told {told}") from error
    return outcome
