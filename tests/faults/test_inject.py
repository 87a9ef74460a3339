"""A sample of what ``make fault`` does whole: system calls that fail or kill, by ``strace``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from faults.child import environment
from faults.injection import Job
from faults.scenes_strace import SCENES
from faults.strace import Fault
from support import requirements
from support.waiting import PATIENCE

INJECT = Path(__file__).with_name("inject.py")
SAMPLES = {
    "emit": (["emit", "emit-group", "emit-torn"], 32),
    "rotate": (["rotate", "rotate-group", "rotate-resumed"], 64),
    "checkpoint": (["checkpoint"], 48),
    "repair": (["repair"], 48),
}
"""The scenes of each, and which part of their injections: one in so many."""


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(INJECT), "--rounds", "0", "--jobs", "1", *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def sample(*arguments: str) -> str:
    """What a run prints, without rounds; a skip where nothing can be traced."""
    done = run(*arguments)
    if done.returncode == 2:
        requirements.missing("strace", done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("scenes", "every"), SAMPLES.values(), ids=SAMPLES)
def test_no_system_call_that_fails_or_kills_costs_a_record(scenes: list[str], every: int) -> None:
    named = [argument for scene in scenes for argument in ("--scenario", scene)]
    told = sample(*named, "--every", str(every))
    counted = re.search(r"(\d+) of \d+ injections done .* 0 failed, .* 0 cut by the budget", told)
    assert counted is not None, told
    assert int(counted[1]) > 8


def test_every_scene_has_its_sample() -> None:
    assert {scene for scenes, _ in SAMPLES.values() for scene in scenes} == set(SCENES)


def test_what_repeats_an_injection_does_so() -> None:
    job = Job("rotate", Fault("rename", 2, "SIGKILL"), ())
    told = sample(*job.command().split()[2:])
    assert "1 of 1 injections done" in told


def test_without_strace_it_says_so(tmp_path: Path) -> None:
    done = run("--scenario", "emit", PATH=str(tmp_path))
    assert done.returncode == 2
    assert "strace is not installed" in done.stderr
