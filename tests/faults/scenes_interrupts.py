"""Emit where nobody expects a call: in handlers, finalizers, hooks, at the end of everything."""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import os
import random
import signal
import sys
import threading
import time
import weakref
from pathlib import Path
from types import FrameType
from typing import Any

from support.waiting import PATIENCE

import audit_emit
from audit_emit import Emitter


def make(directory: Path, **settings: Any) -> Emitter:
    settings = {"stdout": False, "durability": "os", **settings}
    return Emitter(service="faults", jsonl=directory / "audit.jsonl", **settings)


def emit(emitter: Emitter, number: int) -> None:
    emitter.emit(None, "life.event", {"n": number})


HANDLED = 1_000_000
"""Where the numbers of events begin that a handler emits."""


def signal_handler(directory: Path) -> dict[str, int]:
    """A timer interrupts emit with emits."""
    emitter = make(directory, stdout=True, durability="group")
    handled = 0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal handled
        emit(emitter, HANDLED + handled)
        handled += 1
        # Not periodic: a handler that is slower than its period would only call itself.
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-4))

    signal.signal(signal.SIGALRM, handler)
    chance = random.Random(1)
    signal.setitimer(signal.ITIMER_REAL, 0.0002)
    number = 0
    deadline = time.monotonic() + PATIENCE / 2
    while handled < 2000 and time.monotonic() < deadline:
        emit(emitter, number)
        number += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    assert emitter.close(PATIENCE), emitter.health()
    return {"events": number, "handled": handled}


class Dying:
    """Emits when it is collected, and is part of a cycle, so that the collector decides when."""

    def __init__(self, emitter: Emitter, number: int) -> None:
        self.me = self
        self.emitter = emitter
        self.number = number
        weakref.finalize(self, emit, emitter, HANDLED * 2 + number)

    def __del__(self) -> None:
        emit(self.emitter, HANDLED + self.number)


def finalizers(directory: Path) -> dict[str, int]:
    """The collector runs in the middle of emit, and so do finalizers that emit."""
    emitter = make(directory)
    gc.set_threshold(5, 2, 2)
    for number in range(500):
        Dying(emitter, number)
        emit(emitter, number)
    gc.collect()
    assert emitter.close(PATIENCE)
    return {"events": 500}


def hooks(directory: Path) -> None:
    """The hooks that see an exception which nobody caught."""
    emitter = make(directory)

    def thread_hook(args: threading.ExceptHookArgs) -> None:
        emit(emitter, 1)

    def hook(*_: object) -> None:
        emit(emitter, 2)

    def fail() -> None:
        raise ValueError("in a thread")

    threading.excepthook = thread_hook
    sys.excepthook = hook
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    atexit.register(os._exit, 0)
    raise ValueError("in the main thread")


def at_exit(directory: Path, durability: str) -> None:
    """Handlers that run before our flush, and one that was registered before we were imported."""
    emitter = make(directory, durability=durability)
    emit(emitter, 0)
    atexit.register(emit, emitter, 1)


def waiting_at_exit(directory: Path) -> None:
    """Events wait when the process ends, and the way is free by then."""
    blocked = directory / "deep"
    blocked.touch()
    emitter = Emitter(service="faults", jsonl=blocked / "audit.jsonl", stdout=False)
    for number in range(5):
        emit(emitter, number)
    assert len(emitter.outbox.backlog) == 5
    atexit.register(blocked.unlink)


def blocked_at_exit(directory: Path) -> None:
    """Events wait when the process ends, and go on waiting: the exit does not."""
    blocked = directory / "deep"
    blocked.touch()
    emitter = Emitter(service="faults", jsonl=blocked / "audit.jsonl")
    emit(emitter, 0)


def interrupted(directory: Path) -> dict[str, Any]:
    """``KeyboardInterrupt`` at random moments of emit; other threads go on meanwhile."""
    emitter = make(directory)
    stop = threading.Event()
    others = 0

    def work() -> None:
        nonlocal others
        while not stop.is_set():
            emit(emitter, HANDLED + others)
            others += 1
            time.sleep(0)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    thread = threading.Thread(target=work)
    thread.start()
    chance = random.Random(1)
    returned: list[int] = []
    interrupts = 0
    number = 0
    while interrupts < 500:
        number += 1
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-4))
            while True:
                number += 1
                emit(emitter, number)
                returned.append(number)
        except KeyboardInterrupt:
            interrupts += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    before = others
    deadline = time.monotonic() + PATIENCE / 2
    while others < before + 10 and time.monotonic() < deadline:
        time.sleep(0.001)
    alive = others >= before + 10
    stop.set()
    thread.join()
    assert emitter.flush(PATIENCE), emitter.health()
    other = make(directory)
    locked = other.emit(None, "life.after", {}) is None
    other.close()
    emitter.close()
    return {"returned": returned, "others": others, "alive": alive, "locked": locked}


