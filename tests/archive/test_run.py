from __future__ import annotations

import hashlib
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest
from msgspec import structs
from support.archived_log import DAY, KEY, RING, SignedLog
from support.object_store import Store
from support.waiting import PATIENCE

from audit_emit._archive.inspection import Inspection, Issue, Wanted
from audit_emit._archive.journal import Journal
from audit_emit._archive.pruning import ArchivePruner
from audit_emit._archive.restoring import restore
from audit_emit._format.manifest import Manifest
from audit_emit._readers.archived.manifests import cold_logs
from audit_emit._readers.files.regular import open_regular
from audit_emit._readers.files.stream import Stream
from audit_emit._repair.apply import apply
from audit_emit._repair.plan import plan_repair
from audit_emit._retention.files import Pruner
from audit_emit._retention.statement import Limits
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.findings import Kind
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.errors import ArchiveError


def issues(store: Store, *, days: float = 0, fresh: int | None = None) -> list[Issue]:
    with store.opened() as bucket:
        now = time.time() + days * DAY / 1e9
        wanted = Wanted(RING, {}, locked=False, days=0, now=now, fresh=fresh)
        (cold,) = cold_logs(bucket, {})
        return list(Inspection(bucket, cold, wanted).issues())


def restored(store: Store, target: Path) -> Path:
    with store.opened() as bucket:
        (cold,) = cold_logs(bucket, {})
        restore(bucket, cold, str(target))
    return target


def status(*where: object) -> int:
    (found,) = verify_paths([str(one) for one in where], Options(RING))
    return found.report.exit_status


def spoil_moved(store: Store, one: Manifest) -> None:
    """Let a manifest name something that cannot be unpacked."""
    (part,) = one.moved
    junk = b"\x28\xb5\x2f\xfd no frame"
    part = structs.replace(
        part, version="", packed_size=len(junk), packed_sha256=hashlib.sha256(junk).hexdigest()
    )
    for key, data in (
        (one.key_of(part), junk),
        (one.key, structs.replace(one, moved=(part,)).signed(KEY).to_bytes()),
    ):
        store.delete_for_good(key)
        store.replace(key, data)


