from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.open_descriptors import opened
from support.plain_log_reader import chain_ok, of_type, records
from support.waiting import PATIENCE, until

from audit_emit import Emitter
from audit_emit._settings.checks import Durability
from audit_emit._stores.jsonl import critical, retired, store
from audit_emit._stores.jsonl import durability as durability_module
from audit_emit._stores.jsonl import group_commit as groupcommit
from audit_emit._stores.jsonl.lockfile import LOCK, UNLOCK, flock
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit.errors import SinkError


def sink_of(emitter: Emitter) -> JsonlStore:
    assert isinstance(emitter.store, JsonlStore)
    return emitter.store


class Holder:
    """Another process that holds the file lock."""

    def __init__(self, path: Path) -> None:
        code = (
            "import sys\n"
            "from audit_emit._stores.jsonl.lockfile import LockFile\n"
            "lock = LockFile(sys.argv[1]); lock.open(); lock.acquire(0)\n"
            "print('held', flush=True); sys.stdin.read()\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, f"{path}.lock"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def test_nothing_is_opened_before_the_first_record(emitter: Emitter, log: Path) -> None:
    assert not log.exists()
    emitter.emit(None, "a.b")
    assert log.exists()


def test_the_first_record_of_a_process_says_who_writes(emitter: Emitter, log: Path) -> None:
    receipt = emitter.emit(None, "a.b")
    assert receipt is not None
    first, second = chain_ok(log)
    assert (first["event_type"], first["seq"], first["actor_kind"]) == (
        "audit.started",
        1,
        "service",
    )
    fields = first["fields"]
    assert fields["pid"] == os.getpid()
    assert fields["host"] == os.uname().nodename
    assert fields["config_hash"] == emitter.settings.fingerprint()
    assert set(fields) == {"pid", "host", "version", "config_hash"}
    assert (second["id"], second["seq"], second["hash"]) == (receipt.id, 2, receipt.hash)
    assert second["chain"] == receipt.chain


def test_files_are_private_and_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "audit.jsonl"
    before = os.umask(0)
    try:
        emitter = Emitter(jsonl=path, stdout=False)
        emitter.emit(None, "a.b")
        emitter.close()
    finally:
        os.umask(before)
    modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)]
    assert modes == [0o640, 0o750, 0o750]
    assert (path.parent / "audit.jsonl.lock").stat().st_mode & 0o777 == 0o640


def test_two_emitters_of_one_process_share_a_chain(log: Path) -> None:
    emitters = [Emitter(jsonl=log, stdout=False) for _ in range(2)]
    for number in range(10):
        assert emitters[number % 2].emit(None, "a.b", {"n": number})
    for emitter in emitters:
        emitter.close()
    found = [record for record in chain_ok(log) if record["event_type"] == "a.b"]
    assert [record["fields"]["n"] for record in found] == list(range(10))
    assert len(of_type(log, "audit.started")) == 2


def test_a_second_process_goes_on_with_the_chain(log: Path) -> None:
    for _ in range(3):
        emitter = Emitter(jsonl=log, stdout=False)
        emitter.emit(None, "a.b")
        emitter.close()
    assert [record["seq"] for record in chain_ok(log)] == [1, 2, 3, 4, 5, 6]


# Waiting for others


