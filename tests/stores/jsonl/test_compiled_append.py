"""The compiled part against the Python code that it stands in for."""

from __future__ import annotations

import contextvars
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from bench.chain import check
from support.failing_allocations import need_failing_allocations
from support.interpreted_emitter import interpreted
from support.jsonl_store import store_of
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit import AuditContext, Emitter, bind
from audit_emit._runtime import compiled as _compiled
from audit_emit._stores.jsonl.compiled_append import CompiledAppend
from audit_emit._stores.jsonl.critical import TURN_SECONDS
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit.context import LiveContext
from audit_emit.integrations._request_context import enter_request, leave_request

pytestmark = pytest.mark.skipif(
    _compiled.state != "compiled", reason=f"no compiled part: {_compiled.state}"
)

NEVER_THE_SAME = ("ts", "id", "chain", "seq", "prev_hash", "hash")


class Counted:
    """What the compiled part answered."""

    def __init__(self, emitter: Emitter) -> None:
        store = emitter.store
        assert isinstance(store, JsonlStore)
        usual = store.record.__self__  # type: ignore[attr-defined]
        assert isinstance(usual, CompiledAppend)
        self._append = usual.append
        self.answers: list[Any] = []
        usual.append = self

    def __call__(self, *arguments: Any) -> Any:
        self.answers.append(self._append(*arguments))
        return self.answers[-1]

    @property
    def done(self) -> int:
        return sum(answer is not None for answer in self.answers)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Emitter]:
    """An emitter that has seen what it will see: its caches are full."""
    made = Emitter(service="quick", jsonl=tmp_path / "q" / "audit.jsonl", stdout=False)
    made.emit(None, "a.b", {"key": "k", "n": 1})
    made.emit(None, "a.b", {"key": "k", "n": 1})
    yield made
    made.close()


def records_of(directory: Path, event_type: str) -> list[dict[str, Any]]:
    files = sorted(directory.glob("audit*.jsonl"))
    parsed = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    return [record for record in parsed if record["event_type"].startswith(event_type)]


def records(directory: Path) -> list[dict[str, Any]]:
    """The application's records of a log that is whole."""
    assert not check(directory).damage
    return [r for r in records_of(directory, "") if not r["event_type"].startswith("audit.")]


def stripped(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in NEVER_THE_SAME}


# The hash


def test_the_leaf_hash_is_that_of_hashlib() -> None:
    from audit_emit import _speedups

    for size in (*range(200), 447, 448, 511, 512, 4096, 70_001):
        body = bytes(i * 7 % 251 for i in range(size))
        expected = hashlib.sha256(b"\0" + body + b"}").hexdigest()
        assert _speedups.leaf_hash(body) == expected
        assert _speedups.leaf_hash(body, True) == expected


# The record

CONTEXTS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "context": lambda: AuditContext(workspace_id="w", user_id="ü-17", correlation_id="c"),
    "trace": lambda: AuditContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b" * 16),
    "mapping": lambda: {"user_id": "u", "actor_kind": "cron"},
    "copied": contextvars.copy_context,
    "junk": object,
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_record_is_that_of_python(name: str, tmp_path: Path) -> None:
    with bind(user_id="bound", workspace_id="here"):
        ctx = CONTEXTS[name]()
        for place in ("compiled", "interpreted"):
            emitter = Emitter(service="q", jsonl=tmp_path / place / "audit.jsonl", stdout=False)
            if place == "interpreted":
                interpreted(emitter)
            for number in range(3):
                emitter.emit(ctx, "secret.set", {"key": "A", "n": number, "ms": 0.5, "ok": None})
            emitter.close()
    ours, theirs = (records(tmp_path / place) for place in ("compiled", "interpreted"))
    assert [stripped(record) for record in ours] == [stripped(record) for record in theirs]
    assert [list(record) for record in ours] == [list(record) for record in theirs]


