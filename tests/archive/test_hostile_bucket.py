"""Whoever may write to the bucket, and has no key that signs: what he makes anybody believe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs
from support.archived_log import KEY, ORIGIN, RING, SignedLog
from support.object_store import Store

from audit_emit import open_log
from audit_emit._archive.journal import NAME
from audit_emit._format.checkpoint import sign
from audit_emit._format.manifest import Manifest, Packed, object_name
from audit_emit._format.receipt_text import Claim
from audit_emit._objects.bucket import Bucket
from audit_emit._query.question import Question
from audit_emit._query.search import count_log
from audit_emit._readers.archived.vouching import UNVOUCHED_BYTES, Vouching
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing, private_pem
from audit_emit._verify.findings import Kind
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli.prove import _made, _received
from audit_emit.console.access import LOCAL
from audit_emit.console.alerts import Alerts
from audit_emit.console.filters import Filters
from audit_emit.console.source import Source
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


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of all objects that are fetched, manifests aside."""
    keys: list[str] = []
    fetch = Bucket.fetch

    def noted(self: Bucket, key: str, *more: Any) -> str:
        keys.append(key)
        return fetch(self, key, *more)

    monkeypatch.setattr(Bucket, "fetch", noted)
    return keys


def follow(store: Store, last: Manifest, size: int, **changes: str) -> Manifest:
    """A manifest of his own behind the newest one, which names an object of so many bytes."""
    name = object_name(last.last_seq + 1, last.last_seq + 9, "jsonl", "zst")
    tree = last.tree()
    for _ in range(9):
        tree.append(b"\0" * 32)
    seal = sign(
        THIEF,
        at=last.at,
        origin=last.origin,
        chain=last.chain,
        size=tree.size,
        head_hash="ab" * 32,
        root=tree.root(),
        reason="rotation",
    )
    text = seal.to_line().decode().removesuffix("\n")
    made = structs.replace(
        last,
        first_seq=last.last_seq + 1,
        last_seq=tree.size,
        prev_hash=last.last_hash,
        last_hash="ab" * 32,
        records=Packed(name, "", size, "cd" * 32, size, "ef" * 32),
        checkpoints=None,
        moved=(),
        base="",
        frontier=tree.to_text(),
        covering=text,
        seal=text,
        previous=last.digest(),
    ).signed(THIEF)
    made = structs.replace(made, **changes)
    assert Manifest.from_bytes(made.to_bytes(), made.key) == made
    store.replace(made.key, made.to_bytes())
    store.replace(made.key_of(made.object), b"x" * 10)
    return made


@pytest.mark.parametrize("claims", ["his own", "ours"])
def test_an_object_that_only_he_vouches_for_is_not_fetched_where_a_key_is_given(
    log: SignedLog,
    store: Store,
    fetched: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    claims: str,
) -> None:
    last = log.archive(store).made[-1]
    as_ours = {"sig_alg": last.sig_alg, "key_id": last.key_id} if claims == "ours" else {}
    made = follow(store, last, UNVOUCHED_BYTES + 1, **as_ours)
    his = made.key_of(made.object)
    (found,) = verify_paths([where(store)], Options(RING))
    assert found.report.exit_status == (1 if as_ours else Exit.INCOMPLETE)
    assert found.report.last_seq == last.last_seq
    notes = [one.note for one in found.report.findings if one.kind is Kind.KEY_UNAVAILABLE]
    assert any("fetched" in note and made.key in note for note in notes)
    key = KEY.to_vkey(ORIGIN)
    for command in (
        ["verify", where(store)],
        ["query", "--verified", where(store)],
        ["tail", "--verified", where(store)],
        ["archive", "verify"],
        ["archive", "restore", str(tmp_path / "restored")],
        ["archive", "parquet", str(tmp_path / "parquet")],
    ):
        assert main([*command, "--key", key]) != Exit.OK
    assert "bytes are fetched" in capsys.readouterr().err or as_ours
    with pytest.raises(OSError, match="fetched"):
        list(open_log(where(store), keys=[key]).records())
    assert fetched
    assert his not in fetched


def by_receipt(at: str) -> object:
    head = open_log(at).head()
    assert head is not None
    return _received(Claim(head.chain, 50, ""), [at])


