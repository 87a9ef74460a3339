"""What ``doctor`` asks the machine: file systems, locks, descriptors, containers.

Each function answers one question, without changing anything that outlives it.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

NETWORK = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "afs", "vboxsf", "virtiofs")
"""Beginnings of the names of file systems whose appends and locks cannot be relied on."""

VOLATILE = {
    "tmpfs": "is in memory: a reboot deletes the log",
    "ramfs": "is in memory: a reboot deletes the log",
    "overlay": "is a container's own layer: removing the container deletes the log; mount a volume",
}


class Probe(NamedTuple):
    """Whether a temporary file in the log's directory could be written, locked and synced.

    ``sync_ms`` is the duration of one ``fsync`` in milliseconds.
    """

    writable: bool
    lock: str
    sync_ms: float | None


def nearest(path: Path) -> Path:
    """The nearest existing directory: of the path, or above it."""
    directory = path.parent
    # Not Path.is_dir, which raises where this user may not look.
    while not os.path.isdir(directory) and directory != directory.parent:
        directory = directory.parent
    return directory


def probe(directory: Path) -> Probe:
    """Try to write, lock and sync in ``directory``, with a file that has no name or loses it."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"doctor")
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            elapsed = (time.perf_counter() - began) * 1000
            return Probe(writable=True, lock=_lock(file.fileno()), sync_ms=round(elapsed, 2))
    except OSError as error:
        return Probe(writable=False, lock=f"unknown: {error.strerror}", sync_ms=None)


def _lock(fd: int) -> str:
    try:
        import fcntl  # noqa: PLC0415 - not on every platform
    except ImportError:
        return "not on this platform"
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError as error:
        return f"fails: {error.strerror}"
    return "works"


def file_system(directory: Path) -> str:
    """The type of the file system, from ``/proc/self/mountinfo``; ``unknown`` without one."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return "unknown"
    real = os.path.realpath(directory)
    best, found = "", "unknown"
    for line in mounts.rstrip("\n").split("\n"):
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # A later mount on the same point covers the earlier one.
        if inside and len(point) >= len(best):
            best, found = point, right.split(" ")[0]
    return found


def non_blocking_writes() -> str:
    """Whether one write to a full pipe can be told not to wait (``pwritev``, ``RWF_NOWAIT``)."""
    if not hasattr(os, "pwritev") or not hasattr(os, "RWF_NOWAIT"):
        return "not on this platform; a pipe is asked first whether it has room"
    reader, writer = os.pipe()
    try:
        os.pwritev(writer, [b"x"], -1, os.RWF_NOWAIT)
    except OSError as error:
        return f"not here ({error.strerror}); a pipe is asked first whether it has room"
    finally:
        os.close(reader)
        os.close(writer)
    return "works"


def what_is(fd: int) -> str:
    """``pipe``, ``socket``, ``file``, ``terminal``, ``null``, ``device`` or ``closed``."""
    try:
        state = os.fstat(fd)
    except OSError:
        return "closed"
    for test, name in ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISREG, "file")):
        if test(state.st_mode):
            return name
    if os.isatty(fd):
        return "terminal"
    null = os.stat(os.devnull)
    return "null" if os.path.samestat(state, null) else "device"


def surroundings(environ: Mapping[str, str]) -> list[str]:
    """What runs this process, as far as it can be recognised: ``ecs``, ``docker``, ``journald``."""
    signs = {
        "ecs": any(name.startswith("ECS_CONTAINER_METADATA_URI") for name in environ),
        "kubernetes": "KUBERNETES_SERVICE_HOST" in environ,
        "docker": Path("/.dockerenv").exists(),
        "podman": Path("/run/.containerenv").exists(),
        "journald": "JOURNAL_STREAM" in environ,
    }
    return [name for name, there in signs.items() if there]


def mode_of(path: Path) -> str | None:
    """The permission bits as ``0640``; ``None`` when there is no such file."""
    try:
        return f"{stat.S_IMODE(os.lstat(path).st_mode):04o}"
    except OSError:
        return None


def link_in(path: Path) -> Path | None:
    """The first symbolic link on the way to ``path``, the path itself included."""
    for part in (*reversed(path.parents), path):
        if os.path.islink(part):  # Path.is_symlink raises where this user may not look
            return part
    return None


def python() -> str:
    """The interpreter, with what changes how threads and locks behave."""
    version = sys.version.split(" ", 1)[0]
    free = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else ", free-threaded"
    return f"{sys.implementation.name} {version}{free}"
