"""A log whose disk fills up, whose directory goes away, whose lock is not given back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from faults import scenes_disk as scenes
from faults.child import environment, run, start
from faults.log import Log, check_whole
from support.interpreted_emitter import interpreted
from support.jsonl_store import store_of
from support.waiting import PATIENCE, until

from audit_emit import AuditError, Emitter

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root")


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of so many KiB, or a skip."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
    if not ROOT or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_gets_no_half_record_and_takes_everything_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        found = run(scenes.full_disk, disk)
        assert 0 < found["written"] < 30
        assert found["strict"] == "ENOSPC"
        assert found["status"] == "failing"
        assert found["flushed"]
        assert found["after"] == [True] * 3
        assert found["recovered"] == "ok"
        log = Log(disk).check()
        assert log.numbers == list(range(34))
        assert not log.of("audit.recovered")


def test_what_a_full_disk_costs_at_the_end_is_said_and_declared_by_the_next(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        other = make(disk)
        assert other.emit(None, "disk.event", {"n": -1}) is not None
        process = start(scenes.full_disk_at_the_end, tmp_path)
        told = process.communicate(timeout=PATIENCE)[1].decode()
        assert process.returncode == 0
        (disk / "ballast").unlink()
        lost = 500 - sum(number >= 0 for number in Log(disk).numbers)
        assert lost > 300
        assert f"{lost} events lost at the end" in told
        assert "whoever opens the log next declares it" in told
        fresh = make(disk)
        assert fresh.emit(None, "disk.event", {"n": 501}) is not None
        fresh.close()
        other.close()
        log = Log(disk).check()
        (gap,) = log.of("audit.gap")
        assert (gap["fields"]["lost"], gap["fields"]["sink"]) == (lost, "jsonl")
        assert gap["fields"]["reason"] == "ENOSPC"
        assert gap["fields"]["first_ts"] < gap["fields"]["last_ts"]
        assert (disk / "audit.jsonl.lock").stat().st_size == 512


@pytest.mark.parametrize("compiled", ["1", "0"])
def test_what_was_lost_is_declared_by_a_process_that_goes_on(tmp_path: Path, compiled: str) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        other = make(disk)
        if compiled == "0":
            interpreted(other)
        assert other.emit(None, "disk.event", {"n": -1}) is not None
        run(scenes.full_disk_at_the_end, tmp_path)
        (disk / "ballast").unlink()

        def declared() -> bool:
            assert other.emit(None, "disk.event", {}) is not None
            return bool(Log(disk).of("audit.gap"))

        until(declared, "the gap")
        log = Log(disk).check()
        (gap,) = log.of("audit.gap")
        assert gap["fields"]["lost"] == 500 - sum(number >= 0 for number in log.numbers)
        other.close()


def test_losses_of_several_processes_are_one_gap(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        make(disk).emit(None, "disk.event", {})
        run(scenes.full_disk_at_the_end, tmp_path)
        run(scenes.full_disk_at_the_end, tmp_path)
        (disk / "ballast").unlink()
        make(disk).emit(None, "disk.event", {})
        log = Log(disk).check()
        (gap,) = log.of("audit.gap")
        assert gap["fields"]["lost"] == 1000 - len(log.numbers)


def test_what_cannot_even_be_noted_is_said(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl.lock").mkdir()
    process = start(scenes.blocked_at_the_end, tmp_path)
    told = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 0
    assert "3 events lost at the end" in told
    assert "nothing in the log will tell" in told


def test_a_limit_of_the_file_size_costs_no_record(tmp_path: Path) -> None:
    found = run(scenes.limited_file_size, tmp_path)
    assert found["reason"] == "EFBIG"
    assert found["flushed"]
    log = Log(tmp_path).check()
    assert log.numbers == list(range(21))


@pytest.mark.parametrize("how", ["moved", "deleted", "link"])
def test_a_log_directory_that_is_replaced_is_made_again(how: str, tmp_path: Path) -> None:
    found = run(scenes.unlinked_log_directory, tmp_path, how)
    assert found["flushed"]
    log = Log(tmp_path / "logs").check()
    # Of a deleted file, what was written since the path was last looked up is saved.
    assert log.numbers[-3:] == [3, 4, 5]
    (rotated,) = log.of("audit.rotated")
    assert rotated["fields"]["last_seq"] == 4
    if how == "moved":
        old = Log(tmp_path / "gone").check()
        assert log.records[0] == rotated
        assert rotated["prev_hash"] == old.records[-1]["hash"]


@pytest.mark.parametrize("how", ["file", "segment link", "lock link", "segment fifo"])
def test_what_is_in_the_way_is_left_alone_and_waited_for(how: str, tmp_path: Path) -> None:
    found = run(scenes.unlinked_log_directory, tmp_path, how)
    assert found["written"] == [False] * 3
    assert found["waiting"] == 3
    assert found["flushed"]
    assert Log(tmp_path / "logs").check().numbers == [3, 4, 5]
    target = tmp_path / "target"
    assert not target.exists() or target.read_text() == "precious"


@needs_root
def test_a_process_that_gave_up_root_goes_on_in_the_file_that_it_has(tmp_path: Path) -> None:
    found = run(scenes.without_privileges, tmp_path, "kept")
    assert found["written"] == 20
    assert Log(tmp_path / "logs").check().numbers == list(range(23))


@needs_root
def test_a_log_that_may_not_be_written_keeps_what_it_gets(tmp_path: Path) -> None:
    found = run(scenes.without_privileges, tmp_path, "new")
    assert (found["written"], found["waiting"]) == (0, 20)
    assert found["health"]["sinks"]["jsonl"]["last_error"] == "EACCES"
    assert found["health"]["status"] == "failing"
    assert Log(tmp_path / "logs").check().numbers == [0, 1, 2]


@needs_root
def test_closed_segments_that_may_not_be_read_stop_nothing(tmp_path: Path) -> None:
    found = run(scenes.without_privileges, tmp_path, "unreadable")
    assert found["written"] == 20
    log = Log(tmp_path / "logs").check()
    assert log.numbers == list(range(23))


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of ``tmp_path`` and is stopped."""
    holder = start(scenes.hold_lock, tmp_path)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
    yield holder
    holder.kill()
    holder.communicate()


