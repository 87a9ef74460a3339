from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from support.open_descriptors import same_file
from support.waiting import PATIENCE, until

from audit_emit._runtime.threads import Background
from audit_emit._stores.jsonl import group_commit as groupcommit
from audit_emit._stores.jsonl import retired
from audit_emit._stores.jsonl.group_commit import (
    MOST,
    MOST_BYTES,
    RECORDS,
    SECONDS,
    STALLED,
    THREADLESS,
    GroupCommit,
)
from audit_emit._stores.jsonl.retired import CROWD, MOST_RETIRED


class Log:
    """What a sink gives a group: its file and its lock; and what a sync saw."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        self.lock = threading.Lock()
        self.taken: list[int] = []
        """How many lines each sync took, which is before it is done."""
        self.synced: list[int] = []
        self.doubtful: list[bytes] = []
        self.forgotten = 0
        self.error: OSError | None = None
        self.asked = 0
        self.gate = threading.Event()
        """A sync takes until it is set."""
        self.gate.set()
        self.syncs = threading.Event()
        self.group = GroupCommit(self.duplicate, self.fail)
        monkeypatch.setattr(retired, "fdatasync", self.fdatasync)

    def duplicate(self, take: Callable[[], None], seconds: float) -> int:
        self.asked += 1
        if not self.lock.acquire(timeout=seconds):
            raise TimeoutError(errno.ETIMEDOUT, "held")
        try:
            copy = os.dup(self.descriptor) if self.descriptor >= 0 else -1
            self.taken.append(len(self.group.lines))
            take()
            return copy
        finally:
            self.lock.release()

    def fail(self, lines: list[bytes], forgotten: int) -> bool:
        self.doubtful += lines
        self.forgotten += forgotten
        return False

    def fdatasync(self, number: int) -> None:
        self.syncs.set()
        assert self.gate.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        self.synced.append(os.fstat(number).st_ino)

    def add(self, line: bytes) -> None:
        with self.lock:
            self.group.lines.append(line)
            self.group.wake()

    def hang(self) -> None:
        """Let a sync begin that does not end."""
        self.gate.clear()
        self.syncs.clear()
        self.add(b"line\n")
        assert self.syncs.wait(PATIENCE)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    made = Log(tmp_path / "audit.jsonl", monkeypatch)
    yield made
    made.gate.set()
    made.group.stop()
    # A thread that is still at it must not sync what gets the number next.
    with made.lock:
        number, made.descriptor = made.descriptor, -1
    os.close(number)


def test_the_bounds_of_the_documentation() -> None:
    assert (RECORDS, SECONDS) == (100, 0.2)
    assert (MOST, MOST_BYTES) == (10_000, 16 * 1024 * 1024)


def test_a_line_is_synced_in_the_background(log: Log) -> None:
    begun = time.monotonic()
    log.add(b"1\n")
    until(lambda: bool(log.synced))
    assert time.monotonic() - begun >= SECONDS / 2
    until(lambda: log.group.lines == [])


def test_lines_of_one_moment_share_a_sync(log: Log) -> None:
    with log.lock:
        for number in range(20):
            log.group.lines.append(b"%d\n" % number)
            log.group.wake()
    until(lambda: bool(log.synced))
    assert log.taken[0] == 20


def test_many_lines_do_not_wait_for_the_end_of_the_moment(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "SECONDS", 3600.0)
    for number in range(RECORDS):
        log.add(b"%d\n" % number)
    until(lambda: log.group.lines == [])


def test_lines_after_a_sync_are_synced_too(log: Log) -> None:
    for _ in range(3):
        before = len(log.synced)
        log.add(b"line\n")
        until(lambda seen=before: len(log.synced) > seen and not log.group.lines)  # type: ignore[misc]


def test_a_sync_on_demand_covers_what_was_written(log: Log) -> None:
    log.add(b"line\n")
    log.group.sync(20)
    assert log.group.lines == []
    assert set(log.synced) == {os.fstat(log.descriptor).st_ino}


def test_without_a_file_there_is_nothing_to_sync(log: Log) -> None:
    number, log.descriptor = log.descriptor, -1
    log.group.sync(20)
    log.descriptor = number
    assert (log.synced, log.doubtful) == ([], [])


def test_a_retired_file_is_synced_and_closed(log: Log, tmp_path: Path) -> None:
    old = os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT)
    inode = os.fstat(old).st_ino
    log.group.retire(old)
    until(lambda: inode in log.synced)

    def closed() -> bool:
        try:
            os.fstat(old)
        except OSError:
            return True
        return False

    until(closed)


def test_syncing_leaves_no_descriptor_open(log: Log) -> None:
    before = same_file(log.descriptor)
    for _ in range(10):
        log.group.sync(20)
    log.error = OSError(errno.EIO, "broken")
    log.group.sync(20)
    assert before == same_file(log.descriptor) == 1


def test_lines_of_a_failed_sync_are_handed_back_and_not_synced_again(log: Log) -> None:
    log.error = OSError(errno.EIO, "broken")
    with log.lock:
        log.group.lines += [b"1\n", b"2\n"]
    log.group.sync(20)
    assert log.doubtful == [b"1\n", b"2\n"]
    assert log.group.lines == []


def test_a_failed_sync_of_a_retired_file_leaves_its_lines_in_doubt(
    log: Log, tmp_path: Path
) -> None:
    log.error = OSError(errno.EIO, "broken")
    with log.lock:
        log.group.lines.append(b"1\n")
    log.group.retire(os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT))
    log.group.sync(20)
    until(lambda: log.doubtful == [b"1\n"])


def test_a_moment_without_descriptors_is_survived(log: Log) -> None:
    """EMFILE: the thread lives, and the lines are synced later."""
    number, log.descriptor = log.descriptor, 10**6
    log.add(b"line\n")
    thread = log.group._thread
    assert thread is not None
    until(lambda: log.asked >= 2)
    assert log.group.lines == [b"line\n"]
    assert thread.is_alive()
    log.descriptor = number
    until(lambda: bool(log.synced))
    assert log.taken[0] == 1


# A sync that hangs


def test_who_waits_for_a_sync_that_hangs_waits_as_long_as_they_want(log: Log) -> None:
    log.hang()
    begun = time.monotonic()
    assert not log.group.sync(0.2)
    assert time.monotonic() - begun >= 0.2
    log.gate.set()
    assert log.group.sync(PATIENCE)


def test_a_wake_waits_for_no_sync_and_takes_no_lock(log: Log) -> None:
    log.hang()
    with log.lock:
        for number in range(3 * RECORDS):
            log.group.lines.append(b"%d\n" % number)
            assert log.group.wake()


def test_signal_handlers_that_sync_within_each_other_all_get_their_answer(log: Log) -> None:
    """The main thread waits for a sync, and so does its handler, which is interrupted in turn."""
    depth = 0
    answers: list[bool] = []

    def handler(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth < 3:
            signal.raise_signal(signal.SIGUSR1)
        else:
            log.gate.set()
        answers.append(log.group.sync(20))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        log.hang()
        main = threading.get_ident()
        timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1))
        timer.start()
        answers.append(log.group.sync(20))
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == [True] * 4


def test_a_sync_that_hangs_is_told(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupcommit, "SLOW_SECONDS", 0.01)
    assert log.group.trouble() is None
    log.hang()
    until(lambda: log.group.trouble() == STALLED)
    log.gate.set()
    until(lambda: log.group.trouble() is None)


def test_files_that_wait_for_a_sync_that_hangs_are_bounded(log: Log, tmp_path: Path) -> None:
    log.hang()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(MOST_RETIRED + 20):
        assert log.group.is_crowded() == (number >= CROWD)
        log.group.retire(os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT))
    assert len(os.listdir("/proc/self/fd")) == before + MOST_RETIRED
    log.add(b"2\n")
    log.gate.set()
    # What was closed without a sync is as good as a sync that failed.
    until(lambda: log.doubtful == [b"2\n"])


# Without threads


@pytest.fixture
def threadless(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Background, "start", refuse)


@pytest.mark.usefixtures("threadless")
def test_without_threads_a_wake_leaves_the_sync_to_who_flushes(log: Log) -> None:
    for number in range(2 * RECORDS):
        log.add(b"%d\n" % number)
    assert log.synced == []
    assert log.group.trouble() == THREADLESS
    assert log.group.sync(PATIENCE)
    assert log.taken == [2 * RECORDS]


@pytest.mark.usefixtures("threadless")
def test_without_threads_a_signal_handler_in_a_sync_is_refused(log: Log) -> None:
    answers: list[bool] = []
    fdatasync = log.fdatasync

    def interrupted(number: int) -> None:
        answers.append(log.group.sync(20))
        fdatasync(number)

    with patch.object(retired, "fdatasync", interrupted):
        assert log.group.sync(PATIENCE)
    assert answers == [False]


@pytest.mark.usefixtures("threadless")
def test_without_threads_the_sync_of_another_is_waited_for_within_the_time(log: Log) -> None:
    log.gate.clear()
    other = threading.Thread(target=log.group.sync, args=(20,))
    other.start()
    assert log.syncs.wait(PATIENCE)
    assert not log.group.sync(0.05)
    log.gate.set()
    other.join(PATIENCE)
    assert log.group.sync(PATIENCE)


@pytest.mark.usefixtures("threadless")
def test_without_threads_a_sync_that_is_interrupted_is_made_again(log: Log, tmp_path: Path) -> None:
    log.add(b"1\n")
    log.group.retire(os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT))
    before = len(os.listdir("/proc/self/fd"))
    interrupted = patch.object(retired, "fdatasync", side_effect=KeyboardInterrupt)
    with interrupted, pytest.raises(KeyboardInterrupt):
        log.group.sync(20)
    assert log.group.lines == [b"1\n"]
    assert log.group.sync(PATIENCE)
    assert (log.group.lines, log.doubtful) == ([], [])
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_once_there_is_a_thread_again_it_syncs(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupcommit, "_RETRY_SECONDS", 0.0)
    start = Background.start
    refused = iter([True, False])

    def sometimes(self: Background, work: Callable[..., object], *args: object) -> None:
        if next(refused, False):
            raise RuntimeError("can't start new thread")
        start(self, work, *args)

    monkeypatch.setattr(Background, "start", sometimes)
    log.add(b"1\n")
    assert log.group.trouble() == THREADLESS
    log.add(b"2\n")
    until(lambda: bool(log.synced))
    assert log.group.trouble() is None


# Nobody closes it


def test_a_group_that_is_dropped_ends_its_thread_and_syncs_what_it_has(
    log: Log, tmp_path: Path
) -> None:
    log.add(b"1\n")
    until(lambda: bool(log.synced))
    thread = log.group._thread
    assert thread is not None
    number = os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT)
    inode = os.fstat(number).st_ino
    log.group.retire(number)
    log.group = GroupCommit(log.duplicate, log.fail)
    until(lambda: inode in log.synced)
    until(lambda: not thread.is_alive())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_group_that_is_stopped_in_a_sync_that_hangs_still_gives_everything_back(
    log: Log, tmp_path: Path
) -> None:
    log.hang()
    thread = log.group._thread
    assert thread is not None
    number = os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT)
    log.group.retire(number)
    log.group.stop()
    log.gate.set()
    until(lambda: not thread.is_alive())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
