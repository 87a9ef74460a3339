"""A removal that is killed, or whose system calls fail, at every call that changes a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.prunable_log import PrunableLog

CALLS = ("unlink", "fsync", "fdatasync", "write", "open", "link", "rename", "mkdir")


def disturb(at: int, what: Callable[[], None]) -> None:
    """Let the ``at``-th of these calls do something else first."""
    count = 0

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                what()
            return real(*args, **more)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))


def apart(work: Callable[[], Any]) -> tuple[Any, int]:
    """What work returns in a process of its own, and the signal that ended that; ``None`` and 0."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return (json.loads(said) if said else None), killed


def everywhere(directory: Path, every: str, error: str) -> list[dict[str, Any]]:
    """What came of a removal that was disturbed at one call after the other.

    Args:
        directory: for the logs.
        every: only every so many-th call.
        error: the number of an error that the call raises; empty: the process is killed.
    """
    apart(lambda: PrunableLog(directory / "whole", records=120, part=30) and None)
    whole = PrunableLog.at(directory / "whole", records=120)
    found: list[dict[str, Any]] = []
    for at in range(1, 10_000, int(every)):
        log = whole.copy(directory / "log")
        said, killed = apart(lambda log=log, at=at: _disturbed(log, at, error))  # type: ignore[misc]
        if said == "undisturbed":
            shutil.rmtree(log.path)
            return found
        before, _ = apart(lambda log=log: _state(log))  # type: ignore[misc]
        again, _ = apart(lambda log=log: _again(log))  # type: ignore[misc]
        found.append({"at": at, "said": said, "killed": killed, "before": before, "after": again})
        shutil.rmtree(log.path)
    raise AssertionError("it never came to its end")


def _disturbed(log: PrunableLog, at: int, error: str) -> str:
    done = []

    def what() -> None:
        done.append(at)
        if not error:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(int(error), os.strerror(int(error)))

    disturb(at, what)
    try:
        log.prune(3)
    except Exception as failed:
        return f"{type(failed).__name__}: {failed}"
    return "done" if done else "undisturbed"


def _state(log: PrunableLog) -> dict[str, Any]:
    report = log.verify()
    return {"status": report.exit_status, "first": report.first_seq, "counts": dict(report.counts)}


def _again(log: PrunableLog) -> dict[str, Any]:
    log.prune(3)
    data = b"".join(path.read_bytes() for path in [*log.segments(), log.active])
    left = sorted(path.name for path in log.path.iterdir() if path.name.startswith("prune"))
    return {**_state(log), "declared": data.count(b'"audit.pruned"'), "left": left}
