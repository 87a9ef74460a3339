"""Processes that fork at the worst moment. Each scene runs in a process of its own."""

from __future__ import annotations

import _thread
import fcntl
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from faults.injector import Interrupter
from faults.prepared import STATES
from faults.prepared import make as make_prepared
from support.interpreted_emitter import interpreted
from support.sampling import places
from support.waiting import PATIENCE

import audit_emit
from audit_emit import Emitter
from audit_emit._stores.jsonl import whole_lines

CHILDREN = 4
EVENTS = 20


def make(directory: Path, **settings: Any) -> Emitter:
    settings = {"stdout": False, "durability": "os", **settings}
    return Emitter(service="faults", jsonl=directory / "audit.jsonl", **settings)


def fork(work: Callable[[], Any]) -> int:
    """The process id of a child that does some work and ends without any clean-up."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException as error:
        os.write(2, f"child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def join(*pids: int) -> list[int]:
    """Their exit statuses."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def emit_some(emitter: Emitter, first: int, count: int = EVENTS) -> None:
    for number in range(first, first + count):
        emitter.emit(None, "fork.event", {"n": number, "pid": os.getpid()})
    assert emitter.flush(PATIENCE), emitter.health()


class HeldWrite:
    """``os`` for the segment, whose next write waits in the middle of the critical section."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, number: int, data: bytes) -> int:
        if not self.entered.is_set():
            self.entered.set()
            self.release.wait(PATIENCE)
        return os.write(number, data)


def lock_held(directory: Path) -> dict[str, Any]:
    """Fork while another thread is in the middle of a write, with both locks."""
    emitter = interpreted(make(directory))
    emitter.emit(None, "fork.event", {"n": 0})
    held = HeldWrite()
    with patch.object(whole_lines, "os", held):
        writer = threading.Thread(target=emitter.emit, args=(None, "fork.event", {"n": 1}))
        writer.start()
        assert held.entered.wait(PATIENCE)
        reply, told = os.pipe()

        def work() -> None:
            begun = time.monotonic()
            emitter.emit(None, "fork.event", {"n": 2})
            os.write(told, f"{time.monotonic() - begun}".encode())
            emit_some(emitter, 3, 2)

        pid = fork(work)
        took = float(os.read(reply, 100))
        held.release.set()
        writer.join()
        statuses = join(pid)
    emitter.close()
    return {"took": took, "statuses": statuses}


def holder_dies(directory: Path) -> list[int]:
    """Fork in the middle of a write, and lose the parent there: its lock must not survive in us."""

    def parent() -> None:
        emitter = interpreted(make(directory))
        emitter.emit(None, "fork.event", {"n": 0})
        held = HeldWrite()
        with patch.object(whole_lines, "os", held):
            writer = threading.Thread(target=emitter.emit, args=(None, "fork.event", {"n": 1}))
            writer.start()
            assert held.entered.wait(PATIENCE)
            survivor = fork(lambda: os.read(wait_here, 1))
            os.write(told, b"%d" % survivor)
            os.kill(os.getpid(), signal.SIGKILL)

    reply, told = os.pipe()
    wait_here, go_on = os.pipe()
    statuses = join(fork(parent))
    survivor = int(os.read(reply, 20))
    try:
        emit_some(make(directory), 2, 2)
    finally:
        os.kill(survivor, signal.SIGKILL)
        os.write(go_on, b"x")
    return statuses


def busy_parent(directory: Path) -> list[int]:
    """Fork again and again while two threads emit without a pause."""
    emitter = make(directory)
    stop = threading.Event()

    def hammer(first: int) -> None:
        number = first
        while not stop.is_set() or number < first + EVENTS:
            emitter.emit(None, "fork.hammer", {"h": number})
            number += 1

    threads = [threading.Thread(target=hammer, args=(i * 1_000_000,)) for i in range(2)]
    for thread in threads:
        thread.start()
    pids = [fork(lambda i=i: emit_some(emitter, i * EVENTS)) for i in range(8)]  # type: ignore[misc]
    statuses = join(*pids)
    stop.set()
    for thread in threads:
        thread.join()
    assert emitter.close(PATIENCE)
    return statuses


def in_signal_handler(directory: Path, returning: str) -> dict[str, Any]:
    """Fork in a signal handler that interrupts emit; the child ends there, or goes on."""
    emitter = make(directory)
    pids: list[int] = []
    parent = os.getpid()

    def handler(number: int, frame: FrameType | None) -> None:
        first = 1_000_000 + len(pids) * 10
        pid = os.fork()
        if pid:
            pids.append(pid)
            if len(pids) < 40:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
            return
        emitter.emit(None, "fork.event", {"n": first})
        if not returning:
            os._exit(0 if emitter.flush(10.0) else 1)

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    number = 0
    while os.getpid() == parent and len(pids) < 40:
        emitter.emit(None, "fork.event", {"n": number})
        number += 1
    if os.getpid() != parent:
        os._exit(0 if emitter.flush(10.0) else 1)
    statuses = join(*pids)
    emitter.close()
    return {"statuses": statuses, "events": number, "children": len(pids)}


def _fork_and_wait(
    children: list[int], reader: int, writer: int, emit: Callable[[], object]
) -> None:
    """Fork; the child emits, and returns when the parent closes ``writer``."""
    children.append(os.fork())
    if not children[0]:
        os.close(writer)
        emit()
        os.read(reader, 1)


def _open_files(directory: Path) -> int:
    """How many files below a directory are open: a log, and its lock."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link).startswith(f"{directory.resolve()}/") for link in links)


