"""Removing old segments: what goes, what stays, and what an interruption leaves behind."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from faults import child, scenes_prune
from support.chain_builder import MadeChain
from support.prunable_log import DAY, KEY, OTHER, RING, PrunableLog
from support.sampling import EVERY

from audit_emit._checkpoints.prove import prove_record
from audit_emit._format.removal import Removal, fields_of, signed
from audit_emit._readers.opening import open_reader
from audit_emit._retention.files import LOCK, Pruner
from audit_emit._retention.holds import PLACED, RELEASED, Hold, Holds
from audit_emit._retention.holds import RECORD as HOLD
from audit_emit._retention.holds import fields_of as hold_fields
from audit_emit._retention.statement import Limits
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._stores.jsonl.lockfile import LockFile
from audit_emit._verify.findings import Kind
from audit_emit.errors import RetentionError, SinkError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PrunableLog:
    return PrunableLog(tmp_path_factory.mktemp("made") / "log")


@pytest.fixture
def log(made: PrunableLog, tmp_path: Path) -> PrunableLog:
    return made.copy(tmp_path / "log")


def removal_of(log: PrunableLog, days: float = 30) -> Removal:
    found = log.prune(days).removal
    assert found is not None
    return found


class TestWhatGoes:
    def test_whole_segments_that_are_old_and_signed(self, log: PrunableLog) -> None:
        made = log.prune(30)
        assert made.removal is not None
        assert (made.removal.first_seq, made.removal.last_seq, made.oldest_seq) == (1, 600, 601)
        assert [int(path.stem[-20:]) for path in log.segments()] == [601, 901]
        assert log.verify().exit_status == 0

    def test_the_newest_segment_never_goes(self, log: PrunableLog) -> None:
        removal = removal_of(log, -1)
        assert removal.last_seq == 1200
        assert log.active.exists()
        assert log.verify().exit_status == 0

    def test_a_rehearsal_changes_nothing(self, log: PrunableLog) -> None:
        before = {path: path.read_bytes() for path in log.path.rglob("*") if path.is_file()}
        made = log.prune(30, rehearse=True)
        assert made.removal is not None
        assert (made.removal.last_seq, len(made.files)) == (600, 2)
        assert {path: path.read_bytes() for path in log.path.rglob("*") if path.is_file()} == before

    def test_nothing_that_no_checkpoint_covers(self, log: PrunableLog) -> None:
        path = log.path / "checkpoints.jsonl"
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        made = log.prune(-1)
        assert made.removal is not None
        assert made.removal.last_seq == 300
        assert "no checkpoint" in made.stopped

    def test_a_clock_that_was_ahead_keeps_nothing_for_ever(self, tmp_path: Path) -> None:
        log = PrunableLog(tmp_path / "log", records=0, part=10)
        lines = MadeChain(begin=log.now + 1000 * DAY).add(10).lines
        log.active.write_bytes(b"".join(line + b"\n" for line in lines))
        log.sign(now_ns=lambda: log.now - 100 * DAY)
        log.rotate()
        log.append("audit.started", {})
        log.sign()
        assert removal_of(log, 90).last_seq == 10

    def test_packed_segments_and_their_copies_go_too(self, log: PrunableLog) -> None:
        first, second, *_ = log.segments()
        Path(f"{first}.gz").write_bytes(gzip.compress(first.read_bytes()))
        first.unlink()
        Path(f"{second}.gz").write_bytes(b"being made")
        removal_of(log)
        assert not list(log.path.glob("*.gz"))
        assert log.verify().exit_status == 0

    def test_a_second_name_of_a_segment_goes_too(self, log: PrunableLog) -> None:
        os.link(log.segments()[0], log.path / "audit.jsonl.1")
        removal_of(log)
        assert not (log.path / "audit.jsonl.1").exists()
        assert log.verify().exit_status == 0

    def test_twice_is_once(self, log: PrunableLog) -> None:
        removal_of(log)
        made = log.prune(30)
        assert (made.removal, made.files, made.oldest_seq) == (None, (), 601)


class TestWhatStays:
    def test_records_that_are_left_are_proved(self, log: PrunableLog) -> None:
        removal_of(log)
        for seq in (601, 700, 900, 1399):
            with open_reader(str(log.path)) as reader:
                made = prove_record(reader, seq, RING)
            assert made.judge(RING).verdict == "ok"
            assert made.record.encode() == log.lines[seq - 1]

    def test_a_record_that_is_gone_is_said_to_be(self, log: PrunableLog) -> None:
        removal_of(log)
        with (
            open_reader(str(log.path)) as reader,
            pytest.raises(LookupError, match="was removed"),
        ):
            prove_record(reader, 600, RING)

    def test_the_signer_goes_on(self, log: PrunableLog) -> None:
        removal_of(log)
        log.append("audit.started", {})
        log.sign()
        assert log.verify().unanchored == 0

    def test_a_signer_that_lost_its_state_begins_behind_what_is_gone(
        self, log: PrunableLog
    ) -> None:
        removal_of(log)
        (log.path / "checkpoints.state").unlink()
        log.append("audit.started", {})
        log.sign(first=True)
        report = log.verify()
        assert (report.exit_status, report.anchored_seq) == (0, report.last_seq)


class TestHolds:
    def test_what_is_held_stays_with_all_that_comes_after_it(self, log: PrunableLog) -> None:
        log.append(HOLD, hold_fields(PLACED, Hold("case-7", 400, 410), ""))
        made = log.prune(-1)
        assert made.removal is not None
        assert made.removal.last_seq == 300
        assert "case-7" in made.stopped

    def test_a_hold_outlives_the_record_that_placed_it(self, log: PrunableLog) -> None:
        log.append(HOLD, hold_fields(PLACED, Hold("case-7", 5000, None), ""))
        log.append(HOLD, hold_fields(PLACED, Hold("case-8", 5000, None), ""))
        log.append(HOLD, hold_fields(RELEASED, Hold("case-8"), ""))
        log.rotate()
        log.append("audit.started", {})
        log.sign()
        assert removal_of(log, -1).last_seq > 1400
        assert log.verify().exit_status == 0
        with open_reader(str(log.path)) as reader:
            assert [one.name for one in Holds.of(reader, RING).all] == ["case-7"]
            assert [one.name for one in Holds.of(reader, KeyRing()).all] == ["case-7"]

    @pytest.mark.parametrize(("holds", "fits"), [(24, True), (26, False)])
    def test_what_one_record_has_no_room_to_carry_on_stays(
        self, log: PrunableLog, holds: int, *, fits: bool
    ) -> None:
        lines = [
            hold_fields(PLACED, Hold(f"case-{n}", 5000, None, "y " * 900), "") for n in range(holds)
        ]
        for fields in lines:
            log.append(HOLD, fields)
        log.rotate()
        log.append("audit.started", {})
        log.sign()
        if fits:
            assert len(removal_of(log, -1).carried) == holds
            assert len(log.active.read_bytes().splitlines()[-1]) > 50_000
            assert log.verify().exit_status == 0
            return
        with pytest.raises(RetentionError) as error:
            log.prune(-1)
        assert error.value.reason == "too-many"
        assert len(log.segments()) == 5

    def test_a_removal_that_nobody_signed_releases_nothing(self, log: PrunableLog) -> None:
        log.append(HOLD, hold_fields(PLACED, Hold("case-7", 5000, None), ""))
        log.rotate()
        log.append("audit.started", {})
        log.sign()
        removal = removal_of(log, -1)
        forged = signed(msgspec.structs.replace(removal, carried=()), OTHER)
        log.append("audit.pruned", fields_of(forged))
        with open_reader(str(log.path)) as reader:
            assert Holds.of(reader, RING).is_held(5000, 5000) is not None
            assert Holds.of(reader, KeyRing()).is_held(5000, 5000) is not None

    def test_what_was_declared_and_is_held_by_now_is_not_deleted(self, log: PrunableLog) -> None:
        second = log.segments()[1]
        data = second.read_bytes()
        removal_of(log)
        second.write_bytes(data)
        log.append(HOLD, hold_fields(PLACED, Hold("case-7", 600, 600), ""))
        made = log.prune(-1)
        assert (made.removal, made.files) == (None, ())
        assert second.exists()

    def test_no_more_goes_than_somebody_else_allows(self, log: PrunableLog) -> None:
        made = log.prune(-1, allowed=650)
        assert made.removal is not None
        assert made.removal.last_seq == 600


class TestWhatIsRefused:
    def test_a_log_that_was_tampered_with(self, log: PrunableLog) -> None:
        path = log.segments()[2]
        path.write_bytes(path.read_bytes().replace(b"u-17", b"u-18", 1))
        with pytest.raises(RetentionError) as error:
            log.prune(30)
        assert error.value.reason == "tampered"
        assert len(log.segments()) == 4

    @pytest.mark.parametrize("ring", [KeyRing([OTHER]), KeyRing([KEY, OTHER])])
    def test_another_key_than_the_one_that_signs(self, log: PrunableLog, ring: KeyRing) -> None:
        with pytest.raises(RetentionError):
            log.prune(30, ring=ring)
        assert len(log.segments()) == 4

    def test_the_public_half_of_the_key(self, tmp_path: Path) -> None:
        private = Ed25519Key.from_seed(b"n" * 32)
        log = PrunableLog(tmp_path / "log", records=100, part=30, ring=KeyRing([private]))
        with pytest.raises(RetentionError) as error:
            log.prune(-1, ring=KeyRing([Ed25519Key(private.public)]))
        assert error.value.reason == "no-key"

    def test_a_log_that_was_never_signed(self, log: PrunableLog) -> None:
        (log.path / "checkpoints.jsonl").unlink()
        with pytest.raises(RetentionError):
            log.prune(30)

    def test_a_second_one_at_the_same_time(
        self, log: PrunableLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("audit_emit._retention.files.LOCK_SECONDS", 0.0)
        lock = LockFile(str(log.path / LOCK))
        lock.open()
        assert lock.acquire(0.0)
        try:
            with pytest.raises(RetentionError) as error:
                log.prune(30)
        finally:
            lock.close()
        assert error.value.reason == "busy"


class TestInterruptions:
    @pytest.mark.parametrize("error", ["", str(errno.ENOSPC), str(errno.EACCES), str(errno.EIO)])
    def test_the_log_verifies_whatever_call_ends_it_and_the_next_run_goes_on(
        self, tmp_path: Path, error: str
    ) -> None:
        found = child.run(scenes_prune.everywhere, tmp_path, str(EVERY), error)
        assert len(found) > 5
        for one in found:
            assert one["before"]["status"] == 0, one
            assert one["after"]["status"] == 0, one
            assert one["after"]["first"] == 31, one
            assert one["after"]["declared"] <= 2, one
            assert one["after"]["left"] == [LOCK], one

    def test_writers_and_a_rotation_at_the_same_moment(self, log: PrunableLog) -> None:
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                if waited_enough(lambda: log.append("audit.started", {})):
                    rotate()

        def rotate() -> None:
            # As the library does it: with the lock, or a record that is written between the two
            # renames is in a file that the second one replaces.
            fresh = Path(f"{log.active}.new")
            with open(log.layout.lock, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                fresh.touch()
                log.rotate()
                fresh.rename(log.active)

        def prune() -> None:
            try:
                while not waited_enough(lambda: removal_of(log)):
                    pass
            finally:
                done.set()

        def waited_enough(write: Callable[[], object]) -> bool:
            try:
                write()
            except SinkError as error:
                # The other one may keep the lock longer than a record waits for it.
                if error.reason != "lock-timeout":
                    raise
                return False
            return True

        threads = [threading.Thread(target=write), threading.Thread(target=prune)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.append("audit.started", {})
        log.sign()
        report = log.verify()
        assert report.exit_status == 0, report.findings
        assert report.first_seq == 601

    def test_a_segment_that_was_packed_while_it_went(
        self, log: PrunableLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``logrotate`` packs it after it was listed: the copy goes, too."""
        first = log.segments()[0]
        declare = Pruner._declare

        def declared(pruner: Pruner, removal: Removal) -> int:
            seq = declare(pruner, removal)
            Path(f"{first}.gz").write_bytes(gzip.compress(first.read_bytes()))
            first.unlink()
            return seq

        monkeypatch.setattr(Pruner, "_declare", declared)
        removal_of(log)
        assert not list(log.path.glob("*.gz"))
        assert log.verify().counts == {Kind.PRUNED: 1}

    def test_a_key_that_changed_meanwhile_removes_nothing(
        self, log: PrunableLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = Ed25519Key.from_seed(b"n" * 32)
        declare = Pruner._declare

        def declared(pruner: Pruner, removal: Removal) -> int:
            log.append("audit.started", {})
            log.sign(KeyRing([KEY, new]))
            return declare(pruner, removal)

        monkeypatch.setattr(Pruner, "_declare", declared)
        with pytest.raises(RetentionError) as error:
            log.prune(30)
        assert error.value.reason == "no-key"
        assert len(log.segments()) == 4


def test_progress_is_told(log: PrunableLog) -> None:
    told: list[tuple[int, int]] = []
    limits = Limits(log.now - 30 * DAY, "older than 30d")
    pruner = Pruner(log.layout, RING, log.append, progress=lambda *one: told.append(one))
    pruner.run(limits)
    assert told
