"""Run ``make test`` on every Python from 3.11 up that this machine has (``make test-all``)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ASK = "import sys; print(*sys.version_info[:3], sep='.')"


def candidates() -> list[Path]:
    """Programs that may be a Python: on the path, and pyenv's."""
    found = [
        program
        for directory in os.get_exec_path()
        for program in sorted(Path(directory).glob("python3.*"))
        if program.name.removeprefix("python3.").isdigit()
    ]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return found + sorted(pyenv.glob("versions/*/bin/python"))


def pythons() -> dict[str, Path]:
    """One program for each minor version, by that version, oldest first."""
    by_version: dict[tuple[int, int], Path] = {}
    for program in candidates():
        try:
            asked = subprocess.run(
                [program, "-c", ASK], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue  # a shim of a version that is not active, or no Python at all
        major, minor = map(int, asked.stdout.split(".")[:2])
        if (major, minor) >= OLDEST:
            by_version.setdefault((major, minor), program)
    return {f"{a}.{b}": by_version[a, b] for a, b in sorted(by_version)}


def main() -> int:
    """Test with each; 1 if any of them fails, 2 if there is none."""
    found = pythons()
    if not found:
        print("no Python from 3.11 up was found")
        return 2
    failed = []
    for version, program in found.items():
        print(f"== Python {version}: {program}", flush=True)
        command = ["make", "test", f"PYTHON={program}", f"VENV=.venv-{version}"]
        if subprocess.run(command, check=False).returncode:
            failed.append(version)
    print(f"tested: {', '.join(found)}; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
