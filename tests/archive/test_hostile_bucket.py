"""Whoever may write to the bucket, and has no key that signs: what he makes anybody believe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from support.archived_log import RING, SignedLog
from support.object_store import Store

from audit_emit._archive.journal import NAME
from audit_emit._format.manifest import Manifest
from audit_emit._signing.trusted_keys import Ed25519Key, private_pem
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import ArchiveError

THIEF = Ed25519Key.from_seed(b"\x0c" * 32)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedLog]:
    key = tmp_path / "key.pem"
    key.write_text(private_pem(b"\7" * 32))
    key.chmod(0o600)
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY_FILE", str(key))
    made = SignedLog(tmp_path / "log").add(150)
    yield made
    made.close()


def where(store: Store) -> str:
    return f"s3://{store.name}/audit"


def forge(store: Store, tmp_path: Path) -> str:
    """A whole archive of another history of the same service, signed by a key of his own."""
    forged = SignedLog(tmp_path / "forged")
    forged.ring = type(RING)([THIEF])
    forged.add(150, who="nobody")
    made = forged.archive(store).made
    forged.close()
    return made[0].chain


def test_an_archive_that_he_signs_himself_is_neither_restored_nor_verified(
    log: SignedLog, bucket: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.archive(bucket)
    chain = forge(bucket, tmp_path)
    target = tmp_path / "restored"
    assert main(["archive", "restore", str(target), "--chain", chain]) == Exit.FINDINGS
    assert not target.exists()
    address = f"{where(bucket)}#chain={chain}"
    (found,) = verify_paths([address], Options(RING))
    assert found.report.exit_status != 0
    capsys.readouterr()
    assert main(["query", address, "--verified", "--format", "jsonl"]) != Exit.OK
    assert main(["archive", "verify", str(log.directory), "--quick"]) in {0, Exit.INCOMPLETE}


def test_his_manifests_among_those_of_a_log_let_nothing_be_removed(
    log: SignedLog, bucket: Store
) -> None:
    """He cannot make ``prune`` take his copies for those of the log."""
    made = log.archive(bucket).made
    log.sign()
    for one in made:
        bucket.delete_for_good(one.key)
        bucket.replace(one.key, structs.replace(one, at=made[0].at).signed(THIEF).to_bytes())
    before = sorted(path.name for path in log.closed())
    prune = ["archive", "prune", str(log.directory), "--hot-days", "0"]
    assert main(prune) == Exit.FINDINGS
    assert sorted(path.name for path in log.closed()) == before
    (log.directory / NAME).unlink()
    assert main(["archive", "run", str(log.directory)]) == Exit.FINDINGS
    main(prune)
    assert sorted(path.name for path in log.closed()) == before


def test_what_he_puts_where_the_next_manifest_belongs_stops_the_archiver_in_clear_words(
    log: SignedLog, bucket: Store
) -> None:
    last = log.archive(bucket).made[-1]
    place = Manifest.from_bytes(bucket.get(last.key)).key.replace(
        f"{last.first_seq:020d}", f"{last.last_seq + 1:020d}"
    )
    for junk in (b"{}", structs.replace(last).signed(THIEF).to_bytes()):
        bucket.delete_for_good(place)
        bucket.replace(place, junk)
        log.add(60)
        with pytest.raises(ArchiveError, match="another prefix") as raised:
            log.archive(bucket)
        assert raised.value.reason == "conflict"
    assert log.archive(bucket, prefix="elsewhere").made, "the way out that is named"


def test_a_log_that_is_pruned_to_an_archive_without_locks_says_what_that_means(
    log: SignedLog, bucket: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    log.archive(bucket)
    log.sign()
    prune = ["archive", "prune", str(log.directory), "--hot-days", "0"]
    assert main(prune) == Exit.OK
    said = "is locked" in capsys.readouterr().err
    with bucket.opened() as opened:
        assert said is not opened.protection().lock
