"""Nobody signs the journal: whoever writes it cannot have a byte removed, or left out."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.archived_log import RING, SignedLog
from support.object_store import Store

from audit_emit._archive.journal import Journal
from audit_emit._archive.pruning import ArchivePruner, Pruned
from audit_emit._format.manifest import Manifest
from audit_emit._retention.files import Pruner
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import BusyError, RetentionError


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SignedLog]:
    with closing(SignedLog(tmp_path / "log").add(150)) as made:
        yield made


def prune(log: SignedLog, store: Store) -> Pruned:
    """Remove all that may go by now."""
    with store.opened() as bucket:
        path = str(log.directory / "archive.jsonl")
        with Journal(path, bucket.settings.shown) as journal:
            pruner = Pruner(Layout.of(str(log.active)), RING, log.emitter.record_own)
            return ArchivePruner(bucket, pruner, journal, RING).run(time.time_ns())


def lose(store: Store, one: Manifest) -> None:
    """Take the records of a batch out of the store."""
    store.delete(one.key_of(one.object), VersionId=one.object.version)


def entries(log: SignedLog) -> list[dict[str, object]]:
    lines = (log.directory / "archive.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines if line]


def write(log: SignedLog, lines: list[dict[str, object]]) -> None:
    text = "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
    (log.directory / "archive.jsonl").write_text(text)


def note_all(step: str) -> Callable[[SignedLog], None]:
    """A step of every batch, which was never done."""

    def spoil(log: SignedLog) -> None:
        found = entries(log)
        notes = [{**one, "step": step} for one in found if one["step"] == "confirmed"]
        write(log, found + notes)

    spoil.__name__ = f"noted_as_{step}"
    return spoil


def shifted(log: SignedLog) -> None:
    """Each manifest says that its batch ends where the log does."""
    found = entries(log)
    last = max(int(str(one["last_seq"])) for one in found)
    for one in found:
        if one["step"] == "confirmed":
            one["manifest"] = json.dumps(
                {**json.loads(str(one["manifest"])), "last_seq": last}, separators=(",", ":")
            )
    write(log, found)


def without_the_lost_one(log: SignedLog) -> None:
    found = entries(log)
    second = [one for one in found if one["step"] == "confirmed"][1]["first_seq"]
    write(log, [one for one in found if one["first_seq"] != second])


@pytest.mark.parametrize(
    "spoil",
    [note_all("pruned"), note_all("declared"), shifted, without_the_lost_one],
    ids=lambda one: one.__name__,
)
def test_what_the_store_does_not_give_back_stays_whatever_the_journal_says(
    log: SignedLog, store: Store, spoil: Callable[[SignedLog], None]
) -> None:
    made = log.archive(store).made
    log.sign()
    lose(store, made[1])
    spoil(log)
    before = log.closed()
    prune(log, store)
    gone = [path for path in before if path not in log.closed()]
    assert gone in ([], before[:1])


def test_batches_that_a_signed_record_calls_removed_are_not_fetched_again(
    log: SignedLog, store: Store
) -> None:
    made = log.archive(store).made
    log.sign()
    assert prune(log, store).outcome.files
    log.add(150)
    log.archive(store)
    log.sign()
    lose(store, made[0])
    assert prune(log, store).outcome.files


def test_the_archive_of_another_log_stands_for_nothing_of_this_one(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    """It is signed by the same key, and what it has is all there."""
    with closing(SignedLog(tmp_path / "other").add(150)) as other:
        other.archive(store)
        shutil.copy(other.directory / "archive.jsonl", log.directory)
        assert prune(log, store).outcome.files == ()


def test_the_archive_of_a_log_that_parted_from_this_one_stands_for_nothing_of_it(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    shutil.copytree(log.directory, tmp_path / "twin")
    with closing(SignedLog(tmp_path / "twin").add(150)) as twin:
        twin.archive(store)
        log.add(150)
        shutil.copy(twin.directory / "archive.jsonl", log.directory)
        before = log.closed()
        with pytest.raises(RetentionError, match="another one in the archive"):
            prune(log, store)
        assert log.closed() == before


@pytest.mark.parametrize("spoil", [shifted, without_the_lost_one], ids=lambda one: one.__name__)
def test_a_run_takes_the_manifests_of_the_store_where_those_of_the_journal_are_not_sound(
    log: SignedLog, store: Store, spoil: Callable[[SignedLog], None]
) -> None:
    made = log.archive(store).made
    spoil(log)
    log.add(100)
    again = log.archive(store).made
    assert again[0].previous == made[-1].digest()


def test_a_run_is_not_held_up_by_the_manifests_of_another_log(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    with closing(SignedLog(tmp_path / "other").add(400)) as other:
        other.archive(store)
        shutil.copy(other.directory / "archive.jsonl", log.directory)
        assert log.archive(store).made


def test_the_chain_names_the_newest_manifest_although_the_journal_says_that_it_does(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    shutil.copytree(log.directory, tmp_path / "twin")
    made = log.archive(store).made
    shutil.copy(log.directory / "archive.jsonl", tmp_path / "twin")
    with closing(SignedLog(tmp_path / "twin")) as twin:
        assert twin.archive(store).made == []
        assert f'"manifest_sha256":"{made[-1].digest()}"'.encode() in twin.read()


def test_a_child_that_was_forked_meanwhile_holds_up_no_other_archiver(tmp_path: Path) -> None:
    path = str(tmp_path / "archive.jsonl")
    read, write = os.pipe()
    with Journal(path, "s3://audit/prod"):
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)  # lives until its parent lets go
            os._exit(0)
    try:
        with Journal(path, "s3://audit/prod"), pytest.raises(BusyError):
            Journal(path, "s3://audit/prod")
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)
