"""Disks that fill up, directories that go away, locks that are not given back."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from faults.child import RESULT

from audit_emit import AuditError, Emitter

NAMES = {
    "segment link": "audit.jsonl",
    "lock link": "audit.jsonl.lock",
    "segment fifo": "audit.jsonl",
}


def make(directory: Path, **settings: Any) -> Emitter:
    settings = {"stdout": False, "durability": "os", **settings}
    return Emitter(service="faults", jsonl=directory / "audit.jsonl", **settings)


def emit(emitter: Emitter, number: int, padding: int = 0) -> bool:
    fields = {"n": number, "pad": "x" * padding}
    return emitter.emit(None, "disk.event", fields) is not None


def full_disk(directory: Path) -> dict[str, Any]:
    """Fill a small file system up to the middle of a record, then make room again."""
    ballast = directory / "ballast"
    emitter = make(directory)
    emit(emitter, 0)
    space = os.statvfs(directory)
    # What is left is no multiple of a record.
    ballast.write_bytes(b"\0" * (space.f_bavail * space.f_bsize - 3 * 4096))
    written = [emit(emitter, number, 1500) for number in range(1, 31)]
    strict = ""
    try:
        emitter.emit_strict(None, "disk.event", {"strict": True, "pad": "x" * 3000})
    except AuditError as error:
        strict = error.reason
    status = emitter.health()["status"]
    ballast.unlink()
    flushed = emitter.flush(5.0)
    after = [emit(emitter, number) for number in range(31, 34)]
    return {
        "written": sum(written),
        "strict": strict,
        "status": status,
        "flushed": flushed,
        "after": after,
        "recovered": emitter.health()["status"],
    }


def full_disk_at_the_end(directory: Path) -> None:
    """Fill the small file system ``disk``, and end before there is room again."""
    disk = directory / "disk"
    emitter = make(disk)
    space = os.statvfs(disk)
    if space.f_bavail:
        (disk / "ballast").write_bytes(b"\0" * (space.f_bavail * space.f_bsize))
    for number in range(500):
        emit(emitter, number, 300)


def blocked_at_the_end(directory: Path) -> None:
    """Not even the lock file can be opened."""
    emitter = make(directory)
    for number in range(3):
        emit(emitter, number)


def limited_file_size(directory: Path) -> dict[str, Any]:
    """``RLIMIT_FSIZE`` in the middle of a record; the limit is lifted again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    emitter = make(directory)
    emit(emitter, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    written = [emit(emitter, number, 200) for number in range(1, 21)]
    reason = emitter.health()["sinks"]["jsonl"]["last_error"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return {"written": sum(written), "reason": reason, "flushed": emitter.flush(5.0)}


def unlinked_log_directory(directory: Path, how: str) -> dict[str, Any]:
    """What happens to the directory of an open log."""
    logs = directory / "logs"
    emitter = make(logs)
    for number in range(3):
        emit(emitter, number)
    logs.rename(directory / "gone")
    put_in_the_way(directory, logs, how)
    if how == "lock link":
        emitter = make(logs)  # the lock of an open log is looked at ten times a second only
    time.sleep(0.001)
    written = [emit(emitter, number) for number in range(3, 6)]
    waiting = len(emitter.outbox.backlog)
    clear_the_way(logs, how)
    return {"written": written, "waiting": waiting, "flushed": emitter.flush(5.0)}


def put_in_the_way(directory: Path, logs: Path, how: str) -> None:
    target = directory / "target"
    if how == "deleted":
        shutil.rmtree(directory / "gone")
    elif how == "file":
        logs.write_text("in the way")
    elif how == "link":
        (directory / "elsewhere").mkdir()
        logs.symlink_to(directory / "elsewhere")
    elif how in {"segment link", "lock link"}:
        logs.mkdir()
        target.write_text("precious")
        (logs / NAMES[how]).symlink_to(target)
    elif how == "segment fifo":
        logs.mkdir()
        os.mkfifo(logs / NAMES[how])


def clear_the_way(logs: Path, how: str) -> None:
    if how == "file":
        logs.unlink()
    elif how in NAMES:
        (logs / NAMES[how]).unlink()


def without_privileges(directory: Path, how: str) -> None:
    """Give up root in the middle of it; the log belongs to root."""
    directory.chmod(0o755)
    os.chdir(directory)
    # Whoever is not root need not be let into the directories above.
    logs = Path("/proc/self/cwd/logs")
    emitter = make(logs, max_bytes=4096)
    for number in range(3):
        emit(emitter, number)
    if how == "unreadable":
        logs.chmod(0o777)
        (logs / "audit.jsonl").rename(logs / f"audit-{1:020d}.jsonl")
    else:
        logs.chmod(0o755)
    result = os.open(directory / RESULT, os.O_WRONLY | os.O_CREAT)
    os.setgid(65534)
    os.setgroups([])
    os.setuid(65534)
    fresh = make(logs) if how == "new" else emitter
    written = [emit(fresh, number) for number in range(3, 23)]
    found = {
        "written": sum(written),
        "waiting": len(fresh.outbox.backlog),
        "health": fresh.health(),
    }
    os.write(result, json.dumps(found).encode())
    os._exit(0)


def hold_lock(directory: Path) -> None:
    """Take the lock of a log and freeze; give it back when continued."""
    number = os.open(directory / "audit.jsonl.lock", os.O_RDWR | os.O_CREAT, 0o640)
    fcntl.flock(number, fcntl.LOCK_EX)
    (directory / "held").touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def hooked(directory: Path, event: str) -> dict[str, Any]:
    """An audit hook (PEP 578) forbids what the log needs, with an exception of its own."""

    class ForbiddenError(Exception):
        pass

    forbids = False

    def hook(name: str, _: Any) -> None:
        if forbids and name == event:
            raise ForbiddenError("not here")

    sys.addaudithook(hook)
    emitter, other = make(directory), make(directory)
    emit(emitter, 0)
    os.rename(directory / "audit.jsonl", directory / "audit.jsonl.1")
    forbids = True
    written = [emit(emitter, number) for number in range(1, 4)]
    forbids = False
    # A lock that is left behind would stop everybody else.
    after = [emit(other, 4), emit(emitter, 5)]
    return {"written": written, "after": after, "flushed": emitter.flush(5.0)}