def test_the_context_of_a_request_is_read_as_it_is_now(quick: Emitter, tmp_path: Path) -> None:
    live = LiveContext(AuditContext(user_id="first"))
    entered = enter_request(live)
    try:
        for user in ("first", "first", "second", "second"):
            live.context = live.context.replace(user_id=user)
            assert quick.emit(None, "a.b", {"n": 1}) is not None
    finally:
        leave_request(entered)
    assert [r["user_id"] for r in records(tmp_path / "q")][-4:] == ["first"] * 2 + ["second"] * 2


def test_the_receipt_is_that_of_the_record(quick: Emitter, tmp_path: Path) -> None:
    receipt = quick.emit(None, "a.b", {"n": 2})
    record = records(tmp_path / "q")[-1]
    assert receipt is not None
    assert (receipt.id, receipt.chain, receipt.seq, receipt.hash) == (
        record["id"],
        record["chain"],
        record["seq"],
        record["hash"],
    )


def test_ids_and_times_of_a_burst_do_not_repeat(quick: Emitter, tmp_path: Path) -> None:
    counted = Counted(quick)
    for number in range(5000):
        quick.emit(None, "a.b", {"n": number})
    found = records(tmp_path / "q")
    assert counted.done > 1000
    assert len({r["id"] for r in found}) == len(found) == len({r["ts"] for r in found})


# The file


def test_the_records_of_another_process_are_followed(quick: Emitter, tmp_path: Path) -> None:
    """Another emitter has descriptors and a lock of its own, as another process has."""
    other = Emitter(service="quick", jsonl=tmp_path / "q" / "audit.jsonl", stdout=False)
    # Each has contexts of its own: what is encoded of one is kept for one emitter.
    mine, theirs = AuditContext(), AuditContext()
    other.emit(theirs, "a.b", {"n": 1})
    quick.emit(mine, "a.b", {"n": 1})
    both = [Counted(quick), Counted(other)]
    for number in range(200):
        quick.emit(mine, "a.b", {"n": number})
        for _ in range(number % 3):
            other.emit(theirs, "a.b", {"n": number})
    other.close()
    assert len(records(tmp_path / "q")) == 4 + 200 + sum(number % 3 for number in range(200))
    assert all(0 < counted.done < len(counted.answers) for counted in both)


@pytest.mark.parametrize("tail", [b"", b"\n", b"x\n", b'{"ts":"torn', b"\0" * 50])
def test_what_is_no_record_at_the_end_is_left_to_python(
    tail: bytes, quick: Emitter, tmp_path: Path
) -> None:
    path = tmp_path / "q" / "audit.jsonl"
    with path.open("ab") as file:
        file.write(tail)
    for number in range(3):
        assert quick.emit(None, "a.b", {"n": number}) is not None
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    types = [json.loads(line)["event_type"] for line in lines if line.endswith(b'"}\n')]
    assert types.count("a.b") == 5
    assert types.count("audit.recovered") == bool(tail)


@pytest.mark.parametrize("seq", ["18446744073709551616", "999999999999999999", "0", "-1", "1e3"])
def test_a_number_that_no_machine_holds_is_left_to_python(
    seq: str, quick: Emitter, tmp_path: Path
) -> None:
    path = tmp_path / "q" / "audit.jsonl"
    last = path.read_bytes().splitlines()[-1]
    before, _, after = last.partition(b'"seq":')
    with path.open("ab") as file:
        file.write(before + b'"seq":' + seq.encode() + after[after.index(b",") :] + b"\n")
    assert quick.emit(None, "a.b", {"n": 1}) is not None
    assert quick.emit(None, "a.b", {"n": 2}) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.rename(path, path.with_name("moved.jsonl")),
        os.unlink,
        lambda path: os.truncate(path, 0),
        lambda path: os.unlink(f"{path}.lock"),
    ],
    ids=["renamed", "deleted", "emptied", "unlocked"],
)
def test_what_is_done_to_the_file_is_seen(
    change: Callable[[Path], None], quick: Emitter, tmp_path: Path
) -> None:
    path = tmp_path / "q" / "audit.jsonl"
    receipts = [quick.emit(None, "a.b", {"n": number}) for number in range(10)]
    time.sleep(0.001)  # beyond the time for which the file counts as looked at
    change(path)
    receipts += [quick.emit(None, "a.b", {"n": number}) for number in range(10)]
    assert None not in receipts
    written = path.read_bytes()
    assert all(r is not None and r.id.encode() in written for r in receipts[10:])
    assert os.path.exists(f"{path}.lock")