@pytest.mark.usefixtures("hurried")
def test_a_frozen_holder_of_the_lock_delays_nobody_for_long(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b", {"n": 0})
    holder = Holder(log)
    lock = sink_of(emitter).section.lock
    try:
        # A deadline of nought is a look, and no wait.
        with patch.object(lock, "acquire", side_effect=lock.acquire) as acquire:
            for number in range(1, 6):
                assert emitter.emit(None, "a.b", {"n": number}) is None
        deadlines = [call.args[0] for call in acquire.call_args_list]
        assert len(deadlines) >= 5
        assert [bool(deadline) for deadline in deadlines].count(True) == 1
        health = emitter.health()
        assert health["sinks"]["jsonl"]["backlog"] == 5
        assert health["sinks"]["jsonl"]["last_error"] == "lock-timeout"
    finally:
        holder.end()
    assert emitter.flush(PATIENCE)
    found = [record["fields"]["n"] for record in chain_ok(log) if record["event_type"] == "a.b"]
    assert found == [0, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("hurried")
def test_a_stopped_process_that_wakes_up_does_no_harm(emitter: Emitter, log: Path) -> None:
    holder = Holder(log)
    holder.process.send_signal(signal.SIGSTOP)
    emitter.emit(None, "a.b")
    holder.process.send_signal(signal.SIGCONT)
    holder.end()
    assert emitter.flush(PATIENCE)
    chain_ok(log)


def test_a_short_wait_for_the_lock_is_waited(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    number = os.open(f"{log}.lock", os.O_RDWR)
    flock(number, LOCK)
    receipts: list[Any] = []
    thread = threading.Thread(target=lambda: receipts.append(emitter.emit(None, "c.d")))
    thread.start()
    time.sleep(0.005)
    flock(number, UNLOCK)
    thread.join(PATIENCE)
    os.close(number)
    assert emitter.flush(PATIENCE)
    assert len(of_type(log, "c.d")) == 1
    chain_ok(log)


def test_a_call_within_a_call_is_told_to_wait(emitter: Emitter) -> None:
    """A signal handler or a destructor that emits in the middle of an append."""
    emitter.emit(None, "a.b")
    sink = sink_of(emitter)
    with pytest.raises(SinkError) as caught:
        sink.section.held(lambda _: sink.append([]))
    assert caught.value.reason == "re-entrant"
    assert emitter.emit(None, "a.b") is not None


# The lock file


def test_a_lock_file_that_is_deleted_is_made_again(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(critical, "LOCK_CHECK_NS", 0)
    emitter.emit(None, "a.b")
    (log.parent / "audit.jsonl.lock").unlink()
    for _ in range(5):
        emitter.emit(None, "a.b")
        time.sleep(0.001)
    assert emitter.flush(PATIENCE)
    assert (log.parent / "audit.jsonl.lock").exists()
    assert len([one for one in chain_ok(log) if one["event_type"] == "a.b"]) == 6


def test_deleting_the_lock_file_of_a_busy_log_forks_nothing(log: Path) -> None:
    """As often as one likes: who finds it missing takes the lock that the others hold."""
    code = (
        "import sys\n"
        "from audit_emit import Emitter\n"
        "emitter = Emitter(jsonl=sys.argv[1], stdout=False, durability='os')\n"
        "for n in range(1500):\n"
        "    emitter.emit(None, 'a.b', {'n': n})\n"
        "assert emitter.close(30)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(log)]) for _ in range(3)]
    lock = log.parent / "audit.jsonl.lock"
    deleted = 0
    while any(writer.poll() is None for writer in writers):
        if lock.exists():
            lock.unlink(missing_ok=True)
            deleted += 1
        time.sleep(0.002)
    assert [writer.wait(PATIENCE) for writer in writers] == [0] * 3
    assert deleted > 5
    assert len([one for one in chain_ok(log) if one["event_type"] == "a.b"]) == 4500


def test_a_deleted_lock_file_is_noticed_by_the_next_event(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    (log.parent / "audit.jsonl.lock").unlink()
    time.sleep(0.001)
    assert emitter.emit(None, "a.b") is not None
    assert (log.parent / "audit.jsonl.lock").exists()
    chain_ok(log)


def test_why_the_lock_is_not_trusted_is_told(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")
    sink = sink_of(emitter)
    monkeypatch.setattr(store, "FRESH_NS", 0)
    sink.section.lock_check = 0
    monkeypatch.setattr(sink.section.lock, "is_current", lambda: False)
    assert emitter.emit(None, "a.b") is None
    assert emitter.outbox.last_error == "lock-replaced"
    monkeypatch.undo()
    assert emitter.flush(PATIENCE)


def test_a_directory_that_is_deleted_is_made_again(emitter: Emitter, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    emitter = Emitter(jsonl=path, stdout=False)
    emitter.emit(None, "a.b")
    (tmp_path / "logs").rename(tmp_path / "gone")
    time.sleep(0.001)
    emitter.emit(None, "a.b")
    assert emitter.close(PATIENCE)
    assert records(path)[-1]["event_type"] == "a.b"
    chain_ok(tmp_path / "gone" / "audit.jsonl", path)


# Durability


@pytest.fixture
def synced(log: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Syncs of files of this test; threads of other emitters may be at theirs."""
    seen: list[int] = []

    def counting(number: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{number}")).is_relative_to(log.parent.resolve()):
            seen.append(number)
        os.fsync(number)

    monkeypatch.setattr(durability_module, "fdatasync", counting)
    monkeypatch.setattr(retired, "fdatasync", counting)
    return seen


def test_durability_os_never_syncs_an_event(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="os")
    for _ in range(5):
        emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    assert synced == []
    emitter.close()


def test_durability_always_syncs_before_emit_returns(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="always")
    for count in range(1, 5):
        emitter.emit(None, "a.b")
        assert len(synced) == count
    emitter.close()


def test_durability_always_syncs_what_a_log_says_about_itself(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="always")
    emitter.record_own("audit.recovered", {})
    assert len(synced) == 1
    emitter.close()


def test_durability_group_syncs_soon(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    for _ in range(5):
        emitter.emit(None, "a.b")
    until(lambda: synced)
    assert len(synced) < 5
    emitter.close()


def test_flush_syncs_at_once(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    assert synced
    emitter.close()


@pytest.mark.parametrize("durability", ["group", "always"])
def test_after_a_failed_sync_the_records_are_in_a_new_segment(
    log: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    failures = [1]

    def broken(number: int) -> None:
        if failures:
            failures.pop()
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(durability_module, "fdatasync", broken)
    monkeypatch.setattr(retired, "fdatasync", broken)
    emitter = Emitter(jsonl=log, stdout=False, durability=durability)
    receipt = emitter.emit(None, "a.b", {"n": 1})
    emitter.flush()
    emitter.close()
    assert receipt is not None
    (old,) = log.parent.glob("audit-*.jsonl")
    chain_ok(old, log)
    assert receipt.id in {record["id"] for record in records(old)}
    assert receipt.id in {record["id"] for record in records(log)}
    (gap,) = of_type(log, "audit.gap")
    assert gap["fields"]["reason"] == "fsync-failed"
    assert gap["fields"]["lost"] == 0


AFTER_THE_WRITE = [OSError(24, "Too many open files"), RuntimeError("x"), MemoryError()]


@pytest.fixture(params=AFTER_THE_WRITE, ids=lambda error: type(error).__name__)
def fails_after_the_write(request: pytest.FixtureRequest, log: Path) -> Iterator[Emitter]:
    """Whose next record is in the file when something fails."""
    emitter = Emitter(jsonl=log, durability="group")
    emitter.emit(None, "a.first")
    assert emitter.flush(PATIENCE)
    group = sink_of(emitter).durability.group
    assert group is not None
    with patch.object(group, "wake", side_effect=chain([request.param], repeat(None))):
        yield emitter
    emitter.close()


def test_a_failure_after_the_write_is_not_one_of_the_write(
    fails_after_the_write: Emitter, log: Path
) -> None:
    receipt = fails_after_the_write.emit(None, "a.b")
    assert receipt is not None
    assert not fails_after_the_write.outbox.backlog.waiting
    (record,) = of_type(log, "a.b")
    assert (record["id"], record["seq"]) == (receipt.id, receipt.seq)


def test_a_failure_after_a_waiting_event_was_written_is_not_one_of_the_write(
    fails_after_the_write: Emitter, log: Path
) -> None:
    sink = sink_of(fails_after_the_write)
    with sink.section.mutex:
        sink.section.busy = True
        assert fails_after_the_write.emit(None, "a.b") is None
        sink.section.busy = False
    assert fails_after_the_write.flush(PATIENCE)
    chain_ok(log)
    (record,) = of_type(log, "a.b")
    assert fails_after_the_write.mirror is not None
    assert record["hash"].encode() in fails_after_the_write.mirror.last
    assert fails_after_the_write.counters.drained == 1


# Many at once


def test_threads_and_processes_share_one_chain(log: Path) -> None:
    code = (
        "import sys, threading\n"
        "from audit_emit import Emitter\n"
        "emitter = Emitter(jsonl=sys.argv[1], stdout=False, max_bytes=60000)\n"
        "def work(name):\n"
        "    for n in range(50):\n"
        "        emitter.emit(None, 'a.b', {'who': name, 'n': n})\n"
        "names = [sys.argv[2] + str(number) for number in range(3)]\n"
        "threads = [threading.Thread(target=work, args=(name,)) for name in names]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert emitter.close(30)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(log), name]) for name in "xyz"]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    closed = sorted(log.parent.glob("audit-*.jsonl"))
    assert closed
    found = [one for one in chain_ok(*closed, log) if one["event_type"] == "a.b"]
    by_writer: dict[str, list[int]] = {}
    for record in found:
        by_writer.setdefault(record["fields"]["who"], []).append(record["fields"]["n"])
    assert len(by_writer) == 9
    assert all(sorted(numbers) == list(range(50)) for numbers in by_writer.values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_its_own_lock_and_ids(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            for _ in range(20):
                emitter.emit(None, "c.d")
            os._exit(not emitter.flush(20))
        children.append(pid)
        emitter.emit(None, "a.b")
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert emitter.flush(PATIENCE)
    found = chain_ok(log)
    assert len({record["id"] for record in found}) == len(found)
    assert len(of_type(log, "c.d")) == 60
    assert len(of_type(log, "audit.started")) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_other_threads_write_hangs_nobody(emitter: Emitter, log: Path) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            emitter.emit(None, "a.b")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    try:
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                emitter.emit(None, "c.d")
                os._exit(not emitter.flush(15))
            statuses.append(os.waitpid(pid, 0)[1])
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert statuses == [0] * 10
    assert emitter.flush(PATIENCE)
    chain_ok(log)
    assert len(of_type(log, "c.d")) == 10


def test_descriptors_are_not_inherited_by_programs(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    code = "import os; [print(os.path.realpath(f'/proc/self/fd/{n}')) for n in range(3, 200)]"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, close_fds=False
    ).stdout
    assert str(log) not in shown


def test_close_gives_the_descriptors_back_and_emit_opens_them_again(
    emitter: Emitter, log: Path
) -> None:
    emitter.emit(None, "a.b")
    assert emitter.close(PATIENCE)
    assert opened(log.parent) == []
    assert emitter.emit(None, "c.d") is not None
    assert [record["event_type"] for record in chain_ok(log)] == ["audit.started", "a.b", "c.d"]


def test_close_needs_no_further_descriptor(
    log: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    emitter.emit(None, "a.b")
    monkeypatch.setattr(os, "dup", _no_number)
    before = len(synced)
    sink_of(emitter).close()
    assert len(synced) == before + 1
    assert sink_of(emitter).segment.descriptor == -1
    emitter.close()


def _no_number(_: int) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_close_leaves_no_thread_behind(log: Path) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    emitter.emit(None, "a.b")
    group = sink_of(emitter).durability.group
    assert group is not None
    thread = group._thread
    assert thread is not None
    assert thread.is_alive()
    emitter.close()
    until(lambda: not thread.is_alive())


def test_a_later_emit_after_close_is_synced_again(log: Path, synced: list[int]) -> None:
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    emitter.emit(None, "a.b")
    emitter.close()
    before = len(synced)
    emitter.emit(None, "a.b")
    until(lambda: len(synced) > before)
    emitter.close()


def test_lines_are_the_bytes_of_the_format(emitter: Emitter, log: Path) -> None:
    emitter.emit({"user_id": "ü\u2028"}, "a.b", {"note": "a\nb\x7f王"})
    line = log.read_bytes().split(b"\n")[1]
    assert "ü\\u2028".encode() in line
    assert "a\\u000ab\\u007f王".encode() in line
    assert json.loads(line)["fields"] == {"note": "a\nb\x7f王"}


# A sync that hangs


@pytest.fixture
def hanging(log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emitter]:
    """In the middle of a sync that does not end before the test does."""
    began, may_end = threading.Event(), threading.Event()

    def fdatasync(_: int) -> None:
        began.set()
        may_end.wait()

    monkeypatch.setattr(retired, "fdatasync", fdatasync)
    emitter = Emitter(jsonl=log, stdout=False, durability="group")
    emitter.emit(None, "a.first")
    assert began.wait(PATIENCE)
    yield emitter
    may_end.set()
    assert emitter.close(PATIENCE)


def test_the_number_of_lines_that_wait_for_a_sync_is_bounded(hanging: Emitter) -> None:
    group = sink_of(hanging).durability.group
    assert group is not None
    for _ in range(groupcommit.MOST + 100):
        hanging.emit(None, "a.b")
    assert len(group.lines) <= groupcommit.MOST
    assert group.forgotten + len(group.lines) == groupcommit.MOST + 100


def test_the_bytes_that_wait_for_a_sync_are_bounded(
    hanging: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 1 << 20
    monkeypatch.setattr(durability_module, "MOST_BYTES", most)
    group = sink_of(hanging).durability.group
    assert group is not None
    fields = {str(number): "\N{GRINNING FACE} " * 2000 for number in range(4)}
    for _ in range(24):
        hanging.emit(None, "a.b", fields)
    kept = sum(map(len, group.lines))
    assert most / 3 < kept <= most
    assert sink_of(hanging).durability.size == kept
    assert group.forgotten + len(group.lines) == 24


def test_what_could_not_be_kept_is_counted_when_the_sync_fails(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    assert sink_of(emitter).durability._failed([], 7)
    (gap,) = of_type(log, "audit.gap")
    assert (gap["fields"]["reason"], gap["fields"]["unsynced"]) == ("fsync-failed", 7)


def test_nobody_waits_longer_than_asked_for_a_sync_that_hangs(hanging: Emitter) -> None:
    assert not hanging.flush(0.1)
    assert hanging.health()["sinks"]["jsonl"]["backlog"] == 0


def test_a_handler_in_the_middle_of_a_write_waits_for_no_sync(emitter: Emitter) -> None:
    emitter.emit(None, "a.b")
    # Whatever time they give it: this would not end before the test does.
    assert not sink_of(emitter).section.held(lambda _: emitter.flush(1e9))
    assert emitter.counters.internal_errors == 0
    assert emitter.flush(PATIENCE)


TAKEN = """
import fcntl, os, sys, time
from audit_emit import Emitter

emitter = Emitter(service="daemon", jsonl=sys.argv[1], stdout=False, durability="os")
for number in range(4):
    assert emitter.emit(None, "a.b", {"n": number}) is not None
number = emitter.store.section.lock_fd
os.closerange(3, 256)
time.sleep(0.001)
while os.open(sys.argv[2], os.O_RDWR | os.O_CREAT) < number:
    pass
if sys.argv[3] == "held":
    fcntl.flock(number, fcntl.LOCK_SH)
assert emitter.emit(None, "a.b", {"n": 4}) is not None
other = os.open(sys.argv[2], os.O_RDWR)
fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
if sys.argv[3] == "held":
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        raise AssertionError("its lock was given back")
emitter.close()
"""


@pytest.mark.parametrize("compiled", ["0", "1"])
@pytest.mark.parametrize("lock", ["held", "free"])
def test_a_file_at_the_number_of_the_lock_is_neither_locked_nor_unlocked(
    lock: str, compiled: str, tmp_path: Path
) -> None:
    """A daemon closes all descriptors, and opens its own file, which it may lock."""
    path = tmp_path / "q" / "audit.jsonl"
    command = [sys.executable, "-c", TAKEN, str(path), str(tmp_path / "daemon.pid"), lock]
    environment = {**os.environ, "AUDIT_EMIT_SPEEDUPS": compiled}
    subprocess.run(command, check=True, timeout=PATIENCE, env=environment)
    assert [one["fields"]["n"] for one in of_type(path, "a.b")] == [*range(5)]


def test_a_file_at_the_number_that_the_lock_had_keeps_its_lock_when_an_interrupt_is_healed(
    tmp_path: Path,
) -> None:
    emitter = Emitter(jsonl=tmp_path / "logs" / "audit.jsonl", stdout=False)
    emitter.emit(None, "a.b")
    section = sink_of(emitter).section
    mine, other = (os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT) for _ in range(2))
    os.dup2(mine, section.lock_fd)
    number = section.lock_fd
    flock(mine, LOCK)
    section.heal()
    with pytest.raises(BlockingIOError):
        flock(other, LOCK)
    assert section.lock_fd == -1
    assert emitter.emit(None, "a.b") is not None
    emitter.close()
    for descriptor in (mine, other, number):
        os.close(descriptor)
