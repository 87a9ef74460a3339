"""Run ``make test`` on every Python from 3.11 up that this machine has (``make test-all``)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ASK = (
    "import sys, sysconfig\n"
    "threaded = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''\n"
    "print(*sys.version_info[:3], threaded)"
)
NAME = re.compile(r"python3\.\d+t?")
CLASSIFIER = re.compile(r'"Programming Language :: Python :: (3\.\d+)"')
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def supported() -> list[str]:
    """The versions that the project says it supports."""
    return CLASSIFIER.findall(PROJECT.read_text(encoding="utf-8"))


def candidates() -> list[Path]:
    """Programs that may be a Python: on the path, and pyenv's."""
    found = [
        program
        for directory in os.get_exec_path()
        for program in found_in(Path(directory), "python3.*")
        if NAME.fullmatch(program.name)
    ]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [*found, *found_in(pyenv, "versions/*/bin/python")]


def found_in(directory: Path, pattern: str) -> list[Path]:
    """What there is, in a directory that may be closed to this user: nothing then."""
    try:
        return sorted(directory.glob(pattern))
    except OSError:
        return []


def pythons() -> dict[str, Path]:
    """One program for each version, oldest first: 3.11.2 has faults that 3.11.7 has not.

    ``3.13.0t`` is 3.13.0 without the global lock.
    """
    found: dict[tuple[int, int, int, str], Path] = {}
    for program in candidates():
        try:
            asked = subprocess.run(
                [program, "-c", ASK], capture_output=True, text=True, timeout=120, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue  # a shim of a version that is not active, or no Python at all
        major, minor, micro, *threaded = asked.stdout.split()
        version = (int(major), int(minor), int(micro), "".join(threaded))
        if version[:2] >= OLDEST:
            found.setdefault(version, program)
    return {f"{a}.{b}.{c}{t}": found[a, b, c, t] for a, b, c, t in sorted(found)}


def tried(version: str, program: Path) -> str:
    """How the tests go with one."""
    print(f"== Python {version}: {program}", flush=True)
    environment = f".venv-{version}"
    settings = [f"PYTHON={program}", f"VENV={environment}"]
    if subprocess.run(["make", f"{environment}/.installed", *settings], check=False).returncode:
        return "FAILED: it could not be set up"
    if subprocess.run(["make", "test", *settings], check=False).returncode:
        return "FAILED"
    return "passed"


def main() -> int:
    """Test with each; 1 if any of them fails, 2 if there is none."""
    found = pythons()
    told = {version: tried(version, program) for version, program in found.items()}
    for version in supported():
        if not any(each.startswith(f"{version}.") for each in found):
            told[version] = "not tested: not found on this machine"
    for version in sorted(told, key=lambda each: [int(n) for n in each.rstrip("t").split(".")]):
        print(f"Python {version}: {told[version]}")
    if not found:
        print("no Python from 3.11 up was found", file=sys.stderr)
        return 2
    return 1 if any(outcome.startswith("FAILED") for outcome in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