def test_closed_segments_that_are_signed_go_up_with_manifests_that_follow_each_other(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    done = log.archive(store)
    assert len(done.made) == len(log.closed()) > 2
    keys = store.names()
    previous = ""
    for one in done.made:
        data = store.get(one.key)
        assert Manifest.from_bytes(data, one.key) == one
        assert one.check(RING) == "ok"
        assert one.previous == previous
        previous = one.digest()
        assert one.key_of(one.object) in keys
    log.close()


def test_a_log_that_is_half_in_the_archive_verifies_as_one(tmp_path: Path, store: Store) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    log.archive(store)
    log.sign()
    where = f"s3://{store.name}/audit"
    whole = verify_paths([str(log.directory)], Options(RING))[0]
    closed = log.closed()
    for path in closed[:2]:
        path.unlink()
    (alone,) = verify_paths([str(log.directory)], Options(RING))
    assert alone.report.exit_status == 1
    (both,) = verify_paths([str(log.directory), where], Options(RING))
    assert both.report.exit_status == 0, both.report.findings
    assert both.report.records == whole.report.records
    (cold,) = verify_paths([where], Options(RING))
    assert cold.report.exit_status == 0, cold.report.findings
    log.close()


def test_a_day_that_had_nothing_new_has_a_manifest_too(tmp_path: Path, store: Store) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        made = log.archive(store).made
        log.sign()
        names = store.names()
        assert log.archive(store).made == []
        assert store.names() == names, "it is the same day"
        for days in (1, 2, 2):
            assert log.archive(store, days=days).made == []
        assert issues(store, days=4, fresh=3) == []
        assert {one.kind for one in issues(store, days=7, fresh=3)} == {"stale"}
        (ahead,) = issues(store, days=-7, fresh=3)
        assert "still to come" in ahead.note, "of a clock that was ahead"
        idle = sorted(set(store.names()) - set(names))
        first = made[-1].last_seq + 1
        assert [one.rpartition("/")[2] for one in idle] == [
            f"{first:020d}.000001.manifest.json",
            f"{first:020d}.manifest.json",
        ]
        log.add(200)
        (log.directory / "archive.jsonl").unlink()
        again = log.archive(store, days=3).made
        assert (again[0].first_seq, again[0].idle) == (first, 2)
        assert issues(store) == []
        log.sign()
        assert status(f"s3://{store.name}/audit") == 0
        assert status(log.directory, f"s3://{store.name}/audit") == 0
        assert status(restored(store, tmp_path / "restored")) == 0
        store.delete_for_good(idle[0])
        assert {one.kind for one in issues(store)} >= {"altered"}
    finally:
        log.close()


def test_a_log_that_nobody_signs_any_more_does_not_pass_for_one_that_has_nothing_new(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        log.archive(store)
        log.sign()
        assert log.emitter.emit({}, "secret.read", {})
        assert log.emitter.flush(PATIENCE)
        assert log.archive(store, days=1).late == "", "it may just wait for its checkpoint"
        names = store.names()
        done = log.archive(store, days=4)
        assert "is not signed yet" in done.late
        assert store.names() == names
        assert {one.kind for one in issues(store, days=4, fresh=2)} == {"stale"}
        log.sign()
        assert log.archive(store, days=4).late == ""
        assert issues(store, days=4, fresh=2) == []
    finally:
        log.close()


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
def test_a_run_tells_that_the_newest_manifests_were_taken_away_and_archives_what_is_new(
    tmp_path: Path, store: Store, *, journal: bool
) -> None:
    """As where somebody brings the bucket back to what it was last month."""
    log = SignedLog(tmp_path / "log").add(200)
    try:
        made = log.archive(store).made
        last = made[-1]
        for key in [last.key, *map(last.key_of, last.parts)]:
            store.delete_for_good(key)
        if not journal:
            (log.directory / "archive.jsonl").unlink()
        log.add(100)
        again = log.archive(store)
        assert last.key in again.lost
        assert again.made
        assert again.made[-1].last_seq > last.last_seq
    finally:
        log.close()


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
def test_how_often_a_segment_is_read_does_not_grow_with_those_that_a_checkpoint_covers(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, *, journal: bool
) -> None:
    log = SignedLog(tmp_path / "log").add(100)
    try:
        log.archive(store)
        if not journal:
            (log.directory / "archive.jsonl").unlink()
        log.add(240)
        read: dict[str, int] = defaultdict(int)
        at = Stream.read

        def counted(self: Stream, *place: int) -> bytes:
            data = at(self, *place)
            read[self.file.path] += len(data)
            return data

        monkeypatch.setattr(Stream, "read", counted)
        made = log.archive(store).made
        paths = [log.directory / f"audit-{one.first_seq:020d}.jsonl" for one in made]
        assert len(paths) > 4
        # To pack it, on the way to the checkpoint, and for the record of the manifest before.
        assert max(read[str(path)] / path.stat().st_size for path in paths) <= 3
    finally:
        log.close()


def test_manifests_of_days_that_were_put_and_not_noted_are_found(
    tmp_path: Path, store: Store
) -> None:
    """As after a kill between the store's answer and the journal."""
    log = SignedLog(tmp_path / "log").add(200)
    try:
        log.archive(store)
        log.sign()  # what is not signed for days is said instead
        journal = log.directory / "archive.jsonl"
        noted = journal.read_bytes()
        before = set(store.names())
        log.archive(store, days=1)
        journal.write_bytes(noted)
        log.archive(store, days=2)
        assert len(set(store.names()) - before) == 2
        journal.write_bytes(noted)
        log.add(200)
        assert log.archive(store, days=3).made[0].idle == 2
        assert issues(store) == []
    finally:
        log.close()


def test_what_a_repair_moved_aside_is_archived_and_comes_back(tmp_path: Path, store: Store) -> None:
    log = SignedLog(tmp_path / "log").add(100)
    log.close()
    with log.active.open("ab") as file:
        file.write(b"not a record\n")
    layout = Layout.of(str(log.active))
    (found,) = verify_paths([str(log.directory)], Options(RING))
    assert apply(layout, plan_repair(found.report).actions)
    aside = log.directory / "quarantine"
    (aside / "directory.bytes").mkdir()
    (aside / "link.bytes").symlink_to(log.active)
    again = SignedLog(log.directory).add(100)
    try:
        made = again.archive(store).made
        assert sum(len(one.moved) for one in made) == 1
        again.sign()
        where = f"s3://{store.name}/audit"
        assert status(restored(store, tmp_path / "restored")) == 0
        assert issues(store) == []
        before = again.active.read_bytes()
        (tmp_path / "restored" / "notes").write_text("")
        for place in (again.directory, tmp_path / "restored"):
            with pytest.raises(FileExistsError, match="in the way"):
                restored(store, place)
        assert again.active.read_bytes() == before
        shutil.rmtree(aside)
        assert status(log.directory) == 1
        assert status(log.directory, where) == 0
        spoil_moved(store, next(one for one in made if one.moved))
        assert status(log.directory, where) == 1
        shutil.rmtree(tmp_path / "restored" / "quarantine")
        assert status(tmp_path / "restored") == 1
    finally:
        again.close()


def test_what_was_moved_aside_is_read_once_however_many_parts_are_archived(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        aside = log.directory / "quarantine"
        aside.mkdir()
        for name, data in (("1.bytes", b"torn"), ("2.bytes", b"foreign"), ("3.bytes", b"torn")):
            (aside / name).write_bytes(data)
        read: list[str] = []

        def opened(path: str) -> int:
            read.append(Path(path).name)
            return open_regular(path)

        monkeypatch.setattr("audit_emit._archive.moved.open_regular", opened)
        made = log.archive(store).made
        assert len(made) > 2
        assert [len(one.moved) for one in made[:3]] == [2, 0, 0]
        assert sorted(read) == ["1.bytes", "2.bytes", "3.bytes"]
        (aside / "1.bytes").write_bytes(b"torn later")
        assert [len(one.moved) for one in log.add(200).archive(store).made][:2] == [1, 0]
        assert sorted(read[3:]) == ["1.bytes", "2.bytes", "3.bytes"]
    finally:
        log.close()


def test_a_log_whose_oldest_records_were_removed_before_is_archived_from_there_on(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        allowed = int(log.closed()[2].name[6:26])
        pruner = Pruner(Layout.of(str(log.active)), RING, log.emitter.record_own)
        limits = Limits(time.time_ns() + DAY, "older", allowed)
        removal = pruner.run(limits).removal
        assert removal is not None
        log.sign()
        made = log.add(100).archive(store).made
        assert made[0].first_seq == removal.last_seq + 1
        assert made[1].base == ""
        assert issues(store) == []
        log.sign()
        assert status(log.directory, f"s3://{store.name}/audit") == 0
        assert status(log.directory) == 0
        (cold,) = verify_paths([f"s3://{store.name}/audit"], Options(RING))
        assert set(cold.report.counts) <= {Kind.PRUNED}
        log.closed()[0].unlink()
        assert status(log.directory, f"s3://{store.name}/audit") == 0
        assert status(log.directory) == 1
    finally:
        log.close()


def test_records_that_came_back_and_are_not_in_the_archive_stay(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        shutil.copytree(log.directory, tmp_path / "backup")
        pruner = Pruner(Layout.of(str(log.active)), RING, log.emitter.record_own)
        gone = pruner.run(Limits(time.time_ns() + DAY, "older", int(log.closed()[2].name[6:26])))
        made = log.sign().add(100).archive(store).made
        log.sign()
        for name in gone.files:
            shutil.copy(tmp_path / "backup" / name, log.directory)
        before = log.closed()
        with (
            store.opened() as bucket,
            Journal(str(log.directory / "archive.jsonl"), bucket.settings.shown) as journal,
        ):
            found = ArchivePruner(bucket, pruner, journal, RING).run(time.time_ns() + DAY)
        assert (found.proved, found.outcome.files) == (0, ())
        assert made[0].key in found.stopped
        assert log.closed() == before
    finally:
        log.close()


def test_a_log_whose_oldest_records_are_just_gone_is_not_archived(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        log.closed()[0].unlink()
        with pytest.raises(ArchiveError):
            log.archive(store)
        assert store.names() == []
    finally:
        log.close()


def test_a_record_about_an_archive_that_says_nothing_of_it_stops_no_archiver(
    tmp_path: Path, store: Store
) -> None:
    log = SignedLog(tmp_path / "log").add(200)
    try:
        where = f"s3://{store.name}/audit"
        for fields in ({}, {"last_seq": 1e400}, {"last_seq": 10**6, "manifest_sha256": "0"}):
            log.emitter.record_own("audit.archived", {"archive": where, **fields})
        log.sign()
        assert log.archive(store).made
    finally:
        log.close()
