"""A witness that others wrote cosigns our logs, unmodified; a vector has one of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.litewitness import running
from support.tiers import starts_a_server
from support.witnesses import PAIR, WitnessedLog

from audit_emit._checkpoints.notes import hand_over
from audit_emit._checkpoints.witnessing.collect import collect
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.policy import Policy
from audit_emit._readers.opening import open_reader
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._verify.findings import Kind


@pytest.fixture
@starts_a_server
def log(tmp_path: Path) -> WitnessedLog:
    return WitnessedLog(tmp_path / "log")


@starts_a_server
def test_it_cosigns_a_log_as_it_grows_and_not_another(log: WitnessedLog, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with running(tmp_path / "w") as witness:
        witness.know(PAIR.to_vkey(log.newest.origin))
        key = Cosigner.from_vkey(witness.vkey)
        log.kept.add("lite", witness.vkey, witness.url)
        for number in range(3):
            assert log.collect(now=4e9 + 100 * number)[key.key_id].state == "cosigned"
            log.grow()
        assert log.verify(witnesses=Policy.of_keys([key]), anchor_required=False).witnessed_by
        other = WitnessedLog(tmp_path / "other", 400)
        other.kept.add("lite", witness.vkey, witness.url)
        assert other.collect()[key.key_id].state == "disagrees"
        short = WitnessedLog(tmp_path / "short", 100)
        short.kept.add("lite", witness.vkey, witness.url)
        assert short.collect()[key.key_id].state == "ahead"
    report = other.verify(witnesses=Policy.of_keys([key]), anchor_required=False)
    assert report.counts == {Kind.NOT_WITNESSED: 1}


@starts_a_server
def test_it_follows_a_change_of_key_by_a_note_of_both(log: WitnessedLog, tmp_path: Path) -> None:
    """It knows the old key alone: a note by both passes, one by the new key alone does not."""
    (tmp_path / "w").mkdir()
    old, new = PAIR, Ed25519Key.from_seed(b"n" * 32)
    with running(tmp_path / "w") as witness:
        witness.know(old.to_vkey(log.newest.origin))
        key = Cosigner.from_vkey(witness.vkey)
        log.kept.add("lite", witness.vkey, witness.url)
        assert log.collect()[key.key_id].state == "cosigned"
        log.grow()
        newest = _signed_by(log, new)
        with open_reader(str(log.path)) as reader:
            ring = KeyRing([old, new])
            alone = collect(log.kept, reader, newest, ring, now=4e9)
            hand_over(str(log.path), newest, old)
            both = collect(log.kept, reader, newest, ring, now=5e9)
    assert alone[key.key_id].note == "it answered 403"
    assert both[key.key_id].state == "cosigned"


def _signed_by(log: WitnessedLog, key: Ed25519Key) -> Checkpoint:
    newest = log.newest
    return sign(
        key,
        at=newest.at,
        origin=newest.origin,
        chain=newest.chain,
        size=newest.head_seq,
        head_hash=newest.head_hash,
        root=bytes.fromhex(newest.root_hash),
        reason="manual",
    )
