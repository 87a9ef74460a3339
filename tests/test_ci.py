"""``.ci/tests`` asks a few tests again, and only where all of them have run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import PATIENCE

TESTS = Path(__file__).parents[1] / ".ci" / "tests"
MAKEFILE = """
beside-others:
\t@mkdir -p .pytest_cache/v/cache
\t@echo '{failed}' >.pytest_cache/v/cache/lastfailed
\t@exit {status}
"""
ONE = '{"test_it.py::test_alone": true}'
PASSES = "def test_alone(): pass\n"
FAILS_THE_THIRD_TIME = """
from pathlib import Path

def test_alone():
    with Path("runs").open("a+") as runs:
        runs.write("x")
        assert runs.tell() != 3
"""


def asked_again(place: Path, failed: str, status: int, test: str = PASSES) -> tuple[bool, str]:
    """Whether a target whose pytest ends so passes, and what was printed."""
    place.joinpath(".ci").mkdir()
    shutil.copy(TESTS, place / ".ci")
    place.joinpath("Makefile").write_text(MAKEFILE.format(failed=failed, status=status))
    place.joinpath("test_it.py").write_text(test)
    done = subprocess.run(
        ["env", f"VENV={sys.prefix}", ".ci/tests", "beside-others"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_one_that_passes_by_itself_is_named(tmp_path: Path) -> None:
    passed, told = asked_again(tmp_path, ONE, 1)
    assert passed, told
    assert "passed by themselves:\ntest_it.py::test_alone\n" in told


def test_one_that_fails_again_by_chance_has_failed(tmp_path: Path) -> None:
    passed, told = asked_again(tmp_path, ONE, 1, FAILS_THE_THIRD_TIME)
    assert not passed, told
    assert (tmp_path / "runs").read_text() == "xxx"


@pytest.mark.parametrize(
    ("failed", "status"),
    [(ONE, 2), (ONE, 3), ('{"test_it.py::test_alone": true, "gw1": true}', 1)],
    ids=["interrupted", "crashed", "collected-otherwise"],
)
def test_where_not_all_have_run_none_is_asked_again(
    tmp_path: Path, failed: str, status: int
) -> None:
    passed, told = asked_again(tmp_path, failed, status)
    assert not passed, told
    assert "times more" not in told


def test_the_demo_installs_nothing_that_only_tests_need(tmp_path: Path) -> None:
    said = ["make", "--dry-run", "demo", f"VENV={tmp_path / 'none'}"]
    done = subprocess.run(said, cwd=TESTS.parents[1], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
    assert "--group dev" not in done.stdout
