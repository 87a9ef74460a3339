"""Syncs that hang, threads that cannot be started, signals that come meanwhile."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

from faults.child import RESULT
from faults.scenes_disk import emit, make
from support.jsonl_store import store_of
from support.waiting import PATIENCE

import audit_emit
from audit_emit import AuditError, Emitter
from audit_emit._stores.jsonl import group_commit as groupcommit
from audit_emit._stores.jsonl import retired


def no_further_thread() -> None:
    """A limit that root is not under."""
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setgroups([])
        os.setuid(65534)


def can_start_a_thread() -> bool:
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return False
    return True


def slow_sync(seconds: float) -> list[int]:
    """Let every sync take so long; which threads sync."""
    syncing = []

    def fdatasync(number: int) -> None:
        syncing.append(threading.get_ident())
        time.sleep(seconds)
        os.fsync(number)

    retired.fdatasync = fdatasync
    return syncing


def without_threads(directory: Path) -> None:
    """One thread emits and another one flushes, and no further one can be had."""
    directory.chmod(0o777)
    os.chdir(directory)
    result = os.open(RESULT, os.O_WRONLY | os.O_CREAT)
    # Who is not root need not be let into the directories above.
    emitter = make(Path("/proc/self/cwd/logs"), durability="group")
    stop = threading.Event()
    flushed: list[bool] = []

    limit = threading.Event()

    def flush() -> None:
        limit.wait()
        while not stop.is_set():
            flushed.append(emitter.flush(10.0))

    flushing = threading.Thread(target=flush)
    flushing.start()
    no_further_thread()
    limit.set()
    limited = not can_start_a_thread()
    syncing = slow_sync(0.2)
    for number in range(1000):
        emit(emitter, number)
    synced = syncing.count(threading.get_ident())
    trouble = emitter.health()["sinks"]["jsonl"]["state"], emitter.health()["notes"]
    stop.set()
    flushing.join()
    found = {
        "limited": limited,
        "synced": synced,
        "trouble": trouble,
        "flushed": flushed[-1] and emitter.flush(10.0),
    }
    os.write(result, json.dumps(found).encode())
    os._exit(0)


def terminated(directory: Path, call: str) -> dict[str, Any]:
    """Several SIGTERMs, whose handler makes what was emitted durable, while emit goes on."""
    emitter = make(directory, durability="group")
    emit(emitter, 0)
    slow_sync(0.05)
    answers: list[Any] = []

    def handler(*_: object) -> None:
        if call == "flush":
            answers.append(emitter.flush(5.0))
        else:
            try:
                answers.append(emitter.emit_strict(None, "a.b") is not None)
            except AuditError as error:
                answers.append(error.reason)

    signal.signal(signal.SIGTERM, handler)
    stop = threading.Event()

    def kill() -> None:
        for _ in range(8):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=kill).start()
    number = 1
    while not stop.is_set() or len(answers) < 1:
        emit(emitter, number)
        number += 1
        if number % 50 == 0:
            emitter.flush(5.0)
    return {"answers": answers, "numbers": number, "flushed": emitter.flush(10.0)}


def stalled(directory: Path) -> dict[str, Any]:
    """A disk that never answers a sync, and a process that ends."""
    emitter = make(directory, durability="group", max_bytes=20_000)
    never = threading.Event()

    def hang(_: int) -> None:
        never.wait()

    retired.fdatasync = hang
    groupcommit.SLOW_SECONDS = 0.01
    emit(emitter, 0)
    flushed = emitter.flush(0.3)
    for number in range(1, 1000):
        emit(emitter, number)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1000, 12_000):
        emit(emitter, number)
    assert emitter.store is not None
    group = store_of(emitter).durability.group
    assert group is not None
    return {
        "flushed": flushed,
        "grew": len(os.listdir("/proc/self/fd")) - before,
        "kept": len(group.lines),
        "files": len(list(directory.glob("audit-*.jsonl"))),
        "state": emitter.health()["sinks"]["jsonl"]["state"],
        "notes": emitter.health()["notes"],
    }


def configured(directory: Path) -> dict[str, int]:
    """The emitter of the process is made anew, again and again, while threads emit."""

    def owned(what: str) -> int:
        return len(os.listdir(f"/proc/self/{what}"))

    def configure() -> None:
        audit_emit.configure(service="faults", jsonl=directory / "audit.jsonl", stdout=False)

    def work(first: int) -> None:
        for number in range(first, first + 1000):
            audit_emit.emit(None, "stall.event", {"n": number})

    configure()
    audit_emit.emit(None, "stall.event", {"n": -1})
    before = owned("fd"), owned("task")
    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 3000, 1000)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        configure()
        time.sleep(0.005)
    assert audit_emit.flush(PATIENCE)
    deadline = time.monotonic() + PATIENCE / 2
    more = dict.fromkeys(("fd", "task"), 1)
    while any(one > 0 for one in more.values()) and time.monotonic() < deadline:
        time.sleep(0.01)
        more = {"fd": owned("fd") - before[0], "task": owned("task") - before[1]}
    return more


def dropped(directory: Path) -> dict[str, int]:
    """Emitters that nobody closes."""
    import gc

    gc.disable()

    def owned(what: str) -> int:
        return len(os.listdir(f"/proc/self/{what}"))

    kept = make(directory, durability="group")
    emit(kept, 0)
    before = owned("fd"), owned("task")
    for number in range(1, 31):
        emit(Emitter(service="faults", jsonl=directory / "audit.jsonl"), number)
    deadline = time.monotonic() + PATIENCE / 2
    more = dict.fromkeys(("fd", "task"), 1)
    while any(more.values()) and time.monotonic() < deadline:
        time.sleep(0.01)
        more = {"fd": owned("fd") - before[0], "task": owned("task") - before[1]}
    kept.close()
    return more
