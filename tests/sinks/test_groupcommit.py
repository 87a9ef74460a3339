from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from descriptors import same_file

from audit_emit.sinks import groupcommit
from audit_emit.sinks.groupcommit import RECORDS, SECONDS, GroupCommit


class Log:
    """What a sink gives a group: its file and its lock; and what a sync saw."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        self.lock = threading.Lock()
        self.taken: list[int] = []
        """How many lines each sync took, which is before it is done."""
        self.synced: list[int] = []
        self.doubtful: list[bytes] = []
        self.error: OSError | None = None
        self.asked = 0
        self.group = GroupCommit(self.duplicate, self.doubtful.extend)
        monkeypatch.setattr(groupcommit, "fdatasync", self.fdatasync)

    def duplicate(self, take: Callable[[], None]) -> int:
        self.asked += 1
        with self.lock:
            copy = os.dup(self.descriptor) if self.descriptor >= 0 else -1
            self.taken.append(len(self.group.lines))
            take()
            return copy

    def fdatasync(self, number: int) -> None:
        if self.error is not None:
            raise self.error
        self.synced.append(os.fstat(number).st_ino)

    def add(self, line: bytes) -> None:
        with self.lock:
            self.group.lines.append(line)
            self.group.wake()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    made = Log(tmp_path / "audit.jsonl", monkeypatch)
    yield made
    made.group.stop()
    # A thread that is still at it must not sync what gets the number next.
    with made.lock:
        number, made.descriptor = made.descriptor, -1
    os.close(number)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


def test_the_bounds_of_the_documentation() -> None:
    assert (RECORDS, SECONDS) == (100, 0.2)


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
    log.group.sync()
    assert log.group.lines == []
    assert set(log.synced) == {os.fstat(log.descriptor).st_ino}


def test_without_a_file_there_is_nothing_to_sync(log: Log) -> None:
    number, log.descriptor = log.descriptor, -1
    log.group.sync()
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
        log.group.sync()
    log.error = OSError(errno.EIO, "broken")
    log.group.sync()
    assert before == same_file(log.descriptor) == 1


def test_lines_of_a_failed_sync_are_handed_back_and_not_synced_again(log: Log) -> None:
    log.error = OSError(errno.EIO, "broken")
    with log.lock:
        log.group.lines += [b"1\n", b"2\n"]
    log.group.sync()
    assert log.doubtful == [b"1\n", b"2\n"]
    assert log.group.lines == []


def test_a_failed_sync_of_a_retired_file_leaves_its_lines_in_doubt(
    log: Log, tmp_path: Path
) -> None:
    log.error = OSError(errno.EIO, "broken")
    with log.lock:
        log.group.lines.append(b"1\n")
    log.group.retire(os.open(tmp_path / "old", os.O_RDWR | os.O_CREAT))
    log.group.sync()
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
