"""What witnesses who are pinned say of a log, held against the log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.prunable_log import PrunableLog
from support.witnesses import KEYS, RING, WitnessedLog, answering, witness_of

from audit_emit._format.policy import Policy
from audit_emit._verify.findings import Kind, Report


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> WitnessedLog:
    """A log of 300 records that the first two witnesses have cosigned at 300."""
    place = tmp_path_factory.mktemp("made")
    log = WitnessedLog(place / "log")
    for number, key in enumerate(KEYS[:2]):
        with answering(witness_of(place / f"w{number}", log, key)) as url:
            log.kept.add(f"w{number}", key.to_vkey(), url)
            log.collect(now=4e9 + 100 * number)
            policy = log.path / "witness.policy"
            policy.unlink()
    return log


@pytest.fixture
def log(made: WitnessedLog, tmp_path: Path) -> PrunableLog:
    return made.copy(tmp_path / "log")


def verify(log: PrunableLog, quorum: int = 2, keys: int = 3) -> Report:
    return log.verify(witnesses=Policy.of_keys(KEYS[:keys], quorum), anchor_required=False)


def test_enough_of_them_cosigned_it(log: PrunableLog) -> None:
    report = verify(log)
    assert (report.exit_status, report.witnessed_seq) == (0, 300)
    assert report.witnessed_by == ("w1.example.com", "w2.example.com")
    assert report.witnessed_time > 1_700_000_000


def test_without_a_demand_nothing_is_said_of_them(log: PrunableLog) -> None:
    assert log.verify().witnessed_seq == 0


def test_not_enough_of_them_did(log: PrunableLog) -> None:
    report = verify(log, 3)
    assert report.counts == {Kind.NOT_WITNESSED: 1}
    assert "no checkpoint more than 2" in report.findings[0].note
    assert report.tampered


@pytest.mark.parametrize("name", ["cosignatures.jsonl", "checkpoint"])
def test_one_of_the_two_files_is_enough(log: PrunableLog, name: str) -> None:
    (log.path / name).unlink()
    assert verify(log, 1).witnessed_seq == 300


def test_without_both_nobody_is_a_witness(log: PrunableLog) -> None:
    for name in ("cosignatures.jsonl", "checkpoint"):
        (log.path / name).unlink()
    assert verify(log).counts == {Kind.NOT_WITNESSED: 1}


def test_rubbish_in_the_files_says_nothing(log: PrunableLog) -> None:
    path = log.path / "cosignatures.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v":1}\n\xff\n' + b"[" * 5000 + b"\n{}\n")
    (log.path / "checkpoint").write_bytes(b"\xff" * 100)
    assert verify(log).witnessed_seq == 300


def test_who_has_the_key_cannot_show_another_history(log: PrunableLog, tmp_path: Path) -> None:
    other = PrunableLog(tmp_path / "other", records=400, part=100, ring=RING)
    assert other.verify(anchor_required=False).exit_status == 0, "signed by the very key"
    for name in ("cosignatures.jsonl", "checkpoint"):
        shutil.copy(log.path / name, other.path / name)
    report = verify(other)
    assert report.counts == {Kind.CHECKPOINT_ROOT_MISMATCH: 1}
    assert "another tree" in report.findings[0].note


def test_who_has_the_key_cannot_set_it_back(log: PrunableLog, tmp_path: Path) -> None:
    other = PrunableLog(tmp_path / "other", records=200, part=100, ring=RING)
    shutil.copy(log.path / "checkpoint", other.path / "checkpoint")
    report = verify(other)
    assert report.counts == {Kind.TRUNCATED: 1}
    assert (report.findings[0].expected, report.findings[0].actual) == (300, 200)


def test_a_checkpoint_that_was_taken_away_is_told(log: PrunableLog) -> None:
    path = log.path / "checkpoints.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert verify(log).counts == {Kind.NOT_WITNESSED: 1}


def test_cosignatures_of_another_log_say_nothing(log: PrunableLog) -> None:
    path = log.path / "cosignatures.jsonl"
    path.write_bytes(path.read_bytes().replace(b"audit.example/shop/", b"audit.example/shoq/"))
    (log.path / "checkpoint").unlink()
    assert verify(log).counts == {Kind.NOT_WITNESSED: 1}