def at_every_place(directory: Path, state: str) -> dict[str, Any]:
    """A handler forks at each place of emit, and returns in the child, which goes on from there.

    The child goes on when the parent is far ahead: whatever it does without the lock then, shows.
    Every other one emits first, so that the numbers of its parent's descriptors are its own files.
    """
    emitter = make_prepared(directory / "audit.jsonl")
    "".encode("unicode_escape")  # imported here, and not by every child for its first complaint
    parent = os.getpid()
    failed = []
    for at in places():
        STATES[state](emitter)
        children: list[int] = []
        reader, writer = os.pipe()
        inner = partial(emitter.emit, None, "fork.inner", {"n": at}) if at % 2 else bool
        interrupter = Interrupter(partial(_fork_and_wait, children, reader, writer, inner), at)
        interrupter.run(partial(emitter.emit, None, "fork.event", {"n": at}))
        if os.getpid() != parent:
            emitter.emit(None, "fork.child", {"n": at})
            if not emitter.flush(10.0):
                os._exit(1)
            # More than one lock, and its parent's is among them: nobody else gets it any more.
            os._exit(2 if _open_files(directory) > 2 else 0)
        emitter.emit(None, "fork.parent", {"n": at})
        os.close(reader)
        os.close(writer)
        if not interrupter.where:
            break
        if join(*children) != [0]:
            failed.append(interrupter.where)
    assert emitter.flush(PATIENCE), emitter.health()
    emitter.close()
    return {"places": at, "failed": failed}


def thread_begins(directory: Path, durability: str) -> dict[str, Any]:
    """A handler forks while emit begins a thread, and returns: the child is without that thread."""
    emitter = make(directory, durability=durability)
    begin = _thread.start_new_thread
    parent = os.getpid()
    pids: list[int] = []

    def interrupted(function: Callable[..., object], arguments: tuple[Any, ...]) -> int:
        if os.getpid() == parent:
            pids.append(os.fork())
        return begin(function, arguments) if pids[-1] else 0

    blocked = directory / "deep"
    blocked.touch()
    waiting = Emitter(service="faults", jsonl=blocked / "audit.jsonl", stdout=False)
    with patch.object(_thread, "start_new_thread", interrupted):
        if durability == "os":
            waiting.emit(None, "fork.event", {"n": 0})
        else:
            emitter.emit(None, "fork.event", {"n": 0})
    if os.getpid() != parent:
        emitter.emit(None, "fork.event", {"n": 1})
        os._exit(0 if emitter.flush(10.0) else 1)
    statuses = join(*pids)
    blocked.unlink()
    return {"statuses": statuses, "flushed": emitter.close() and waiting.close()}


def _worker(directory: str, first: int) -> None:
    if audit_emit._core.default._current is None:
        audit_emit.configure(service="faults", jsonl=f"{directory}/audit.jsonl", stdout=False)
    emitter = audit_emit._core.default.get_emitter()
    emit_some(emitter, first)


def multiprocessed(directory: Path, method: str) -> list[int | None]:
    """The workers of ``multiprocessing``; under ``fork`` they inherit a used emitter."""
    emitter = audit_emit.configure(service="faults", jsonl=directory / "audit.jsonl", stdout=False)
    emit_some(emitter, 1000, 1)
    context: Any = multiprocessing.get_context(method)
    workers = [
        context.Process(target=_worker, args=(str(directory), i * EVENTS)) for i in range(CHILDREN)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]


