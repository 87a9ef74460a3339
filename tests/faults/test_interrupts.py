"""Emit in handlers and finalizers, and emit that is interrupted anywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from faults import scenes_interrupts as scenes
from faults.child import RESULT, environment, finish, run, start
from faults.injector import Injector
from faults.log import Log
from faults.prepared import STATES, Work, make
from support import requirements
from support.sampling import places
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._stores.stdout.mirror import PREFIX, StdoutMirror


def test_a_signal_handler_may_emit(tmp_path: Path) -> None:
    found = run(scenes.signal_handler, tmp_path)
    # 2000 where the machine has the time.
    assert found["handled"] >= 200
    numbers = Log(tmp_path).check().numbers
    expected = [*range(found["events"]), *range(scenes.HANDLED, scenes.HANDLED + found["handled"])]
    assert sorted(numbers) == expected


def test_finalizers_may_emit(tmp_path: Path) -> None:
    run(scenes.finalizers, tmp_path)
    numbers = sorted(Log(tmp_path).check().numbers)
    expected = [start + n for start in (0, scenes.HANDLED, 2 * scenes.HANDLED) for n in range(500)]
    assert numbers == expected


def test_the_hooks_for_what_nobody_caught_may_emit(tmp_path: Path) -> None:
    run(scenes.hooks, tmp_path)
    assert Log(tmp_path).check().numbers == [1, 2]


@pytest.mark.parametrize("durability", ["os", "group", "always"])
def test_handlers_at_exit_may_emit(durability: str, tmp_path: Path) -> None:
    run(scenes.at_exit, tmp_path, durability)
    assert Log(tmp_path).check().numbers == [0, 1]


@pytest.mark.parametrize("durability", ["os", "group", "always"])
def test_a_handler_that_runs_after_our_flush_may_emit(durability: str, tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: e.emit(None, 'life.event', {'n': 1}))\n"
        "from audit_emit import Emitter\n"
        "e = Emitter(jsonl=sys.argv[1], stdout=False, durability=sys.argv[2])\n"
        "e.emit(None, 'life.event', {'n': 0})\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "audit.jsonl"), durability]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Log(tmp_path).check().numbers == [0, 1]


def test_the_interpreter_may_emit_when_almost_nothing_is_left(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from audit_emit import Emitter\n"
        "class Last:\n"
        "    def __init__(self, e): self.e = e\n"
        "    def __del__(self): self.e.emit(None, 'life.event', {'n': 1})\n"
        "e = Emitter(jsonl=sys.argv[1], stdout=False)\n"
        "e.emit(None, 'life.event', {'n': 0})\n"
        "sys.last = Last(e)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "audit.jsonl")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert Log(tmp_path).check().numbers in ([0, 1], [0])


def test_what_waits_at_the_end_is_written(tmp_path: Path) -> None:
    run(scenes.waiting_at_exit, tmp_path)
    assert Log(tmp_path / "deep").check().numbers == [0, 1, 2, 3, 4]


def test_what_cannot_be_written_at_the_end_is_on_stdout(tmp_path: Path) -> None:
    process = start(scenes.blocked_at_exit, tmp_path, stdout=subprocess.PIPE)
    shown = process.stdout.read()
    finish(process, tmp_path, seconds=10)
    assert b'audit: {"ts":' in shown
    assert b'"chain"' not in shown


def test_an_interrupt_anywhere_leaves_no_lock_behind(tmp_path: Path) -> None:
    found = run(scenes.interrupted, tmp_path)
    assert found["alive"]
    assert not found["locked"]
    numbers = Log(tmp_path).check().numbers
    assert len(set(numbers)) == len(numbers)
    others = range(scenes.HANDLED, scenes.HANDLED + found["others"])
    assert set(found["returned"]) | set(others) <= set(numbers)


def test_sigterm_after_a_receipt_loses_nothing(tmp_path: Path) -> None:
    process = start(scenes.terminated, tmp_path)
    assert process.wait(PATIENCE) == -signal.SIGTERM
    process.communicate()
    assert Log(tmp_path).check().numbers == [0]


@pytest.mark.parametrize("how", ["_exit", "abort", "segfault", "kill"])
def test_an_end_that_runs_nothing_loses_nothing_with_a_receipt(how: str, tmp_path: Path) -> None:
    process = start(scenes.crashed, tmp_path, how)
    process.communicate(timeout=PATIENCE)
    assert Log(tmp_path).check().numbers == [0]


def test_near_the_recursion_limit_every_event_is_recorded(tmp_path: Path) -> None:
    found = run(scenes.deep, tmp_path)
    assert found["calls"] > 50
    log = Log(tmp_path).check()
    assert log.numbers == [0, 1]
    recorded = log.of("life.deep")
    assert len(recorded) == found["calls"]
    full = [r for r in recorded if "d" in r["fields"]]
    assert len({r["fields"]["d"] for r in full}) == len(full)
    assert all("d" in r["fields"] or r["fields"]["_lossy"] for r in recorded)


def test_tasks_that_are_cancelled_lose_nothing(tmp_path: Path) -> None:
    found = run(scenes.cancelled, tmp_path)
    assert len(Log(tmp_path).check().numbers) == found["done"]


def test_thirty_two_threads_and_two_emitters_share_a_chain(tmp_path: Path) -> None:
    run(scenes.thirty_two_threads, tmp_path)
    log = Log(tmp_path).check()
    assert sorted(log.numbers) == list(range(3200))
    assert len(log.files) > 5
    assert [r["seq"] for r in log.records] == list(range(1, len(log.records) + 1))


PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("patched", ["before", "after"])
@pytest.mark.parametrize("library", PATCHES)
def test_greenlets_may_emit(library: str, patched: str, tmp_path: Path) -> None:
    """Patched before the import means before everything, as ``gevent.monkey`` runs a program."""
    if importlib.util.find_spec(library) is None:  # eventlet warns when it is imported
        requirements.missing(library, f"{library} is not installed")
    code = f"{PATCHES[library]}; " if patched == "before" else ""
    code += "import runpy, sys; del sys.argv[0]; "
    code += "runpy.run_module('faults.child', run_name='__main__', alter_sys=True)"
    arguments = ["-", scenes.__name__, "greenlets", str(tmp_path), library, patched]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / RESULT).read_text()) == {"flushed": True, "lost": 0}
    assert sorted(Log(tmp_path).check().numbers) == list(range(1000))


def test_a_log_call_inside_an_audit_event_does_not_go_round(tmp_path: Path) -> None:
    found = run(scenes.logging_calls_back, tmp_path)
    assert found["flushed"]
    assert found["health"]["internal_errors"] == 0
    assert Log(tmp_path).check().numbers == [0, 1, 2, 3, 4]


def test_a_subinterpreter_may_emit(tmp_path: Path) -> None:
    code = (
        "from audit_emit import Emitter\n"
        f"e = Emitter(jsonl={str(tmp_path / 'audit.jsonl')!r}, stdout=False, durability='os')\n"
        "e.emit(None, 'life.event', {'n': 1})\n"
    )
    process = start(scenes.subinterpreter, tmp_path, code)
    _, told = process.communicate(timeout=PATIENCE)
    if b"'NODEFAULT'" in told:
        pytest.skip(
            "msgspec cannot be imported by a second interpreter of this Python, or not always"
        )
    assert process.returncode == 0, told
    assert Log(tmp_path).check().numbers == [0, 1, 2]


# An exception at every place


class TimeLimitError(
    FileNotFoundError,
    BlockingIOError,
    NotADirectoryError,
    PermissionError,
    FileExistsError,
    ValueError,
    RuntimeError,
    OverflowError,
    KeyError,
    IndexError,
    TypeError,
):
    """What a host's signal handler may raise, and every handler of ours would take for its own."""


