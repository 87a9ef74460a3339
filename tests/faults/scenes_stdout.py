"""What standard output can be, and what can happen to it. Each scene runs in its own process."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import resource
import select
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from support.waiting import PATIENCE, until

from audit_emit import Emitter
from audit_emit._core import gap_pace
from audit_emit._runtime import duplicates
from audit_emit._runtime import nonblocking_fd as descriptor


def make(directory: Path, how: str = "nowait", **settings: Any) -> Emitter:
    if how == "poll":
        descriptor.NOWAIT = 0
    settings = {"durability": "os", **settings}
    return Emitter(service="faults", jsonl=directory / "audit.jsonl", **settings)


def emit(emitter: Emitter, number: int, padding: int = 0) -> bool:
    """Whether the thread went to sleep meanwhile, for whatever it waited."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    emitter.emit(None, "pipe.event", {"n": number, "pad": "x" * padding})
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw > before


def result(emitter: Emitter, waits: list[bool], flags: int) -> dict[str, Any]:
    health = emitter.health()
    return {
        # Some meet another thread or a busy disk; a reader that stopped is met by each.
        "waited": sum(waits) > len(waits) // 4,
        "flushed": emitter.flush(),
        "stdout": health["sinks"]["stdout"],
        "counters": health["counters"],
        "flags": (flags, fcntl.fcntl(1, fcntl.F_GETFL)) if flags >= 0 else (0, 0),
    }


def _flags() -> int:
    try:
        return fcntl.fcntl(1, fcntl.F_GETFL)
    except OSError:
        return -1


def plain(directory: Path, how: str, count: str, padding: str = "0") -> dict[str, Any]:
    """Emit to whatever descriptor 1 is."""
    flags = _flags()
    emitter = make(directory, how)
    waits = [emit(emitter, number, int(padding)) for number in range(int(count))]
    return result(emitter, waits, flags)


def on_command(directory: Path, how: str, count: str) -> dict[str, Any]:
    """Emit so many at each line of stdin, and answer on stderr; declare at the end."""
    emitter = make(directory, how)
    waits = []
    number = 0
    for _ in sys.stdin:
        for _ in range(int(count)):
            waits.append(emit(emitter, number, 100))
            number += 1
        sys.stderr.write("done\n")
        sys.stderr.flush()
    return result(emitter, waits, _flags())


def at_the_bound(directory: Path, how: str) -> list[int]:
    """One line of exactly 4096 bytes and one of 4097, prefix and newline included.

    Returns:
        The bytes of both records in the file.
    """
    emitter = make(directory, how)
    path = directory / "audit.jsonl"

    def size(number: int, padding: int) -> int:
        before = path.stat().st_size if path.exists() else 0
        emit(emitter, number, padding)
        return path.stat().st_size - before

    emit(emitter, 1, 0)
    room = 4096 - len(b"audit: ") - size(2, 0)
    return [size(3, room), size(4, room + 1)]


def closed(directory: Path, when: str) -> dict[str, Any]:
    """Descriptor 1 is closed before or after the emitter is made."""
    if when == "before":
        os.close(1)
    emitter = make(directory)
    emit(emitter, 0)
    if when == "after":
        os.close(1)
    time.sleep(0.001)
    waits = [emit(emitter, number) for number in range(1, 5)]
    return result(emitter, waits, -1)


def reused(directory: Path, by: str) -> dict[str, Any]:
    """Descriptor 1 is closed, and its number goes to something of the application's."""
    emitter = make(directory)
    emit(emitter, 0)
    assert emitter.flush(PATIENCE)
    back = os.dup(1)
    mine = directory / "application.txt"
    peer = None
    if by == "socket":
        ours, peer = socket.socketpair()
        peer.setblocking(False)
        os.close(1)
        assert os.dup(ours.fileno()) == 1
    elif by == "dup2-socket":
        ours, peer = socket.socketpair()
        peer.setblocking(False)
        os.dup2(ours.fileno(), 1)
    else:
        os.close(1)
        assert os.open(mine, os.O_RDWR | os.O_CREAT, 0o600) == 1
    time.sleep(0.001)
    waits = [emit(emitter, number) for number in range(1, 5)]
    got = b""
    if peer is not None:
        try:
            got = peer.recv(1000)
        except BlockingIOError:
            pass
    else:
        got = mine.read_bytes()
    os.dup2(back, 1)
    time.sleep(0.001)
    emit(emitter, 5)
    emitter.flush()
    return {**result(emitter, waits, -1), "got": len(got)}


