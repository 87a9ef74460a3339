"""Which tests are in which tier."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import tiers
from support.waiting import PATIENCE

CONFTEST = "from support import tiers; from support.tiers import *; tiers.SECONDS = -1.0"
"""Every test is a slow one there."""
TESTS = """
import os, socket, subprocess, threading
import pytest
from support.tiers import starts_a_server

@pytest.fixture
@starts_a_server
def database():
    return 1

@pytest.fixture
def table(database):
    return 2

@starts_a_server
def started():
    return 3

def test_computes():
    assert 1 + 1 == 2

@pytest.mark.thorough
def test_computes_for_long():
    assert 1 + 1 == 2

def test_runs_a_process():
    subprocess.run(["true"], check=True)

def test_forks():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

def test_listens():
    socket.create_server(("127.0.0.1", 0)).close()

def test_makes_something_else_of_it():
    try:
        subprocess.run(["true"], check=True)
    except BaseException:
        raise AssertionError from None

def test_runs_one_in_a_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(subprocess.run(["true"], check=True)))
    thread.start()
    thread.join()
    assert done

def test_asks_a_table(table):
    assert table == 2

def test_starts_a_server_itself():
    assert started() == 3
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("project")
    (place / "conftest.py").write_text(CONFTEST)
    (place / "test_it.py").write_text(TESTS)
    (place / "apps").mkdir()
    (place / "apps" / "test_app.py").write_text("def test_an_app(): assert True")
    return place


def run(project: Path, *options: str) -> str:
    """What pytest says; no test failed."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
    path = ["-o", f"pythonpath={Path(tiers.__file__).parents[1]}", "--rootdir", str(project)]
    warnings = ["-p", "no:threadexception"]
    done = subprocess.run(
        [*command, *path, *warnings, str(project)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(project: Path, *options: str) -> set[str]:
    """The tests that passed."""
    return set(re.findall(r"::test_(\w+) PASSED", run(project, *options)))


SERVERS = {"asks_a_table", "starts_a_server_itself"}


def test_the_quickest_tier_is_what_starts_no_process_and_is_not_marked(project: Path) -> None:
    assert passed(project, "--fast") == {"computes"}


def test_what_is_too_slow_for_it_is_named(project: Path) -> None:
    told = run(project, "--fast", "-k", "computes")
    assert "to be marked as thorough: test_it.py::test_computes (" in told


def test_what_uses_a_server_is_marked(project: Path) -> None:
    assert passed(project, "-m", "server") == SERVERS
    others = {*re.findall(r"def test_(\w+)", TESTS), "an_app"} - SERVERS
    assert passed(project, "-m", "not server") == others