INTERRUPTS = [KeyboardInterrupt, TimeLimitError]
WITH_OTHERS = ("audit_emit", "contextlib", "threading", "collections")
"""Modules of the standard library whose code runs in the middle of ours."""


@pytest.mark.parametrize("interrupt", INTERRUPTS)
@pytest.mark.parametrize("before", STATES.values(), ids=STATES)
def test_an_interrupt_at_every_place_leaves_a_consistent_log(
    before: Work, interrupt: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = make(path)
    other = make(path)
    returned = []
    kept = None  # with its traceback, and so with all that its frames hold
    for at in places():
        before(emitter)
        injector = Injector(interrupt, at, WITH_OTHERS)
        try:
            injector.run(partial(emitter.emit, None, "life.event", {"n": at}))
            returned.append(at)
            assert not injector.where, f"{injector.where}: nobody hears of it"
        except interrupt as error:
            kept = error
        if not injector.where:
            break
        assert kept is not None
        assert free(other), f"{injector.where}: the lock of the file is held"
        assert in_thread(emitter), f"{injector.where}: the lock of the threads is held"
        assert emits(emitter, "life.after"), injector.where
    assert at > 40
    assert emitter.flush(PATIENCE)
    emitter.close()
    other.close()
    log = Log(tmp_path).check()
    numbers = [number for number in log.numbers if number >= 0]
    assert set(returned) <= set(numbers)
    assert len(set(numbers)) == len(numbers)


CALLS: dict[str, Work] = {
    "strict": lambda emitter: emitter.emit_strict(None, "life.strict", {"n": -1}),
    "flush": lambda emitter: emitter.flush(5),
    "close": lambda emitter: emitter.close(5),
    "health": lambda emitter: emitter.health(),
}


@pytest.mark.parametrize("before", ["steady", "drains"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_interrupt_at_every_place_of_another_call_is_heard_and_leaves_no_lock(
    call: Work, before: str, tmp_path: Path
) -> None:
    emitter = make(tmp_path / "audit.jsonl")
    other = make(tmp_path / "audit.jsonl")
    kept = None
    for at in places():
        STATES[before](emitter)
        injector = Injector(TimeLimitError, at, WITH_OTHERS)
        try:
            injector.run(partial(call, emitter))
            assert not injector.where, f"{injector.where}: nobody hears of it"
        except TimeLimitError as error:
            kept = error
        if not injector.where:
            break
        assert kept is not None
        assert free(other), f"{injector.where}: the lock of the file is held"
        assert in_thread(emitter), f"{injector.where}: the lock of the threads is held"
    assert at > 5
    assert emitter.flush(PATIENCE)
    emitter.close()
    other.close()
    Log(tmp_path).check()


@pytest.mark.parametrize("before", STATES.values(), ids=STATES)
def test_memory_that_runs_out_at_any_place_loses_no_event(before: Work, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = make(path)
    other = make(path)
    where = {}
    for at in places():
        before(emitter)
        injector = Injector(MemoryError, at)
        injector.run(partial(emitter.emit, None, f"life.event{at}", {"n": at}))
        where[at] = injector.where
        if not injector.where:
            break
        assert free(other), f"{injector.where}: the lock of the file is held"
        assert in_thread(emitter), f"{injector.where}: the lock of the threads is held"
    assert at > 40
    assert emitter.flush(PATIENCE)
    emitter.close()
    other.close()
    log = Log(tmp_path).check()
    for number, place in where.items():
        if not place:
            break
        found = [record["fields"] for record in log.of(f"life.event{number}")]
        # What fails between the write and its receipt is recorded again; losing it is worse.
        full = {"n": number}
        assert found in ([full], [LOSSY], [full, LOSSY], [full, full]), place


LOSSY = {"_lossy": "MemoryError"}


def free(other: Emitter) -> bool:
    """Whether another process could write."""
    return emits(other, "life.other")


def in_thread(emitter: Emitter) -> bool:
    """Whether another thread can emit."""
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(emits(emitter, "life.thread")))
    thread.start()
    thread.join(PATIENCE)
    return done == [True]


def emits(emitter: Emitter, event_type: str) -> bool:
    """Whether an event is recorded at last: a lock that is left behind is never free again.

    One that somebody else holds may not be free within the 50 ms that a call waits, on a machine
    with other things to do.
    """
    end = time.monotonic() + PATIENCE
    while emitter.emit(None, event_type, {}) is None:
        if time.monotonic() > end:
            return False
    return True


# Where an interrupt comes between the making of an iterator and its use, its finalizer closes it.
@pytest.mark.filterwarnings("ignore:unclosed scandir iterator:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*ScandirIterator:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_an_interrupt_at_every_place_of_stdout_leaves_whole_lines(
    interrupt: type[BaseException], tmp_path: Path
) -> None:
    read_end, write_end = os.pipe()
    emitter = make(tmp_path / "audit.jsonl")
    emitter.outbox.mirrored.mirror = mirror = StdoutMirror(4096, write_end)
    shown = b""
    for at in places():
        injector = Injector(interrupt, at)
        try:
            injector.run(partial(emitter.emit, None, "life.event", {"n": at}))
            assert not injector.where, f"{injector.where}: nobody hears of it"
        except interrupt:
            pass
        os.set_blocking(read_end, False)
        try:
            shown += os.read(read_end, 1 << 16)
        except BlockingIOError:
            pass
        if not injector.where:
            break
    assert at > 40
    emitter.close()
    mirror.close()
    os.close(read_end)
    os.close(write_end)
    kept = {PREFIX + line.raw for file in Log(tmp_path).check().files for line in file.lines}
    assert set(shown.splitlines(keepends=True)) <= kept