def make(directory: Path) -> Emitter:
    return Emitter(service="faults", jsonl=directory / "audit.jsonl", stdout=False, durability="os")


@contextmanager
def waits_for_the_lock(emitter: Emitter) -> Iterator[list[bool]]:
    """For each attempt to take the lock of the log whether it may wait for it."""
    lock = store_of(emitter).section.lock
    acquire = lock.acquire
    waits: list[bool] = []

    def noting(deadline: float) -> bool:
        waits.append(deadline > 0)
        return acquire(deadline)

    with patch.object(lock, "acquire", noting):
        yield waits


@pytest.mark.usefixtures("hurried")
def test_a_frozen_holder_of_the_lock_stops_nobody_and_costs_nothing(
    frozen: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    emitter = make(tmp_path)
    with waits_for_the_lock(emitter) as waits:
        for number in range(200):
            assert emitter.emit(None, "disk.event", {"n": number}) is None
    assert waits.count(True) == 1, "the first one waited; the others tried"
    assert emitter.health()["sinks"]["jsonl"]["last_error"] == "lock-timeout"
    with pytest.raises(AuditError):
        emitter.emit_strict(None, "disk.event", {"strict": True})
    frozen.send_signal(signal.SIGCONT)
    assert emitter.flush(PATIENCE)
    assert emitter.emit(None, "disk.event", {"n": 200}) is not None
    emitter.close()
    assert Log(tmp_path).check().numbers == list(range(201))


@pytest.mark.usefixtures("hurried")
def test_threads_behind_a_frozen_lock_wait_once_for_all_of_them(
    frozen: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    emitter = make(tmp_path)

    def work(first: int) -> None:
        for number in range(first, first + 20):
            emitter.emit(None, "disk.event", {"n": number})

    threads = [threading.Thread(target=work, args=(i * 20,)) for i in range(8)]
    with waits_for_the_lock(emitter) as waits:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert waits.count(True) == 1
    frozen.send_signal(signal.SIGCONT)
    assert emitter.flush(PATIENCE)
    emitter.close()
    assert sorted(Log(tmp_path).check().numbers) == list(range(160))


@pytest.mark.usefixtures("hurried")
def test_what_the_backlog_cannot_hold_is_declared(
    frozen: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    emitter = make(tmp_path)
    emitter.outbox.backlog._records = 50
    for number in range(80):
        assert emitter.emit(None, "disk.event", {"n": number}) is None
    assert emitter.health()["status"] == "failing"
    assert emitter.health()["counters"]["lost"] == 30
    frozen.send_signal(signal.SIGCONT)
    assert emitter.flush(PATIENCE)
    emitter.close()
    log = Log(tmp_path).check()
    assert log.numbers == list(range(50))
    check_whole(log, range(80))
    (gap,) = log.of("audit.gap")
    assert gap["fields"]["lost"] == 30
    assert gap["fields"]["first_ts"] < gap["fields"]["last_ts"]
    assert emitter.health()["losses"]["events"] == 30


def test_a_lock_file_that_was_deleted_is_made_again_by_everybody(tmp_path: Path) -> None:
    emitters = [make(tmp_path) for _ in range(3)]
    lock = tmp_path / "audit.jsonl.lock"
    number = 0
    for _ in range(10):
        for emitter in emitters:
            emitter.emit(None, "disk.event", {"n": number})
            number += 1
        lock.unlink()
        lock.touch(0o640)
        time.sleep(0.1)  # the lock is looked at ten times a second
    for emitter in emitters:
        assert emitter.flush(PATIENCE)
        emitter.close()
    assert sorted(Log(tmp_path).check().numbers) == list(range(number))


def test_a_lock_file_of_another_time_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl.lock").write_text("4711\n")
    emitter = make(tmp_path)
    assert emitter.emit(None, "disk.event", {"n": 0}) is not None
    emitter.close()


@needs_root
def test_a_read_only_file_system_is_waited_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        emitter = make(disk / "logs")
        assert emitter.emit(None, "disk.event", {"n": 0}) is None
        assert emitter.health()["sinks"]["jsonl"]["last_error"] == "EROFS"
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert emitter.flush(PATIENCE)
        emitter.close()
        assert Log(disk / "logs").check().numbers == [0]


@needs_root
def test_a_file_system_that_was_unmounted_is_no_reason_to_lose_anything(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        emitter = make(disk)
        assert emitter.emit(None, "disk.event", {"n": 0}) is not None
        subprocess.run(["umount", "-l", str(disk)], check=True)
        emitter.emit(None, "disk.event", {"n": 1})
        assert emitter.close(PATIENCE)  # which writes it also where the lock was looked at first
        assert Log(disk).check().numbers == [1]
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)


def test_a_platform_that_lacks_most_calls_has_one_writing_process(tmp_path: Path) -> None:
    """Windows, say: no ``fcntl``, no reading or writing at a place, no ``fdatasync``."""
    code = (
        "import os, sys\n"
        "sys.modules['fcntl'] = None\n"
        "for name in ('pread', 'pwrite', 'preadv', 'pwritev', 'fdatasync', 'link', 'uname',\n"
        "             'register_at_fork', 'O_NOFOLLOW', 'O_CLOEXEC', 'O_NONBLOCK'):\n"
        "    delattr(os, name)\n"
        "from audit_emit import Emitter\n"
        "emitter = Emitter(jsonl=sys.argv[1], service='faults', max_bytes=4096, stdout=False)\n"
        "for n in range(20):\n"
        "    assert emitter.emit(None, 'disk.event', {'n': int(sys.argv[2]) + n}) is not None\n"
        "assert emitter.flush(20)\n"
        "from audit_emit._stores.base import Loss\n"
        "emitter.store.leave_word([Loss(3, 'a', 'b', 'test', 'jsonl')])\n"
        "assert emitter.close(20)\n"
    )
    for first in ("0", "20"):
        command = [sys.executable, "-c", code, str(tmp_path / "audit.jsonl"), first]
        done = subprocess.run(command, env=environment(), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    log = Log(tmp_path).check()
    assert log.numbers == list(range(40))
    assert len({record["chain"] for record in log.records}) == 1
    (gap,) = log.of("audit.gap")
    assert gap["fields"]["lost"] == 3


@pytest.mark.parametrize("event", ["open", "fcntl.flock", "object.__getattr__"])
def test_an_audit_hook_that_forbids_a_call_costs_no_field_and_no_lock(
    event: str, tmp_path: Path
) -> None:
    found = run(scenes.hooked, tmp_path, event)
    assert found["after"][0]
    assert found["flushed"]
    log = Log(tmp_path).check()
    assert sorted(log.numbers) == list(range(6))


def test_a_directory_whose_name_is_no_utf_8_has_a_log(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        directory.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    emitter = make(directory)
    assert emitter.emit(None, "disk.event", {"n": 1}) is not None
    assert emitter.close()
