from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.interpreted_emitter import interpreted
from support.jsonl_store import store_of
from support.plain_log_reader import ZERO, chain_ok, of_type, records
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._runtime import interrupts
from audit_emit._runtime.nonblocking_fd import close_quietly
from audit_emit._runtime.owned_fds import identity_of
from audit_emit._stores.jsonl import rotation, segment
from audit_emit._stores.jsonl import segment_index as whereabouts


def settled() -> None:
    """Past the moment for which a look at the path is good."""
    until = time.time_ns() + 2 * rotation.FRESH_NS
    while time.time_ns() < until:
        pass


def closed(log: Path) -> list[Path]:
    return sorted(log.parent.glob("audit-*.jsonl"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "audit.jsonl"


@pytest.fixture
def small(log: Path) -> Iterator[Emitter]:
    """Closes its segments at 4 KiB."""
    made = Emitter(jsonl=log, stdout=False, max_bytes=4096, durability="os")
    yield made
    made.close()


# The chain


def test_a_new_chain_begins_at_one_with_a_random_name(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        path = tmp_path / str(number) / "audit.jsonl"
        emitter = Emitter(jsonl=path, stdout=False)
        emitter.emit(None, "a.b")
        emitter.close()
        first = chain_ok(path)[0]
        assert (first["seq"], first["prev_hash"]) == (1, ZERO)
        names.add(first["chain"])
    assert len(names) == 3
    assert all(len(name) == 16 for name in names)


def test_two_records_never_share_a_time(emitter: Emitter, log: Path) -> None:
    now = time.time_ns()
    emitter.clock.now_ns = lambda: now
    for _ in range(5):
        emitter.emit(None, "a.b")
    times = [record["ts"] for record in chain_ok(log)]
    assert all(one != other for one, other in itertools.pairwise(times))


def test_a_clock_that_steps_back_is_recorded_as_it_is(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    emitter.clock.now_ns = lambda: 1779220800_000_000_000
    emitter.emit(None, "a.b")
    assert chain_ok(log)[-1]["ts"] == "2026-05-19T20:00:00.000000000Z"


# Rotation by size


def test_a_full_segment_is_closed_under_its_first_seq(small: Emitter, log: Path) -> None:
    for number in range(40):
        assert small.emit(None, "a.b", {"n": number})
    names = [path.name for path in closed(log)]
    assert len(names) > 2
    found = chain_ok(*closed(log), log)
    assert [one["fields"]["n"] for one in found if one["event_type"] == "a.b"] == list(range(40))
    for path in closed(log):
        assert path.name == f"audit-{records(path)[0]['seq']:020d}.jsonl"
        assert path.stat().st_size <= 4096
    assert small.counters.rotated == len(names)


def test_the_first_record_of_a_segment_says_what_it_follows(small: Emitter, log: Path) -> None:
    for number in range(40):
        small.emit(None, "a.b", {"n": number})
    files = [*closed(log), log]
    for before, path in itertools.pairwise(files):
        first, last = records(path)[0], records(before)[-1]
        assert first["event_type"] == "audit.rotated"
        assert first["fields"] == {
            "previous": before.name,
            "last_seq": last["seq"],
            "last_hash": last["hash"],
            "reason": "size",
        }
        assert first["prev_hash"] == last["hash"]


def test_a_record_larger_than_a_segment_is_still_one_record(small: Emitter, log: Path) -> None:
    for number in range(3):
        assert small.emit(None, "a.b", {"n": number, "big": ["x" * 8000]})
    found = chain_ok(*closed(log), log)
    assert [one["fields"]["n"] for one in found if one["event_type"] == "a.b"] == [0, 1, 2]


def test_a_new_process_goes_on_after_the_newest_closed_segment(small: Emitter, log: Path) -> None:
    for number in range(40):
        small.emit(None, "a.b", {"n": number})
    small.close()
    log.unlink()
    after = Emitter(jsonl=log, stdout=False)
    after.emit(None, "a.b")
    after.close()
    assert records(log)[0]["event_type"] == "audit.rotated"
    assert records(log)[0]["fields"]["previous"] == closed(log)[-1].name
    chain_ok(*closed(log), log)


def test_what_a_killed_rotation_left_behind_is_no_obstacle(small: Emitter, log: Path) -> None:
    log.with_name("audit.jsonl.new").write_text("half")
    for number in range(40):
        assert small.emit(None, "a.b", {"n": number})
    assert closed(log)
    chain_ok(*closed(log), log)
    assert not log.with_name("audit.jsonl.new").exists()


def test_a_segment_that_is_there_already_is_not_overwritten(small: Emitter, log: Path) -> None:
    small.emit(None, "a.b")
    log.with_name(f"audit-{1:020d}.jsonl").write_text("evidence\n")
    for number in range(40):
        assert small.emit(None, "a.b", {"n": number})
    first, *others = closed(log)
    assert first.read_text() == "evidence\n"
    chain_ok(*others, log)


def test_a_rotation_that_fails_is_tried_again_later(
    small: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(os, "rename", refuse)
    for number in range(40):
        assert small.emit(None, "a.b", {"n": number})
    assert closed(log) == []
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(rotation, "_RETRY_SECONDS", 0.0)
    assert small.store is not None
    store_of(small).segment.rotate_after = 0.0
    small.emit(None, "a.b", {"n": 40})
    assert len(closed(log)) == 1
    chain_ok(*closed(log), log)


def test_a_child_forked_in_a_rotation_leaves_the_file_that_its_parent_begins(
    small: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent would rename one that the child has made, and write on into one without a name."""
    small.emit(None, "a.b")
    active = store_of(small).segment
    begun = log.with_name("audit.jsonl.new")

    def forked(*kinds: type[Exception]) -> Any:
        active.abandon()  # as the child does, before the frame in which it was forked goes on
        begun.write_text("of the parent")
        return interrupts.quietly(*kinds)

    monkeypatch.setattr(rotation, "quietly", forked)
    assert not rotation.rotate(active)
    assert begun.read_text() == "of the parent"


# Rotation by others


def test_a_file_that_was_renamed_is_followed_by_a_new_one(emitter: Emitter, log: Path) -> None:
    """As logrotate does."""
    for turn in range(3):
        emitter.emit(None, "a.b", {"n": turn})
        settled()
        log.rename(log.with_name(f"audit.jsonl.{turn}"))
    emitter.emit(None, "a.b", {"n": 3})
    files = [log.with_name(f"audit.jsonl.{turn}") for turn in range(3)]
    found = chain_ok(*files, log)
    assert [one["fields"]["n"] for one in found if one["event_type"] == "a.b"] == [0, 1, 2, 3]
    first = records(log)[0]
    assert first["event_type"] == "audit.rotated"
    assert first["fields"]["previous"] == "audit.jsonl.2"
    assert first["fields"]["reason"] == "moved"
    assert of_type(log, "audit.gap") == []


def test_a_deleted_file_is_told(emitter: Emitter, log: Path) -> None:
    """Whoever deleted the file had its records; the chain goes on after them."""
    emitter.emit(None, "a.b")
    last = records(log)[-1]
    settled()
    log.unlink()
    emitter.emit(None, "c.d")
    found = chain_ok(log, after=last["hash"])
    assert [one["event_type"] for one in found] == ["audit.rotated", "c.d"]
    assert found[0]["fields"]["reason"] == "deleted"


def test_what_is_written_into_a_new_segment_that_is_deleted_at_once_is_not_lost(
    small: Emitter, log: Path
) -> None:
    """It is known since when the new one was good, not the one before it."""
    small.emit(None, "a.b", {"n": 0})
    active = store_of(small).segment
    deleted: list[Path] = []

    def delete() -> None:
        if not deleted:
            deleted.append(log)
            log.unlink()

    active.named = delete  # after it was begun, before its record
    number = 1
    while not deleted:
        assert small.emit(None, "a.b", {"n": number})
        number += 1
    settled()
    small.emit(None, "a.b", {"n": number})
    found = chain_ok(*closed(log), log)
    events = [one["fields"]["n"] for one in found if one["event_type"] == "a.b"]
    assert events == list(range(number + 1))
    assert of_type(log, "audit.recovered") == []


@pytest.mark.parametrize("keep", [0, 1])
def test_a_truncated_file_is_declared_and_the_seq_goes_on(
    emitter: Emitter, log: Path, keep: int
) -> None:
    """As copytruncate does, or ``> audit.jsonl``."""
    for _ in range(3):
        receipt = emitter.emit(None, "a.b")
    assert receipt is not None
    settled()
    size = sum(map(len, log.read_bytes().splitlines(True)[:keep]))
    os.truncate(log, size)
    emitter.emit(None, "a.b")
    found = records(log)[keep:]
    assert found[0]["seq"] == receipt.seq + 1
    assert found[0]["prev_hash"] == receipt.hash
    assert found[0]["event_type"] == ("audit.gap" if keep else "audit.rotated")
    assert found[-1]["event_type"] == "a.b"


@pytest.mark.parametrize("keep", [True, False])
def test_a_file_that_was_exchanged_shows(
    emitter: Emitter, log: Path, tmp_path: Path, keep: bool
) -> None:
    """The chain goes on as ours, so that a verifier sees where it was cut."""
    before = emitter.emit(None, "a.b")
    settled()
    other = Emitter(jsonl=tmp_path / "other" / "audit.jsonl", stdout=False)
    other.emit(None, "c.d")
    other.close()
    if keep:
        log.rename(tmp_path / "kept")
    (tmp_path / "other" / "audit.jsonl").replace(log)
    receipt = emitter.emit(None, "a.b")
    assert before is not None
    assert receipt is not None
    _, _, declared, last = records(log)
    assert declared["event_type"] == ("audit.gap" if keep else "audit.rotated")
    assert declared["fields"]["reason"] == ("file-moved" if keep else "deleted")
    assert declared["prev_hash"] == before.hash
    assert (last["chain"], last["id"]) == (before.chain, receipt.id)


# What was left there


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "rest",
    [b'{"ts":"2026', b"\0" * 100, b"hello\n", b"\n", b"\xff\xfe", b'{"level":"info"}\r\n'],
)
@pytest.mark.parametrize("again", [True, False])
def test_what_is_no_record_is_closed_declared_and_left_there(
    log: Path, rest: bytes, again: bool
) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    if again:
        emitter.close()
        emitter = Emitter(jsonl=log, stdout=False)
    settled()
    before = log.read_bytes()
    with log.open("ab") as file:
        file.write(rest)
    emitter.emit(None, "c.d")
    emitter.close()
    assert log.read_bytes().startswith(before + rest)
    (declared,) = of_type_among(log, "audit.recovered", foreign=1)
    assert declared["fields"] == {"offset": len(before), "bytes": len(rest), "sha256": sha(rest)}
    assert emitter.counters.recovered == 1


def of_type_among(log: Path, event_type: str, *, foreign: int) -> list[dict[str, Any]]:
    found = chain_ok(log, foreign=foreign)
    return [one for one in found if one["event_type"] == event_type]


def test_a_record_that_lacks_only_its_newline_gets_it(log: Path) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    emitter.close()
    os.truncate(log, log.stat().st_size - 1)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "c.d")
    emitter.close()
    kinds = [one["event_type"] for one in chain_ok(log)]
    assert kinds == ["audit.started", "a.b", "audit.started", "c.d"]


def test_a_torn_end_is_closed_and_declared_in_one_write(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed leaves it as it was, or declared; never closed and undeclared."""
    log.write_bytes(b'{"torn')
    write = os.write
    written: list[bytes] = []

    def noting(number: int, data: bytes) -> int:
        written.append(data)
        return write(number, data)

    monkeypatch.setattr(os, "write", noting)
    emitter = Emitter(jsonl=log, stdout=False, durability="os")
    emitter.emit(None, "a.b")
    emitter.close()
    assert written[0].startswith(b'\n{"ts":')
    assert b'"event_type":"audit.recovered"' in written[0]


def test_a_directory_that_cannot_be_listed_begins_no_new_chain(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")
    emitter.close()
    log.rename(log.with_name(f"audit-{1:020d}.jsonl"))
    log.with_name("audit.jsonl.lock").unlink()
    monkeypatch.setattr(os, "listdir", _unreadable)
    again = Emitter(jsonl=log, stdout=False, durability="os")
    assert again.emit(None, "c.d") is None
    assert again.outbox.last_error == "EIO"
    monkeypatch.undo()
    assert again.close(PATIENCE)
    (before,) = {one["chain"] for one in records(closed(log)[0])}
    assert {one["chain"] for one in records(log)} == {before}


def test_a_long_search_among_closed_segments_begins_no_new_chain(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")
    emitter.close()
    log.rename(log.with_name(f"audit-{1:020d}.jsonl"))
    log.with_name("audit.jsonl.lock").unlink()
    for first in range(2, 5):
        log.with_name(f"audit-{first:020d}.jsonl").write_bytes(b"no record\n")
    monkeypatch.setattr(whereabouts, "_SEARCH_SECONDS", 0.0)
    again = Emitter(jsonl=log, stdout=False, durability="os")
    assert again.emit(None, "c.d") is None
    assert again.outbox.last_error == "ETIMEDOUT"
    assert again.close(PATIENCE)
    (before,) = {one["chain"] for one in records(closed(log)[0])}
    assert {one["chain"] for one in records(log)} == {before}


def _unreadable(_: str) -> list[str]:
    raise OSError(errno.EIO, "Input/output error")


def test_a_recovered_end_is_declared_once(log: Path) -> None:
    log.write_bytes(b'{"torn')
    for _ in range(3):
        emitter = Emitter(jsonl=log, stdout=False)
        emitter.emit(None, "a.b")
        emitter.close()
    assert len(of_type_among(log, "audit.recovered", foreign=1)) == 1


# Short writes


class Disk:
    """Takes so many more bytes, then is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, number: int, data: bytes) -> int:
        if self.room is None:
            return self._write(number, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(number, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("leave", [segment.Segment.close, rotation.rotate])
def test_a_retired_number_that_is_somebody_elses_when_it_is_closed_is_left_alone(
    leave: Callable[[segment.Segment], object], small: Emitter, tmp_path: Path
) -> None:
    """It is synced and closed some time later, after the application closed every descriptor."""
    small.emit(None, "a.b")
    assert small.store is not None
    active = store_of(small).segment
    retired: list[int] = []
    active._retire = retired.append
    leave(active)
    (number,) = retired
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), number)
        close_quietly(number)
        assert identity_of(number) == identity_of(theirs.fileno())
    os.close(int(number))


@pytest.fixture
def disk(emitter: Emitter, monkeypatch: pytest.MonkeyPatch) -> Disk:
    interpreted(emitter)  # the compiled part does not ask ``os``
    return Disk(monkeypatch)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_whole_records_only(
    emitter: Emitter, log: Path, disk: Disk, room: int
) -> None:
    emitter.emit(None, "a.b")
    before = log.read_bytes()
    disk.room = room
    assert emitter.emit(None, "c.d") is None
    assert emitter.outbox.last_error == "ENOSPC"
    assert log.read_bytes() == before
    disk.room = None
    assert emitter.flush(PATIENCE)
    assert [one["event_type"] for one in chain_ok(log)][-1] == "c.d"
    assert emitter.counters.recovered == 0


def test_a_write_in_two_parts_is_whole(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    interpreted(emitter).emit(None, "a.b")
    parts: list[int] = []

    def halves(number: int, data: bytes) -> int:
        parts.append(len(data))
        return write(number, data[: max(1, len(data) // 2)] if len(parts) == 1 else data)

    monkeypatch.setattr(os, "write", halves)
    assert emitter.emit(None, "c.d") is not None
    assert len(parts) == 2
    chain_ok(log)


def test_a_tear_that_cannot_be_taken_back_is_declared_later(
    emitter: Emitter, log: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    truncate: Callable[..., None] = os.ftruncate
    monkeypatch.setattr(os, "ftruncate", refuse)
    disk.room = 50
    assert emitter.emit(None, "c.d") is None
    disk.room = None
    monkeypatch.setattr(os, "ftruncate", truncate)
    assert emitter.flush(PATIENCE)
    kinds = [one["event_type"] for one in chain_ok(log, foreign=1)]
    assert kinds == ["audit.started", "a.b", "audit.recovered", "c.d"]


# The way to the file


def test_a_symbolic_link_in_the_place_of_the_file_is_refused(
    emitter: Emitter, log: Path, tmp_path: Path
) -> None:
    emitter.emit(None, "a.b")
    settled()
    log.rename(tmp_path / "moved")
    log.symlink_to(tmp_path / "elsewhere")
    assert emitter.emit(None, "c.d") is None
    assert emitter.outbox.last_error == "ELOOP"
    assert not (tmp_path / "elsewhere").exists()
    log.unlink()
    assert emitter.flush(PATIENCE)
    chain_ok(tmp_path / "moved", log)


def test_without_descriptors_the_renamed_file_goes_on(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")
    settled()
    moved = log.with_name("audit.jsonl.1")
    log.rename(moved)
    opening = os.open

    def refuse(path: Any, *arguments: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    assert emitter.emit(None, "c.d") is not None
    monkeypatch.setattr(os, "open", opening)
    settled()
    assert emitter.emit(None, "e.f") is not None
    kinds = [one["event_type"] for one in chain_ok(moved, log)]
    assert [kind for kind in kinds if not kind.startswith("audit.")] == ["a.b", "c.d", "e.f"]


def test_an_application_that_closes_every_descriptor(
    emitter: Emitter, log: Path, tmp_path: Path
) -> None:
    """And opens its own under the same number: nothing of ours goes there."""
    emitter.emit(None, "a.b")
    assert emitter.store is not None
    numbers = (store_of(emitter).segment.descriptor, store_of(emitter).section.lock_fd)
    theirs = [os.open(tmp_path / f"theirs{n}", os.O_RDWR | os.O_CREAT) for n in numbers]
    for number, other in zip(numbers, theirs, strict=True):
        os.dup2(other, number)
    settled()
    emitter.emit(None, "c.d")
    assert emitter.flush(PATIENCE)
    assert [one["event_type"] for one in chain_ok(log)][-1] == "c.d"
    for number in (*numbers, *theirs):
        os.close(number)
    assert [(tmp_path / f"theirs{n}").stat().st_size for n in numbers] == [0, 0]


def test_a_rotation_is_not_begun_without_time_for_it(small: Emitter, log: Path) -> None:
    small.emit(None, "a.b")
    assert small.store is not None
    target = store_of(small).segment
    while target.size < 3800:
        small.emit(None, "a.b")
    target.deadline = time.monotonic() + 0.001
    target.link(small.clock.draft(*small.builder.own("a.own", {"pad": "x" * 500})))
    assert closed(log) == []
    target.deadline = 0.0
    target.link(small.clock.draft(*small.builder.own("a.own", {})))
    assert len(closed(log)) == 1


def test_no_further_file_is_begun_while_too_many_wait_for_a_sync(small: Emitter, log: Path) -> None:
    assert small.emit(None, "a.b") is not None
    assert small.store is not None
    target = store_of(small).segment
    target.crowded = lambda: True
    for _ in range(30):
        small.emit(None, "a.b")
    assert (closed(log), target.size > 4096) == ([], True)
    target.crowded = lambda: False
    small.emit(None, "a.b")
    assert len(closed(log)) == 1


# Somebody who takes no lock


def test_a_line_that_somebody_began_without_the_lock_swallows_no_record(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the look at the end of the file and the write."""
    emitter = interpreted(Emitter(jsonl=log, stdout=False, durability="os"))
    emitter.emit(None, "a.b", {"n": 0})
    write, foreign = os.write, [b"half a line", b"and more"]
    active = store_of(emitter).segment.descriptor

    def late(descriptor: int, data: bytes) -> int:
        if descriptor == active and foreign:
            with log.open("ab") as file:
                file.write(foreign.pop())
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", late)
    receipts = [emitter.emit_strict(None, "a.b", {"n": n}) for n in range(1, 4)]
    emitter.close()
    whole = [line for line in log.read_bytes().splitlines() if line.startswith(b'{"ts"')]
    parsed = [json.loads(line) for line in whole]
    assert [record["seq"] for record in parsed] == list(range(1, len(parsed) + 1))
    assert {receipt.hash for receipt in receipts} < {record["hash"] for record in parsed}


@pytest.mark.parametrize("way", ["compiled", "interpreted"])
def test_one_who_never_stops_to_append_without_the_lock_costs_no_record(
    log: Path, way: str
) -> None:
    code = (
        "import os, sys, time\n"
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
        "while os.write(file, b'x'): time.sleep(0.00005)\n"
    )
    emitter = Emitter(jsonl=log, stdout=False, durability="os")
    emitter.emit(None, "a.b", {"n": 0})
    with subprocess.Popen([sys.executable, "-ISc", code, str(log)]) as process:
        while b"x" not in log.read_bytes():
            assert process.poll() is None
        if way == "interpreted":
            interpreted(emitter)
        for n in range(1, 1000):
            emitter.emit(None, "a.b", {"n": n})
        process.kill()
    assert emitter.close(PATIENCE)
    lines = log.read_bytes().splitlines()
    seen = [json.loads(line) for line in lines if line.startswith(b'{"ts"')]
    assert [record["seq"] for record in seen] == list(range(1, len(seen) + 1))
    numbers = [record["fields"]["n"] for record in seen if record["event_type"] == "a.b"]
    assert numbers == list(range(1000))