def backlog_at_fork(directory: Path) -> dict[str, Any]:
    """Events wait when the child is made: they are the parent's to write, and only its."""
    blocked = directory / "deep"
    blocked.touch()
    emitter = Emitter(
        service="faults", jsonl=blocked / "audit.jsonl", stdout=False, durability="os"
    )
    for number in range(5):
        assert emitter.emit(None, "fork.event", {"n": number}) is None
    waiting = len(emitter.outbox.backlog)
    reply, told = os.pipe()

    def work() -> None:
        os.write(told, b"%d\n" % len(emitter.outbox.backlog))
        emit_some(emitter, 100, 2)

    blocked.unlink()
    pid = fork(work)
    statuses = join(pid)
    assert emitter.flush(PATIENCE)
    emitter.close()
    return {"parent": waiting, "child": int(os.read(reply, 20)), "statuses": statuses}


def preloaded(directory: Path) -> list[int]:
    """A master that has emitted forks its workers; they end without any clean-up."""
    emitter = make(directory, durability="group")
    emit_some(emitter, 1000, 1)
    pids = [fork(lambda i=i: emit_some(emitter, i * EVENTS)) for i in range(CHILDREN)]  # type: ignore[misc]
    statuses = join(*pids)
    emit_some(emitter, 1001, 1)
    emitter.close()
    return statuses


def thread_forks(directory: Path) -> list[int]:
    """A thread forks, not the main thread."""
    emitter = make(directory)
    emit_some(emitter, 0, 1)
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.extend(join(fork(lambda: emit_some(emitter, 1, 2))))
    )
    thread.start()
    thread.join()
    emit_some(emitter, 3, 1)
    return statuses


def daemonized(directory: Path) -> None:
    """A double fork that closes every descriptor, and opens its own files under their numbers."""
    emitter = make(directory, stdout=True)
    emit_some(emitter, 0, 1)
    if pid := os.fork():
        join(pid)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 1024)
    mine = directory / "application.txt"
    numbers = [os.open(mine, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) for _ in range(100)]
    emit_some(emitter, 1, 3)
    assert all(os.fstat(number).st_ino == mine.stat().st_ino for number in numbers)
    (directory / "done").write_text(str(mine.stat().st_size))
    os._exit(0)


def inherited_descriptors(directory: Path) -> list[str]:
    """What an ordinary subprocess sees of our files: nothing."""
    emitter = make(directory, stdout=True, durability="group")
    emit_some(emitter, 0, 3)
    code = (
        "import os\n"
        "for n in os.listdir('/proc/self/fd'):\n"
        "    try: print(os.readlink('/proc/self/fd/' + n))\n"
        "    except OSError: pass\n"
    )
    command = [sys.executable, "-ISc", code]
    found = subprocess.run(command, close_fds=False, capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if "audit" in line]


def generations(directory: Path) -> int:
    """A process that forks and goes on as its child, many times, gathers no descriptors."""
    emitter = make(directory)
    for number in range(30):
        emit_some(emitter, number, 1)
        if pid := os.fork():
            os._exit(join(pid)[0])
    left = len(os.listdir("/proc/self/fd"))
    (directory / "descriptors").write_text(str(left))
    os._exit(0)


def chrooted(directory: Path) -> None:
    """The path means another file from now on."""
    emitter = make(directory)
    emit_some(emitter, 0, 2)
    jail = directory / "jail"
    jail.mkdir()
    os.chroot(jail)
    emit_some(emitter, 2, 2)
    os._exit(0)


def no_processes_left(directory: Path) -> str:
    """No thread can be started: what waits is written by the next emit."""
    blocked = directory / "deep"
    blocked.touch()
    emitter = Emitter(service="faults", jsonl=blocked / "audit.jsonl", stdout=False)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    os.setuid(65534)
    assert emitter.emit(None, "fork.event", {"n": 0}) is None
    return str(emitter.health()["status"])


def while_refused(directory: Path) -> list[int]:
    """Fork where an event is being refused, as a signal handler might: both then keep it."""
    children: list[int] = []

    def on_error(*_: object) -> None:
        if not children:
            children.append(os.fork())

    emitter = make(directory, on_error=on_error)
    emitter.emit(None, "fork.event", {"n": 0})
    holder = os.open(directory / "audit.jsonl.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    emitter.emit(None, "fork.event", {"n": 1})
    os.close(holder)
    if not children[0]:
        os._exit(0 if emitter.flush(10.0) else 1)
    statuses = join(*children)
    assert emitter.close(PATIENCE)
    return statuses
