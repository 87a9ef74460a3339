from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.injector import Interrupter
from support.waiting import PATIENCE

from audit_emit._stores.jsonl import lockfile
from audit_emit._stores.jsonl.directory import open_file
from audit_emit._stores.jsonl.lockfile import LOCK, UNLOCK, LockFile, flock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl.lock"


def opened(path: Path) -> LockFile:
    lock = LockFile(str(path))
    lock.open()
    return lock


def soon(seconds: float = 0.0) -> float:
    return time.monotonic() + seconds


def test_it_excludes_another_descriptor(path: Path) -> None:
    first, second = opened(path), opened(path)
    assert first.acquire(soon())
    assert not second.acquire(soon())
    flock(first.descriptor, UNLOCK)
    assert second.acquire(soon())
    first.close()
    second.close()


def test_it_excludes_another_process_until_that_ends(path: Path) -> None:
    code = (
        "import sys\n"
        "from audit_emit._stores.jsonl.lockfile import LockFile\n"
        "lock = LockFile(sys.argv[1]); lock.open(); lock.acquire(0)\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    lock = opened(path)
    assert not lock.acquire(soon())
    holder.kill()
    holder.communicate(timeout=PATIENCE)
    assert lock.acquire(soon(10))
    lock.close()


def test_waiting_is_bounded(path: Path) -> None:
    holder, waiter = opened(path), opened(path)
    holder.acquire(soon())
    begun = time.monotonic()
    assert not waiter.acquire(soon(0.05))
    assert time.monotonic() - begun >= 0.05
    holder.close()
    waiter.close()


def test_it_is_had_as_soon_as_it_is_given_back(path: Path) -> None:
    holder, waiter = opened(path), opened(path)
    holder.acquire(soon())
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(waiter.acquire(soon(20))))
    thread.start()
    flock(holder.descriptor, UNLOCK)
    thread.join(PATIENCE)
    assert got == [True]
    holder.close()
    waiter.close()


def test_it_is_a_file_of_its_own_that_nobody_inherits(path: Path) -> None:
    lock = opened(path)
    assert path.stat().st_size == 0
    assert not os.get_inheritable(lock.descriptor)
    lock.close()
    assert path.exists()


def test_it_is_current_while_it_is_the_file_that_others_would_open(path: Path) -> None:
    lock = opened(path)
    assert lock.is_current()
    path.unlink()
    assert not lock.is_current()
    path.touch()
    assert not lock.is_current()
    lock.close()
    assert not lock.is_current()


def test_a_descriptor_that_became_somebody_elses_is_neither_current_nor_closed(
    path: Path, tmp_path: Path
) -> None:
    lock = opened(path)
    number = lock.descriptor
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), number)
    assert not lock.is_current()
    lock.close()
    assert os.fstat(number).st_ino == (tmp_path / "theirs").stat().st_ino
    os.close(number)


def test_closing_twice_and_before_opening_is_nothing(path: Path) -> None:
    lock = LockFile(str(path))
    lock.close()
    lock.open()
    lock.close()
    lock.close()
    assert lock.descriptor == -1


@pytest.mark.parametrize("error", sorted(lockfile._NO_LOCKS))
def test_a_file_system_without_locks_is_told_and_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(number: int, operation: int) -> None:
        raise OSError(error, os.strerror(error))

    lock = opened(path)
    assert lock.supported
    monkeypatch.setattr(lockfile, "flock", refuse)
    assert lock.acquire(soon())
    assert not lock.supported
    lock.close()


def test_any_other_failure_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, operation: int) -> None:
        raise OSError(errno.EIO, "broken")

    lock = opened(path)
    monkeypatch.setattr(lockfile, "flock", refuse)
    with pytest.raises(OSError, match="broken"):
        lock.acquire(soon())
    lock.close()


def test_it_cannot_be_opened_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none" / "lock")