def terminated(directory: Path) -> None:
    """``SIGTERM`` with the default action, after a receipt."""
    emitter = make(directory, durability="group")
    assert emitter.emit(None, "life.event", {"n": 0}) is not None
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)


def crashed(directory: Path, how: str) -> None:
    """Ends that run nothing."""
    emitter = make(directory, durability="group")
    assert emitter.emit(None, "life.event", {"n": 0}) is not None
    if how == "_exit":
        os._exit(0)
    if how == "abort":
        os.abort()
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def deep(directory: Path) -> dict[str, Any]:
    """Emit at every distance from the recursion limit."""
    emitter = make(directory, stdout=True)
    emit(emitter, 0)
    limit = sys.getrecursionlimit()
    calls = 0

    def descend(left: int) -> None:
        nonlocal calls
        if left:
            descend(left - 1)
            return
        calls += 1
        emitter.emit(None, "life.deep", {"d": calls, "more": {"a": [1, {"b": "c"}]}})

    here = len(_stack())
    for distance in range(3, 120):
        try:
            descend(limit - here - distance)
        except RecursionError:
            continue
    emit(emitter, 1)
    assert emitter.flush(PATIENCE), emitter.health()
    assert emitter.health()["sinks"]["jsonl"]["backlog"] == 0
    return {"calls": calls}


def _stack() -> list[FrameType]:
    frames = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def cancelled(directory: Path) -> dict[str, int]:
    """Tasks that emit are cancelled all the time; the loop is closed; emit goes on."""
    emitter = make(directory)
    done = 0

    async def work(first: int) -> None:
        nonlocal done
        for number in range(first, first + 100):
            emit(emitter, number)
            done += 1
            await asyncio.sleep(0)

    async def main() -> None:
        tasks = [asyncio.create_task(work(i * 1000)) for i in range(20)]
        for index, task in enumerate(tasks):
            await asyncio.sleep(0)
            if index % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    loop = asyncio.new_event_loop()
    loop.close()
    emit(emitter, 999_999)
    assert emitter.close(PATIENCE)
    return {"done": done + 1}


def thirty_two_threads(directory: Path) -> None:
    """As many threads, two emitters on one file, all at once."""
    emitters = [make(directory, durability="group", max_bytes=100_000) for _ in range(2)]
    barrier = threading.Barrier(32)

    def work(index: int) -> None:
        barrier.wait()
        for number in range(index * 100, index * 100 + 100):
            emit(emitters[index % 2], number)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for emitter in emitters:
        assert emitter.flush(PATIENCE)
        emitter.close()


def subinterpreter(directory: Path, code: str) -> None:
    """Something runs in a subinterpreter, between two events of ours."""
    interpreters: Any
    try:
        # Only one that shares the lock of the interpreters may import every extension.
        interpreters = importlib.import_module("_interpreters")
        inner = interpreters.create("legacy")
    except ImportError:
        interpreters = importlib.import_module("_xxsubinterpreters")
        options = {"isolated": False} if sys.version_info >= (3, 12) else {}
        inner = interpreters.create(**options)
    emitter = make(directory)
    emit(emitter, 0)
    failed = interpreters.run_string(inner, code)
    assert not failed, failed
    emit(emitter, 2)


def greenlets(directory: Path, library: str, patched: str) -> dict[str, Any]:
    """With gevent or eventlet, patched before or after ours was imported."""
    host: Any = importlib.import_module(library)
    if patched == "after" and library == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    elif patched == "after":
        host.monkey_patch()
    emitter = make(directory, durability="group")

    def work(index: int) -> None:
        for number in range(index * 50, index * 50 + 50):
            emit(emitter, number)
            host.sleep(0)

    jobs = [host.spawn(work, index) for index in range(20)]
    for job in jobs:
        job.get() if library == "gevent" else job.wait()
    flushed = emitter.flush(5.0)
    emitter.close()
    return {"flushed": flushed, "lost": emitter.health()["counters"]["lost"]}


def logging_calls_back(directory: Path) -> dict[str, Any]:
    """A root handler that audits, and diagnostics of the application that log."""
    import logging

    from audit_emit.integrations.stdlib import AuditHandler

    audit_emit.configure(service="faults", jsonl=directory / "audit.jsonl", stdout=False)

    def chatty(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        logging.getLogger("processor").warning("life.nested")
        return event

    emitter = audit_emit.configure(
        service="faults",
        jsonl=directory / "audit.jsonl",
        stdout=False,
        processors=[chatty],
    )
    logging.basicConfig(handlers=[AuditHandler()], level=logging.INFO)
    for number in range(5):
        audit_emit.emit(None, "life.event", {"n": number})
    flushed = emitter.flush()
    return {"flushed": flushed, "health": emitter.health()["counters"]}