LOOKS: dict[str, Callable[[str, str], object]] = {
    "a page": lambda at, key: Source(at, (key,)).page(Filters({}), LOCAL, 500),
    "times": lambda at, key: Source(at, (key,)).times(Filters({}), LOCAL, 500),
    "what occurs most": lambda at, key: Source(at, (key,)).tops(Filters({}), LOCAL, 500),
    "a record": lambda at, key: Source(at, (key,)).find(str(uuid4()), LOCAL),
    "an export": lambda at, key: [*Source(at, (key,)).reader().search()],
    "alerts": lambda at, key: Alerts(Source(at, (key,))).look(),
    "a proof": lambda at, _: _made([at], 50, portable=True),
    "a receipt": lambda at, _: by_receipt(at),
    "a count": lambda at, _: count_log(Question(), at),
    "all that name no keys": lambda at, _: [*open_reader(at).search()],
}


def forge_one(store: Store, one: Manifest) -> str:
    """Let a manifest say what its key has not signed; the object that it names."""
    store.delete_for_good(one.key)
    store.replace(one.key, structs.replace(one, at=one.at.replace("20", "21", 1)).to_bytes())
    return one.key_of(one.object)


def test_where_a_log_begins_is_not_fetched_on_the_word_of_a_manifest_that_is_forged(
    log: SignedLog, store: Store, fetched: list[str]
) -> None:
    named = forge_one(store, log.archive(store).made[0])
    with pytest.raises(OSError, match="nothing of it is fetched"):
        open_log(where(store), keys=[KEY.to_vkey(ORIGIN)]).beginning()
    assert named not in fetched


def test_no_look_at_a_log_fetches_on_the_word_of_a_manifest_that_is_forged(
    log: SignedLog, store: Store, fetched: list[str]
) -> None:
    one = log.archive(store).made[1]
    assert one.first_seq <= 50 <= one.last_seq
    named = forge_one(store, one)
    for name, look in LOOKS.items():
        fetched.clear()
        with pytest.raises(OSError, match="nothing of it is fetched"):
            look(where(store), KEY.to_vkey(ORIGIN))
        assert named not in fetched, name


def test_parts_by_a_key_that_the_log_names_further_on_are_fetched(
    log: SignedLog, store: Store, fetched: list[str]
) -> None:
    log.ring = KeyRing([KEY, THIEF])
    made = log.sign().add(150).archive(store).made
    assert made[0].check(RING) == "key-unavailable"
    for ring in (RING, log.ring):
        (found,) = verify_paths([where(store)], Options(ring))
        assert found.report.exit_status == Exit.OK, found.report.findings
    assert {one.key_of(one.object) for one in made} <= set(fetched)


def test_what_nobody_vouches_for_is_counted_once_and_together(log: SignedLog, store: Store) -> None:
    made = log.archive(store).made
    most = made[0].object.size + made[1].object.size
    vouching = Vouching(made, KeyRing([THIEF]), most)
    for one in (*made[:2], *made[:2]):
        vouching.check(one, one.object)
    with pytest.raises(ArchiveError, match=r"none of the given keys .*--key") as raised:
        vouching.check(made[2], made[2].object)
    assert raised.value.reason == "unvouched"
    vouching.trust(RING)
    vouching.check(made[2], made[2].object)


def test_nothing_that_nobody_vouches_for_is_fetched_ahead_or_counted_for_that(
    log: SignedLog, store: Store
) -> None:
    """The bound is for what is read in its order, however many processes there are."""
    one = log.archive(store).made[0]
    vouching = Vouching([one], KeyRing([THIEF]), one.object.size)
    with pytest.raises(ArchiveError, match="known so far"):
        vouching.check_ahead(one)
    vouching.check(one, one.object)
    vouching.trust(RING)
    vouching.check_ahead(one)


def test_another_version_of_what_was_counted_is_counted_for_itself(
    log: SignedLog, store: Store
) -> None:
    one = log.archive(store).made[0]
    vouching = Vouching([one], KeyRing([THIEF]), one.object.size)
    vouching.check(one, one.object)
    larger = structs.replace(one.object, version="another", packed_size=1 << 50)
    with pytest.raises(ArchiveError, match=r"none of the given keys .*--key"):
        vouching.check(one, larger)