def test_a_symbolic_link_is_refused(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        opened(path)


def test_locking_is_supported_here_and_does_not_wait(path: Path) -> None:
    assert lockfile.SUPPORTED
    first, second = opened(path), opened(path)
    flock(first.descriptor, LOCK)
    with pytest.raises(BlockingIOError):
        flock(second.descriptor, LOCK)
    first.close()
    second.close()


def test_a_platform_without_fcntl_can_import_it() -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from audit_emit._stores.jsonl import lockfile\n"
        "lockfile.flock(0, lockfile.LOCK)\n"
        "assert not lockfile.SUPPORTED\n"
        "import audit_emit\n"
        "assert audit_emit.configure(stdout=False).emit(None, 'a.b').seq == 2\n"
        "assert 'no file locks here' in str(audit_emit.health()['notes'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


# A second name


@pytest.fixture
def twin(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def linked(path: Path, twin: Path) -> LockFile:
    lock = LockFile(str(path), str(twin))
    lock.open()
    return lock


def test_a_lock_file_that_was_deleted_is_the_same_file_again(path: Path, twin: Path) -> None:
    """Who still holds it excludes who finds it missing."""
    holder = linked(path, twin)
    assert holder.acquire(soon())
    path.unlink()
    newcomer = linked(path, twin)
    assert not newcomer.acquire(0.0)
    assert holder.is_current()
    holder.close()
    assert newcomer.acquire(soon())
    newcomer.close()


def test_a_name_that_goes_is_noticed(path: Path, twin: Path) -> None:
    for name in (path, twin):
        lock = linked(path, twin)
        assert lock.is_linked()
        name.unlink()
        assert not lock.is_linked()
        lock.close()


def test_a_lock_file_that_was_replaced_gets_the_second_name(path: Path, twin: Path) -> None:
    before = linked(path, twin)
    path.unlink()
    path.touch()
    after = linked(path, twin)
    assert not before.is_linked()
    assert (after.is_linked(), after.is_current(), after.links) == (True, True, 2)
    assert twin.samefile(path)
    before.close()
    after.close()


def test_without_hard_links_it_is_a_lock_file_all_the_same(
    path: Path, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    lock = linked(path, twin)
    assert lock.acquire(soon())
    assert (lock.is_linked(), lock.links) == (True, 1)
    path.unlink()
    assert not lock.is_linked()
    lock.close()


def test_a_child_forked_while_it_is_opened_takes_no_lock_of_its_parents(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the parent has just opened is one lock for both: the child would give it back, too."""
    lock = LockFile(str(path))
    given: list[int] = []

    def forked(*arguments: Any, **options: Any) -> int:
        given.append(open_file(*arguments, **options))
        lock.abandon()  # as the child does, before the frame in which it was forked goes on
        return given[0]

    monkeypatch.setattr(lockfile, "open_file", forked)
    with pytest.raises(OSError, match="forked"):
        lock.open()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(given[0])
    with pytest.raises(OSError, match="forked"):
        lock.acquire(time.monotonic())
    lock.close()


def is_open(number: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{number}")


linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is open")


@linux
def test_a_child_forked_while_it_is_closed_closes_it_too(path: Path) -> None:
    """It would hold the lock as long as it lives, which its parent gives back by closing."""
    for at in itertools.count():
        lock = LockFile(str(path))
        lock.open()
        number = lock.descriptor
        # As the child does, before the frame in which it was forked goes on.
        child = Interrupter(lock.abandon, at)
        with suppress(OSError):
            child.run(lock.close)
        assert not is_open(number), child.where
        if not child.where:
            break
    assert at > 2


@linux
def test_a_child_forked_while_something_is_remembered_writes_it_nowhere(
    path: Path, tmp_path: Path
) -> None:
    """The number of the descriptor is that of another file of the child's by then: its log's."""
    other = tmp_path / "of the child"
    opened: list[int] = []
    for at in itertools.count():
        lock = LockFile(str(path))
        lock.open()
        number = lock.descriptor

        def forked(lock: LockFile = lock) -> None:
            lock.abandon()
            opened.append(os.open(other, os.O_RDWR | os.O_CREAT))

        child = Interrupter(forked, at)
        with suppress(OSError):
            child.run(partial(lock.remember, b"of the parent"))
        if not child.where:
            break
        assert opened == [number]
        os.close(opened.pop())
        assert other.read_bytes() == b"", child.where
    assert at > 2
    lock.close()