def reopened(directory: Path, by: str) -> dict[str, Any]:
    """Descriptor 1 is put to something else by ``dup2``, and put back."""
    emitter = make(directory)
    emit(emitter, 0)
    assert emitter.flush(PATIENCE)
    back = os.dup(1)
    mine = directory / "log.txt"
    read_end = -1
    if by == "file":
        number = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    elif by == "pipe":
        read_end, number = os.pipe()
    elif by == "terminal":
        read_end, number = pty.openpty()
    else:
        number = os.open(os.devnull, os.O_WRONLY)
    os.dup2(number, 1)
    time.sleep(0.002)
    waits = [emit(emitter, number) for number in range(1, 5)]
    before = emitter.health()["status"]
    if by == "file":
        got = mine.read_bytes()
    else:
        got = b""
        while read_end >= 0 and got.count(b"\n") < 4:
            # A terminal hands on what it got in parts, and when it comes to it.
            assert select.select([read_end], [], [], 60)[0], got
            got += os.read(read_end, 1 << 16)
    os.dup2(back, 1)
    time.sleep(0.002)
    emit(emitter, 5)
    told = [json.loads(line.partition(b" ")[2])["fields"]["n"] for line in got.splitlines()]
    return {**result(emitter, waits, -1), "got": told, "before": before}


def closing(directory: Path) -> dict[str, Any]:
    """The duplicate of descriptor 1 is closed again and again, and its number wanted by others."""
    emitter = make(directory)
    sink = emitter.mirror
    assert sink is not None
    stream = (directory / "theirs").open("wb")
    threads = [threading.Thread(target=_emit_all, args=(emitter, 1000 * n)) for n in range(3)]
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sink.close()
        mine = [
            fcntl.fcntl(stream.fileno(), fcntl.F_DUPFD_CLOEXEC, duplicates.HIGH) for _ in range(3)
        ]
        for number in mine:
            os.close(number)
    stream.close()
    emitter.flush()
    theirs = (directory / "theirs").stat().st_size
    return {"theirs": theirs, "lost": emitter.counters.stdout_lost}


def _emit_all(emitter: Emitter, first: int) -> None:
    for number in range(first, first + 300):
        emit(emitter, number)


def outage(directory: Path) -> dict[str, Any]:
    """Descriptor 1 is a connection for longer than gaps are apart, and then put back."""
    gap_pace._SECONDS = 0.02
    emitter = make(directory)
    emit(emitter, 0)
    assert emitter.flush(PATIENCE)
    back = os.dup(1)
    ours, _peer = socket.socketpair()
    os.dup2(ours.fileno(), 1)
    time.sleep(0.002)
    for number in range(1, 16):
        emit(emitter, number)
        time.sleep(0.01)
    lost = emitter.counters.stdout_lost
    during = (directory / "audit.jsonl").read_bytes().count(b'"audit.gap"')
    os.dup2(back, 1)
    until(lambda: emitter.health()["status"] == "ok")
    return {"lost": lost, "during": during}


def to_stderr(directory: Path) -> dict[str, Any]:
    """Lines go to standard error."""
    emitter = make(directory, stdout="stderr")
    waits = [emit(emitter, number) for number in range(5)]
    return result(emitter, waits, -1)


def python_stdout(directory: Path, kind: str) -> dict[str, Any]:
    """``sys.stdout`` is not what descriptor 1 is."""
    if kind == "none":
        sys.stdout = None
    else:
        sys.stdout = io.StringIO()
    emitter = make(directory)
    waits = [emit(emitter, number) for number in range(3)]
    return result(emitter, waits, -1)


def partial_line(directory: Path) -> None:
    """The application prints a line without its end."""
    emitter = make(directory)
    print("50%", end="", flush=True)
    emit(emitter, 0)


def wide(directory: Path) -> None:
    """A cap of a megabyte, for a container of one process."""
    emitter = make(directory, stdout_max_bytes=1 << 20)
    emit(emitter, 0, 8000)
    emit(emitter, 1, 0)


def wide_threads(directory: Path) -> None:
    """Threads share a pipe that takes their lines in part."""
    emitter = make(directory, stdout_max_bytes=1 << 16)

    def work(first: int) -> None:
        for number in range(first, first + 100):
            emit(emitter, number, 700 * (1 + number % 9))

    threads = [threading.Thread(target=work, args=(1000 * index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert emitter.close(PATIENCE), emitter.health()
