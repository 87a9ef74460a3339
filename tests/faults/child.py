"""A scene in a process of its own: for what touches descriptors, signals, forks and exits.

A scene is a function ``scene(directory, *arguments)`` of a module ``faults.scenes_…``. What it
returns comes back as JSON in a file, because its descriptors are part of what is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.sampling import EXHAUSTIVE, VARIABLE
from support.waiting import PATIENCE

from audit_emit._runtime.compiled import SWITCH

TESTS = Path(__file__).resolve().parents[1]
RESULT = "result.json"


def environment(**more: str) -> dict[str, str]:
    """Ours, with the checkout importable and without settings of the library."""
    kept = {SWITCH: os.environ.get(SWITCH, "1"), VARIABLE: str(int(EXHAUSTIVE))}
    env = {name: value for name, value in os.environ.items() if "AUDIT_EMIT" not in name} | kept
    env["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return {**env, "PYTHONWARNINGS": "default", **more}


def start(scene: Callable[..., Any], directory: Path, *arguments: str, **options: Any) -> Any:
    """The process of a scene, running; ``options`` are those of ``Popen``."""
    command = [sys.executable, "-m", "faults.child", scene.__module__, scene.__name__]
    options.setdefault("stdout", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("start_new_session", True)
    env = environment(**options.pop("env", {}))
    return subprocess.Popen([*command, str(directory), *arguments], env=env, **options)


def finish(process: subprocess.Popen[bytes], directory: Path, *, seconds: float = PATIENCE) -> Any:
    """What the scene returned, once it has ended; its traceback when it has failed."""
    try:
        _, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # With its children, which hold the other end of the pipe.
        os.killpg(process.pid, signal.SIGKILL)
        _, told = process.communicate()
        raise AssertionError(f"hung: {_text(told)}") from None
    assert process.returncode == 0, f"exit status {process.returncode}: {_text(told)}"
    result = directory / RESULT
    return json.loads(result.read_text()) if result.exists() else None


def run(scene: Callable[..., Any], directory: Path, *arguments: str, **options: Any) -> Any:
    """Play a scene to its end and return what it returned."""
    return finish(start(scene, directory, *arguments, **options), directory)


def _text(told: bytes | None) -> str:
    return (told or b"").decode(errors="replace")[-4000:]


def main() -> None:
    module, name, directory, *arguments = sys.argv[1:]
    scene = getattr(importlib.import_module(module), name)
    result = scene(Path(directory), *arguments)
    Path(directory, RESULT).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