def test_a_segment_is_closed_at_its_size(tmp_path: Path) -> None:
    emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl", stdout=False, max_bytes=4096)
    counted = Counted(emitter)
    for number in range(50):
        emitter.emit(None, "a.b", {"n": number})
    emitter.close()
    assert len(records(tmp_path)) == 50
    assert counted.done > 25
    sizes = [file.stat().st_size for file in tmp_path.glob("audit*.jsonl")]
    assert len(sizes) > 4
    assert max(sizes) <= 4096


def test_a_file_that_takes_only_a_part_of_a_line_keeps_none_of_it(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from audit_emit import Emitter
emitter = Emitter(service="q", jsonl=sys.argv[1], stdout=False, durability="os")
for n in range(10): emitter.emit(None, "a.b", {"n": n})
size = emitter.store.segment.size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
lost = [emitter.emit(None, "a.b", {"n": n}) for n in range(10, 20)]
assert lost == [None] * 10, lost
assert open(sys.argv[1], "rb").read().endswith(b"}\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert emitter.emit(None, "a.b", {"n": 20}) is not None
emitter.close()
"""
    environment = {**os.environ, "AUDIT_EMIT_DISABLED": "0"}
    command = [sys.executable, "-c", program, str(tmp_path / "audit.jsonl")]
    subprocess.run(command, check=True, env=environment)
    assert sorted(r["fields"]["n"] for r in records(tmp_path)) == list(range(21))


# Who else is there


class Taken:
    """A lock that another thread has, and gives back to whoever waits for it."""

    def __init__(self, lock: Any, waited: list[float]) -> None:
        self._lock = lock
        self._waited = waited

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking:
            return False
        self._waited.append(timeout)
        return bool(self._lock.acquire(timeout=timeout))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def test_a_thread_waits_for_its_turn_and_goes_the_quick_way(quick: Emitter) -> None:
    answers, section, waited = Counted(quick), store_of(quick).section, list[float]()
    section.mutex = Taken(section.mutex, waited)  # type: ignore[assignment] # as a lock
    assert quick.emit(None, "a.b", {"key": "k"}) is not None
    assert (answers.done, waited) == (1, [TURN_SECONDS])


def test_where_no_thread_moves_nobody_waits_for_a_turn(quick: Emitter) -> None:
    section, waited = store_of(quick).section, list[float]()
    section._threads_move = False  # a thread is stuck: somebody has waited in vain
    section.mutex = Taken(section.mutex, waited)  # type: ignore[assignment] # as a lock
    assert quick.emit(None, "a.b", {"key": "k"}) is not None
    assert TURN_SECONDS not in waited


def test_threads_share_one_chain(quick: Emitter, tmp_path: Path) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 500):
            quick.emit(None, "a.b", {"n": number})

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quick.flush(PATIENCE)
    numbers = [r["fields"]["n"] for r in records(tmp_path / "q") if r["fields"]["n"] >= 1000]
    assert sorted(numbers) == [i * 1000 + n for i in range(1, 5) for n in range(500)]


@pytest.mark.thorough
def test_signal_handlers_that_emit_are_recorded(quick: Emitter, tmp_path: Path) -> None:
    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        quick.emit(None, "a.signal", {"n": handled})

    # The first event of a type is looked at for longer than there is between two signals.
    quick.builder.prepare()
    quick.emit(None, "a.signal", {"n": 0})
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(20_000):
            quick.emit(None, "a.b", {"n": number})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert quick.flush(PATIENCE)
    kinds = [r["event_type"] for r in records(tmp_path / "q")]
    assert (kinds.count("a.signal"), kinds.count("a.b")) == (handled + 1, 20_002)
    assert handled > 10


@pytest.mark.thorough
def test_nothing_is_left_in_memory(quick: Emitter) -> None:
    fields = {"key": "STRIPE", "n": 1, "ok": True}

    def burst() -> None:
        for _ in range(3000):
            quick.emit(None, "a.b", fields)
        assert quick.flush(PATIENCE)
        gc.collect()

    burst()
    tracemalloc.start()
    try:
        burst()
        before = tracemalloc.get_traced_memory()[0]
        burst()
        burst()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


# Standard output


def test_a_line_is_shown_as_it_is_in_the_file(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        counted = Counted(emitter)
        for number in range(20):
            emitter.emit(None, "a.b", {"n": number})
        emitter.close()
        shown = stdout.read().splitlines(keepends=True)
    written = (tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True)
    assert shown == [b"audit: " + line for line in written]
    assert counted.done > 10


def test_a_full_pipe_is_left_to_python(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        emitter.emit(None, "a.b", {"n": 0})
        emitter.emit(None, "a.b", {"n": 1})
        stdout.fill()
        assert emitter.emit(None, "a.b", {"n": 2}) is not None
        lost = emitter.counters.stdout_lost
        assert lost
        stdout.read()
        assert emitter.emit(None, "a.b", {"n": 3}) is not None
        assert emitter.flush(PATIENCE)
        shown = stdout.records()
        emitter.close()
    assert [r["fields"]["n"] for r in shown if r["event_type"] == "a.b"] == [3]
    assert sum(r["fields"]["lost"] for r in records_of(tmp_path, "audit.gap")) == lost


def test_a_line_that_is_too_long_is_shown_as_its_stub(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        for _ in range(3):
            emitter.emit(None, "a.b", {"note": "x-" * 2000})
        emitter.close()
        shown = stdout.records()
    assert all("_spilled" in r["fields"] for r in shown if r["event_type"] == "a.b")


def test_a_line_is_written_to_standard_output_by_the_compiled_part(tmp_path: Path) -> None:
    with Piped():
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        counted = Counted(emitter)
        for number in range(20):
            emitter.emit(None, "a.b", {"n": number})
        emitter.close()
    done = [answer for answer in counted.answers if answer is not None]
    assert len(done) > 10
    assert all(shown for *_, shown in done)


def test_another_file_at_the_number_of_standard_output_gets_no_line(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        counted = Counted(emitter)
        for number in range(20):
            emitter.emit(None, "a.b", {"n": number})
        spare = os.dup(1)
        os.close(1)
        with (tmp_path / "other").open("wb") as other:
            assert other.fileno() == 1
            time.sleep(0.002)  # beyond the time for which it counts as looked at
            for number in range(20, 40):
                assert emitter.emit(None, "a.b", {"n": number}) is not None
        os.dup2(spare, 1)
        os.close(spare)
        emitter.close()
        shown = [r["fields"]["n"] for r in stdout.records() if r["event_type"] == "a.b"]
    assert counted.done > 20
    assert (tmp_path / "other").read_bytes() == b""
    assert shown == list(range(20))


# What may happen meanwhile


@pytest.mark.parametrize("shown", [True, False])
def test_a_record_whose_receipt_an_interrupt_takes_is_shown_and_counted_once(
    shown: bool, tmp_path: Path
) -> None:
    """A signal handler raises when the compiled part has returned, before anything is kept."""
    with Piped() as stdout:
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        counted = Counted(emitter)
        for number in range(3):
            emitter.emit(None, "a.b", {"n": number})
        append, interrupted = counted._append, []

        def raising(*arguments: Any) -> None:
            made = append(*arguments[:-2], arguments[-2] if shown else None, arguments[-1])
            if made is not None:
                counted._append = append
                interrupted.append(made)
                raise KeyboardInterrupt

        counted._append = raising

        def burst() -> None:
            for number in range(3, 10):
                emitter.emit(None, "a.b", {"n": number})

        with pytest.raises(KeyboardInterrupt):
            burst()
        emitter.emit(None, "a.b", {"n": "last"})
        assert emitter.flush(PATIENCE)
        written = store_of(emitter).health().written
        emitter.close()
        seen = stdout.records()
    assert len(interrupted) == 1
    assert [r["seq"] for r in seen] == list(range(1, len(seen) + 1))
    assert len(records_of(tmp_path, "")) == len(seen) == written


def test_nobody_finds_a_result_before_it_is_whole(tmp_path: Path) -> None:
    """Another thread may look at all objects (`gc.get_objects`) while the system calls are made."""
    with Piped():
        emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl")
        counted = Counted(emitter)
        for number in range(5):
            emitter.emit(None, "a.b", {"n": number})
        emitter.close()
    assert counted.done
    assert not any(map(gc.is_tracked, counted.answers))


STOPPED_CLOCK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        *now = (struct timespec){1750000000, 5};
    return failed;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a library in the place of the C library's")
def test_a_clock_that_stands_still_stops_nobody(tmp_path: Path) -> None:
    """As under libfaketime, and on machines whose clock is held while they are moved."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "stopped.c", tmp_path / "stopped.so"
    source.write_text(STOPPED_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    program = (
        "import sys\n"
        "from audit_emit import Emitter\n"
        "emitter = Emitter(service='q', jsonl=sys.argv[1], stdout=False)\n"
        "for number in range(5):\n"
        "    assert emitter.emit(None, 'a.b', {'n': number}) is not None\n"
        "emitter.close()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "q" / "audit.jsonl")]
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    subprocess.run(command, check=True, timeout=PATIENCE, env=environment)
    times = [record["ts"] for record in records(tmp_path / "q")]
    assert len(times) == 5
    assert all(before != after for before, after in pairwise(times))


def test_an_interrupt_while_the_sync_is_asked_for_passes_through(
    tmp_path: Path,
) -> None:
    emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl", stdout=False)
    for number in range(3):
        emitter.emit(None, "a.b", {"n": number})
    assert emitter.flush(PATIENCE)
    group = store_of(emitter).durability.group if emitter.store is not None else None
    assert group is not None
    interrupted = patch.object(group, "wake", side_effect=KeyboardInterrupt)
    with interrupted, pytest.raises(KeyboardInterrupt):
        emitter.emit(None, "a.b", {"n": 3})
    assert emitter.emit(None, "a.b", {"n": 4}) is not None
    emitter.close()
    assert [r["fields"]["n"] for r in records(tmp_path)] == list(range(5))


def test_memory_that_runs_out_once_anywhere_costs_no_event(tmp_path: Path) -> None:
    need_failing_allocations()
    testcapi = importlib.import_module("_testcapi")
    emitter = Emitter(service="q", jsonl=tmp_path / "audit.jsonl", stdout=False, durability="os")
    for number in range(3):
        emitter.emit(None, "a.b", {"n": number})
    emit, every = emitter.emit, [{"n": number} for number in range(3, 123)]
    raised = []
    for at, fields in enumerate(every):
        try:
            testcapi.set_nomemory(at % 40, at % 40 + 1)
            emit(None, "a.b", fields)
        except MemoryError as error:
            raised.append(error)
        finally:
            testcapi.remove_mem_hooks()
    assert emitter.flush(PATIENCE)
    emitter.close()
    found = [r["fields"].get("n") for r in records(tmp_path)]
    assert raised == []
    assert len(found) == 123
    assert len({r["id"] for r in records(tmp_path)}) == 123


@pytest.mark.parametrize("name", ["max_bytes", "stdout_max_bytes"])
def test_the_largest_size_is_no_special_case(name: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {name: 2**62}
    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False, **settings)
    assert emitter.emit(None, "a.b", {"n": 1}) is not None
    emitter.close()


# The lock


# Without it


@pytest.mark.parametrize("value", ["0", "off"])
def test_it_can_be_switched_off(value: str, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from audit_emit import Emitter\n"
        "from audit_emit._runtime import compiled as _compiled\n"
        "e = Emitter(jsonl=sys.argv[1], stdout=False)\n"
        "print(_compiled.state, e.store.record.__name__, e.emit(None, 'a.b', {}).seq)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "audit.jsonl")]
    environment = {**os.environ, _compiled.SWITCH: value}
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == f"interpreted ({_compiled.SWITCH} is off) nothing_done 2\n"


# What is looked at now and then


# Its own arithmetic
