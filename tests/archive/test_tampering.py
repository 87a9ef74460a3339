"""Reading an archive that somebody has been at: what was changed there is told."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs
from support.archived_log import KEY, RING, SignedLog
from support.chain_builder import rewritten
from support.object_store import Server, Store

from audit_emit._archive.inspection import Inspection, Wanted
from audit_emit._format.manifest import Manifest
from audit_emit._readers.archived.manifests import cold_logs
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._verify.findings import Kind
from audit_emit._verify.verify import Options, Verified, verify_paths
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import ObjectStoreError

Spoil = Callable[[Store, list[Manifest]], None]
OTHER = Ed25519Key.from_seed(b"\x0b" * 32)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SignedLog]:
    made = SignedLog(tmp_path / "log").add(150)
    yield made
    made.close()


def verified(log: SignedLog, store: Store, ring: KeyRing = RING) -> Verified:
    """The log, of which the archived segments are gone from the disk."""
    for path in log.closed()[:-1]:
        path.unlink()
    where = [str(log.directory), f"s3://{store.name}/audit"]
    return verify_paths(where, Options(ring))[0]


def kinds(store: Store, known: dict[str, str] | None = None) -> set[str]:
    with store.opened() as opened:
        wanted = Wanted(RING, known or {}, locked=False, days=0, now=time.time())
        return {
            issue.kind
            for cold in cold_logs(opened, {})
            for issue in Inspection(opened, cold, wanted).issues()
        }


def changed(store: Store, made: list[Manifest]) -> None:
    store.replace(made[1].key, store.get(made[1].key).replace(b'"low_ts":"2', b'"low_ts":"1'))


def removed(store: Store, made: list[Manifest]) -> None:
    store.delete(made[1].key)


def swapped(store: Store, made: list[Manifest]) -> None:
    one, other = store.get(made[0].key), store.get(made[1].key)
    store.replace(made[0].key, other)
    store.replace(made[1].key, one)


def replayed(store: Store, made: list[Manifest]) -> None:
    store.replace(made[1].key, store.get(made[0].key))


def signed_by_another(store: Store, made: list[Manifest]) -> None:
    store.replace(made[1].key, made[1].signed(OTHER).to_bytes())


def signed_anew(store: Store, made: list[Manifest]) -> None:
    """Under the name of the true key, which did not sign it."""
    forged = made[1].signed(OTHER)
    as_if = {"key_id": made[1].key_id}
    text = json.loads(forged.to_bytes()) | as_if
    store.replace(made[1].key, json.dumps(text, separators=(",", ":")).encode() + b"\n")


def no_json(store: Store, made: list[Manifest]) -> None:
    store.replace(made[1].key, b"not a manifest")


SPOILT: list[Spoil] = [changed, removed, swapped, replayed, signed_anew, no_json]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
def test_a_manifest_that_is_not_the_one_that_was_put_excuses_nothing(
    log: SignedLog, bucket: Store, spoil: Spoil
) -> None:
    made = log.archive(bucket).made
    log.sign()
    assert len(made) > 2
    known = {one.key: one.digest() for one in made}
    spoil(bucket, made)
    status, found = verified(log, bucket).report.exit_status, kinds(bucket, known)
    if made[0].object.version:  # what was put first is there still, under what hides it
        assert (status, found) == (0, {"replaced"})
    else:
        assert status == 1
        assert found & {"missing", "altered", "unsigned"}


def test_a_manifest_whose_version_was_deleted_excuses_nothing(log: SignedLog, store: Store) -> None:
    made = log.archive(store).made
    log.sign()
    store.delete_for_good(made[1].key)
    store.replace(made[1].key, store.get(made[0].key))
    assert verified(log, store).report.exit_status == 1
    assert "altered" in kinds(store)


def test_a_manifest_by_a_key_that_is_not_trusted_is_told_and_not_taken_for_good(
    log: SignedLog, bucket: Store
) -> None:
    made = log.archive(bucket).made
    log.sign()
    bucket.delete_for_good(made[1].key)
    signed_by_another(bucket, made)
    report = verified(log, bucket).report
    # The manifest after it names another one as its predecessor.
    assert Kind.MISSING_SEGMENT in report.counts
    assert Kind.KEY_UNAVAILABLE in report.counts


def test_without_a_key_nothing_is_taken_for_proved(log: SignedLog, bucket: Store) -> None:
    log.archive(bucket)
    log.sign()
    report = verified(log, bucket, KeyRing()).report
    assert report.exit_status == 4
    assert set(report.counts) == {Kind.KEY_UNAVAILABLE}


def test_an_object_that_was_replaced_is_read_by_its_version_where_there_are_versions(
    log: SignedLog, bucket: Store
) -> None:
    made = log.archive(bucket).made
    log.sign()
    one = made[1]
    bucket.replace(one.key_of(one.object), b"something else")
    status = verified(log, bucket).report.exit_status
    if one.object.version:
        assert status == 0
        assert kinds(bucket) == {"replaced"}
    else:
        assert status == 1
        assert kinds(bucket) == {"altered"}


def test_an_object_that_is_gone_is_missing(log: SignedLog, bucket: Store) -> None:
    made = log.archive(bucket).made
    log.sign()
    one = made[1]
    pinned = {"VersionId": one.object.version} if one.object.version else {}
    bucket.delete(one.key_of(one.object), **pinned)
    found = verified(log, bucket).report
    assert Kind.MISSING_SEGMENT in found.counts
    assert kinds(bucket) == {"missing"}


@pytest.mark.parametrize("junk", [None, b"\x28\xb5\x2f\xfd no frame"])
def test_archived_checkpoints_that_are_gone_or_damaged_are_said_in_one_line(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    junk: bytes | None,
) -> None:
    log = SignedLog(tmp_path / "log").add(60)
    (one,) = log.archive(store).made
    log.close()
    assert one.checkpoints is not None
    key, where = one.key_of(one.checkpoints), f"s3://{store.name}/audit"
    store.delete_for_good(key)
    if junk is not None:
        store.replace(key, junk)
        digest, size = hashlib.sha256(junk).hexdigest(), len(junk)
        part = structs.replace(one.checkpoints, version="", packed_size=size, packed_sha256=digest)
        store.delete_for_good(one.key)
        store.replace(one.key, structs.replace(one, checkpoints=part).signed(KEY).to_bytes())
    assert main(["verify", where]) == Exit.NOTHING
    assert key in capsys.readouterr().err
    target = str(tmp_path / "restored")
    assert main(["archive", "restore", target, "--archive", where]) == Exit.FINDINGS
    assert key in capsys.readouterr().err


def test_what_no_manifest_names_is_extra(log: SignedLog, bucket: Store) -> None:
    made = log.archive(bucket).made
    log.sign()
    bucket.replace(f"{made[0].key.rpartition('/')[0]}/stray", b"x")
    assert kinds(bucket) == {"extra"}
    assert verified(log, bucket).report.exit_status == 0


def test_a_history_that_was_rewritten_on_the_disk_does_not_fit_the_archive(
    log: SignedLog, bucket: Store
) -> None:
    """Who can write the log, but has no key, cannot give it another past than the archived one."""
    log.archive(bucket)
    log.sign()
    before = ""
    for path in [*log.closed(), log.active]:
        made = []
        for line in path.read_bytes().splitlines():
            members = json.loads(line)
            changes = {"prev_hash": before} if before else {"user_id": "somebody-else"}
            made.append(rewritten(line, **{**members, **changes}))
            before = json.loads(made[-1])["hash"]
        path.write_bytes(b"".join(line + b"\n" for line in made))
    where = [str(log.directory), f"s3://{bucket.name}/audit"]
    found = verify_paths(where, Options(RING))[0].report.findings
    assert [one for one in found if one.note == "not the head that was expected"]


@pytest.mark.parametrize("lock", ["governance", "compliance"])
def test_objects_are_locked_as_the_settings_say(log: SignedLog, store: Store, lock: str) -> None:
    # What is locked so that nobody can take it back goes with the server of the tests.
    days = 1 if lock == "compliance" else 40
    one = log.archive(store, lock=lock, lock_days=days).made[0]
    with store.opened() as opened:
        for key, version in ((one.key_of(one.object), one.object.version), (one.key, "")):
            stored = opened.look_at(key, version)
            assert stored is not None
            assert stored.mode == lock
            assert stored.until > time.time() + (days - 1) * 86_400
    with pytest.raises(Exception, match="AccessDenied"):
        store.delete(one.key_of(one.object), VersionId=one.object.version)
    with store.opened(lock=lock, lock_days=days) as opened:
        wanted = Wanted(RING, {}, locked=True, days=365, now=time.time())
        (cold,) = cold_logs(opened, {})
        assert {issue.kind for issue in Inspection(opened, cold, wanted).issues()} == {"expiring"}


def test_a_bucket_that_cannot_lock_refuses_a_lock_in_clear_words(
    log: SignedLog, seaweed: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = seaweed.bucket(lock=False)
    plain.use(monkeypatch)
    with pytest.raises(ObjectStoreError) as raised:
        log.archive(plain, lock="governance", lock_days=40)
    assert plain.name in str(raised.value)
    assert plain.names() == []


@pytest.mark.parametrize(("encryption", "named"), [("s3", "AES256"), ("kms", "aws:kms")])
def test_objects_are_encrypted_by_the_store_as_the_settings_say(
    log: SignedLog, small_store: Store, encryption: str, named: str
) -> None:
    given = {"kms_key": small_store.kms_key()} if encryption == "kms" else {}
    one = log.archive(small_store, encryption=encryption, **given).made[0]
    with small_store.opened() as opened:
        stored = opened.look_at(one.key_of(one.object), one.object.version)
    assert stored is not None
    assert stored.encryption == named


@pytest.mark.parametrize("checksum", ["sha256", "md5", "none"])
def test_every_kind_of_checksum_is_taken(log: SignedLog, store: Store, checksum: str) -> None:
    assert log.archive(store, checksum=checksum).made


def test_gz_is_packed_and_read_as_well(log: SignedLog, store: Store) -> None:
    assert log.archive(store, pack="gz").made[0].object.name.endswith(".gz")
    log.sign()
    assert verified(log, store).report.exit_status == 0
