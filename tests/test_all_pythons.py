"""What ``make test-all`` says of each Python, of programs that claim to be one and of real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redaction.test_redactor import CLEAN, TEXTS
from support import all_pythons
from support.waiting import PATIENCE

import audit_emit
from audit_emit._redaction.redactor import Redactor

PACKAGE = Path(audit_emit.__file__).parent

SCRIPT = Path(__file__).parent / "support" / "all_pythons.py"


class Machine:
    """A directory of programs that is the whole search path."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bin"
        self.path.mkdir()
        self.makes("exit 0")

    def has(self, name: str, says: str) -> None:
        self._program(name, f"echo '{says}'")

    def makes(self, commands: str) -> None:
        self._program("make", commands)

    def _program(self, name: str, commands: str) -> None:
        program = self.path / name
        program.write_text(f"#!/bin/sh\n{commands}\n")
        program.chmod(0o755)

    def test_all(self) -> tuple[int, list[str]]:
        """The exit status, and what is told of each."""
        done = subprocess.run(
            [sys.executable, SCRIPT],
            env={"PATH": str(self.path), "PYENV_ROOT": str(self.path.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.returncode, [
            line for line in done.stdout.splitlines() if line.startswith("Python ")
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_every_python_is_tested_and_one_that_is_missing_is_named(machine: Machine) -> None:
    machine.has("python3.13", "3 13 1")
    machine.has("python3.11", "3 11 1")
    assert machine.test_all() == (
        0,
        [
            "Python 3.11.1: passed",
            "Python 3.12: not tested: not found on this machine",
            "Python 3.13.1: passed",
        ],
    )


def test_one_that_fails_fails_all(machine: Machine) -> None:
    for minor in (11, 12, 13):
        machine.has(f"python3.{minor}", f"3 {minor} 1")
    machine.makes('case "$*" in "test "*python3.12*) exit 2;; esac')
    assert machine.test_all() == (
        1,
        ["Python 3.11.1: passed", "Python 3.12.1: FAILED", "Python 3.13.1: passed"],
    )


def test_one_that_cannot_be_set_up_is_no_success(machine: Machine) -> None:
    machine.has("python3.11", "3 11 1")
    machine.makes('case "$*" in *.installed*) exit 2;; esac')
    status, told = machine.test_all()
    assert (status, told[0]) == (1, "Python 3.11.1: FAILED: it could not be set up")


def test_what_is_older_or_no_python_is_passed_over(machine: Machine) -> None:
    machine.has("python3.10", "3 10 1")
    machine.has("python3.11-config", "3 11 1")
    machine.has("python3.12", "3 12 1")
    machine.has("python3.14", "3 14 1")
    status, told = machine.test_all()
    assert status == 0
    assert [line for line in told if line.endswith("passed")] == [
        "Python 3.12.1: passed",
        "Python 3.14.1: passed",
    ]


def test_a_build_without_the_global_lock_is_tested_beside_the_other(machine: Machine) -> None:
    machine.has("python3.13", "3 13 1")
    machine.has("python3.13t", "3 13 1 t")
    status, told = machine.test_all()
    assert status == 0
    assert told[-2:] == ["Python 3.13.1: passed", "Python 3.13.1t: passed"]


def test_a_machine_without_any_is_an_error(machine: Machine) -> None:
    assert machine.test_all()[0] == 2


def test_two_of_one_minor_version_are_both_tested(machine: Machine, tmp_path: Path) -> None:
    machine.has("python3.11", "3 11 7")
    other = tmp_path / "versions" / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho '3 11 2'\n")
    other.chmod(0o755)
    assert machine.test_all()[1][:2] == ["Python 3.11.2: passed", "Python 3.11.7: passed"]


READ_AND_SCRUB = """
import json, sys, types
package = types.ModuleType("audit_emit")  # without what it imports: msgspec may not be there
package.__path__ = [sys.argv[1]]
sys.modules["audit_emit"] = package
from audit_emit._redaction.redactor import Redactor
redactor = Redactor()
print(json.dumps([redactor.scrub(text) for text in json.load(sys.stdin)]))
"""


def test_every_python_that_is_here_holds_the_same_secrets_back() -> None:
    texts = [*(text for text, _ in TEXTS), *CLEAN]
    expected = [Redactor().scrub(text) for text in texts]
    found = all_pythons.pythons()
    assert found
    for version, program in found.items():
        done = subprocess.run(
            [program, "-I", "-B", "-W", "error", "-c", READ_AND_SCRUB, PACKAGE],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, (version, done.stderr)
        assert json.loads(done.stdout) == expected, version
