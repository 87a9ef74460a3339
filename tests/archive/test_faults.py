"""Whatever a store answers, and wherever an archiver is killed: the next run ends it well."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import killed_archiver
from support.archived_log import RING, SignedLog
from support.faulty_store import CUT, DONE_BUT_500, ERRORS, HALF, FaultyStore
from support.object_store import Store
from support.sampling import EXHAUSTIVE, sampled
from support.waiting import PATIENCE

from audit_emit._archive.inspection import Inspection, Issue, Wanted
from audit_emit._readers.archived.manifests import cold_logs
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.errors import ArchiveError, BusyError, ObjectStoreError

LASTING = {
    "500": "failed",
    "503": "busy",
    "409": "conflict",
    "checksum": "checksum",
    "expired": "expired",
    "clock": "clock",
    "kms": "kms",
    "denied": "denied",
    CUT: "unreachable",
}
"""What an archiver says of a fault that does not go away."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SignedLog]:
    made = SignedLog(tmp_path / "log").add(90)
    yield made
    made.close()


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyStore]:
    with FaultyStore(store.endpoint) as made:
        yield made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are botocore's and ours; nobody has to wait here."""
    monkeypatch.setattr("audit_emit._objects.bucket._PAUSE", 0.0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


def issues(store: Store, prefix: str = "audit") -> list[Issue]:
    with store.opened(prefix=prefix) as bucket:
        wanted = Wanted(RING, {}, locked=False, days=0, now=time.time())
        (cold,) = cold_logs(bucket, {})
        return list(Inspection(bucket, cold, wanted).issues())


def all_is_there(log: SignedLog, store: Store, prefix: str = "audit") -> None:
    """Archive, log and chain agree, and nothing is there twice."""
    assert issues(store, prefix) == []
    closed = {int(path.name[6:26]) for path in log.closed()}
    declared = [
        line for line in log.read().splitlines() if b'"event_type":"audit.archived"' in line
    ]
    assert len(declared) == len(closed)
    where = [str(log.directory), f"s3://{store.name}/{prefix}"]
    log.sign()
    (verified,) = verify_paths(where, Options(RING))
    assert verified.report.exit_status == 0, verified.report.findings


def through(log: SignedLog, store: Store, proxy: FaultyStore) -> None:
    """One run of an archiver through the proxy."""
    with log.archiver(store._replace(endpoint=proxy.endpoint), timeout=PATIENCE) as archiver:
        archiver.run()


@pytest.mark.parametrize(("index", "fault"), list(enumerate([CUT, HALF, DONE_BUT_500, *ERRORS])))
def test_every_request_may_fail_once_in_any_way(
    log: SignedLog, store: Store, proxy: FaultyStore, tmp_path: Path, index: int, fault: str
) -> None:
    copy = tmp_path / "as-it-was"
    shutil.copytree(log.directory, copy)
    through(log, store, proxy)
    count = len(proxy.requests)
    assert count > 10
    for number in range(count) if EXHAUSTIVE else range(index % count, count, 11):
        _spoilt_once(copy, tmp_path / f"{fault}-{number}", store, proxy, fault, number)


def _spoilt_once(
    copy: Path, directory: Path, store: Store, proxy: FaultyStore, fault: str, number: int
) -> None:
    shutil.copytree(copy, directory)
    prefix = directory.name
    log = SignedLog(directory)
    told: list[str] = []
    try:
        for spoilt in (fault, ""):
            proxy.spoil(spoilt, number)
            try:
                with log.archiver(
                    store._replace(endpoint=proxy.endpoint), prefix=prefix
                ) as archiver:
                    archiver.run()
            except (ObjectStoreError, ArchiveError) as error:
                told.append(str(error))
                if not spoilt:
                    raise
        all_is_there(log, store, prefix)
        assert not any(proxy.secret in text for text in told)
    finally:
        log.close()


@pytest.mark.parametrize(("fault", "reason"), LASTING.items())
def test_a_fault_that_lasts_is_told_by_a_word_and_leaves_nothing_half_done(
    log: SignedLog, store: Store, proxy: FaultyStore, fault: str, reason: str
) -> None:
    proxy.spoil(fault, method="PUT")
    with pytest.raises(ObjectStoreError) as raised:
        through(log, store, proxy)
    assert raised.value.reason == reason
    assert proxy.secret not in str(raised.value)
    assert not [key for key in store.names() if key.endswith(".manifest.json")] or fault == CUT
    proxy.spoil("")
    through(log, store, proxy)
    all_is_there(log, store)


@pytest.mark.parametrize(
    "there",
    [b"something else", b"\x28\xb5\x2f\xfd\x00\x88\x51\x00\x00aaaaaaaaaa"],
    ids=["junk", "a zstd frame that takes 128 MiB to unpack"],
)
def test_an_object_that_somebody_else_put_there_is_a_conflict_and_stays(
    log: SignedLog, store: Store, there: bytes
) -> None:
    log.archive(store)
    key = next(one for one in store.names() if one.endswith(".jsonl.zst"))
    store.client.put_object(Bucket=store.name, Key=f"other/{key}", Body=there)
    (log.directory / "archive.jsonl").unlink()
    with (
        pytest.raises(ArchiveError, match=r"holds something else|cannot be unpacked") as raised,
        log.archiver(store, prefix="other") as archiver,
    ):
        archiver.run()
    assert raised.value.reason in {"conflict", "altered"}
    assert store.client.get_object(Bucket=store.name, Key=f"other/{key}")["Body"].read() == there


def test_a_journal_that_is_lost_is_made_again_from_the_store(log: SignedLog, store: Store) -> None:
    log.archive(store)
    names = store.names()
    (log.directory / "archive.jsonl").unlink()
    assert log.archive(store).made == []
    assert store.names() == names
    all_is_there(log, store)


def test_of_two_archivers_with_two_journals_one_has_its_way(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    """Two hosts with the same log, as where a volume is mounted twice, do not fork the archive."""
    shutil.copytree(log.directory, tmp_path / "twin")
    twin = SignedLog(tmp_path / "twin")
    try:
        with (
            log.archiver(store) as one,
            twin.archiver(store) as other,
            ThreadPoolExecutor(2) as pool,
        ):
            mine, theirs = [each.result() for each in map(pool.submit, (one.run, other.run))]
        assert mine.last == theirs.last > 0
        all_is_there(log, store)
    finally:
        twin.close()


def test_a_second_archiver_of_the_same_journal_is_told_to_wait(
    log: SignedLog, store: Store
) -> None:
    with (
        log.archiver(store),
        pytest.raises(BusyError, match="another archiver"),
        log.archiver(store),
    ):
        pass


def test_an_archiver_may_be_killed_after_any_step(
    log: SignedLog, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "as-it-was"
    shutil.copytree(log.directory, copy)
    steps = _killed(copy, tmp_path / "whole", store, 0)
    assert steps > 15
    for number in sampled(range(1, steps + 1)):
        directory = tmp_path / f"killed-{number}"
        _killed(copy, directory, store, number)
        again = SignedLog(directory)
        try:
            with again.archiver(store, prefix=directory.name) as archiver:
                archiver.run()
            all_is_there(again, store, directory.name)
        finally:
            again.close()


def test_an_archiver_may_be_killed_after_any_step_of_a_day_that_has_nothing_new(
    log: SignedLog, store: Store, tmp_path: Path
) -> None:
    log.archive(store)
    log.sign()
    copy = tmp_path / "as-it-was"
    shutil.copytree(log.directory, copy)
    manifests = len(log.closed())
    steps = _killed(copy, tmp_path / "day-1", store, 0, 1, prefix="audit")
    assert steps > 3
    for days in [1, *(number + 1 for number in sampled(range(1, steps + 1)))]:
        if days > 1:
            _killed(copy, tmp_path / f"day-{days}", store, days - 1, days, prefix="audit")
        again = SignedLog(tmp_path / f"day-{days}")
        try:
            assert again.archive(store, days=days).made == []
        finally:
            again.close()
        assert issues(store) == []
        there = [key for key in store.names() if key.endswith(".manifest.json")]
        manifests += 1
        assert len(there) == manifests


def _killed(
    copy: Path, directory: Path, store: Store, number: int, days: int = 0, prefix: str = ""
) -> int:
    """Archive a copy of the log in a process that is killed after a step; how many there were."""
    shutil.copytree(copy, directory)
    done = subprocess.run(
        [
            sys.executable,
            killed_archiver.__file__,
            *map(str, (directory, prefix or directory.name, number, days)),
        ],
        env={**store.environment(), "PATH": "", "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if number else 0), done.stderr
    return int(done.stdout.strip() or 0)
