"""What witnesses who are pinned say of a log, held against the log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.chain_builder import CHAIN, MadeChain
from support.prunable_log import PrunableLog
from support.witnesses import KEYS, ORIGIN, PAIR, RING, WitnessedLog, answering, witness_of

from audit_emit._checkpoints.anchoring import Anchored
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import sign
from audit_emit._format.policy import LONGEST, Policy
from audit_emit._format.record import head_of
from audit_emit._signing.cosigners import Cosigner
from audit_emit._verify.findings import Kind, Report
from audit_emit.log import VerifyArguments, open_log


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


def test_the_key_of_the_log_is_no_witness_of_it(log: PrunableLog, made: WitnessedLog) -> None:
    (log.path / "checkpoint").write_bytes(made.newest.to_note(cosigned=True).to_bytes())
    own = Policy.of_keys([Cosigner.of_pair(made.newest.origin, PAIR)])
    report = log.verify(witnesses=own, anchor_required=False)
    assert report.counts == {Kind.NOT_WITNESSED: 1}


def test_notes_of_a_newer_past_do_not_hide_the_anchor_of_the_true_one(tmp_path: Path) -> None:
    _, true = densely_signed(tmp_path / "true", 3)
    other, newer = densely_signed(tmp_path / "other", 100)
    assert other.verify(anchors=newer, anchor_required=False).outside_seq == 100
    report = other.verify(anchors=[*true, *newer[3:]], anchor_required=False)
    assert report.counts == {Kind.CHECKPOINT_ROOT_MISMATCH: 1}


def densely_signed(directory: Path, records: int) -> tuple[PrunableLog, list[Anchored]]:
    """A log with a checkpoint after each record, and what a place outside has kept of them."""
    directory.mkdir()
    made, tree, points = MadeChain(service=directory.name).add(records), Frontier(), []
    for line in made.lines:
        head = head_of(line)
        assert head is not None
        tree.append(bytes.fromhex(head.hash))
        members = {"at": head.ts, "origin": f"{ORIGIN}/{CHAIN}", "chain": CHAIN, "size": head.seq}
        points.append(
            sign(PAIR, **members, head_hash=head.hash, root=tree.root(), reason="manual")  # type: ignore[arg-type]
        )
    (directory / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in made.lines))
    (directory / "checkpoints.jsonl").write_bytes(b"".join(one.to_line() for one in points))
    notes = [Anchored(1, 0, "", one.head_seq, one.to_note().to_bytes().decode()) for one in points]
    return PrunableLog.at(directory, records=records, ring=RING), notes


class TestFromPython:
    """What the command takes as options, ``AuditLog.verify`` takes by name."""

    def test_witnesses_and_a_quorum(self, log: PrunableLog, tmp_path: Path) -> None:
        found = open_log(log.path, keys=[PAIR.to_vkey(ORIGIN)])
        file = tmp_path / "witnesses"
        file.write_text("".join(f"{key.to_vkey()}\n" for key in KEYS[1:3]))
        names = [KEYS[0].to_vkey(), str(file)]
        report = found.verify(witnesses=names, quorum=2, anchor_required=False)
        assert (report.exit_status, report.witnessed_seq) == (0, 300)
        report = found.verify(witnesses=names, anchor_required=False)
        assert report.counts == {Kind.NOT_WITNESSED: 1}

    def test_a_file_of_witnesses_counts_whole_or_not_at_all(
        self, log: PrunableLog, tmp_path: Path
    ) -> None:
        found = open_log(log.path, keys=[PAIR.to_vkey(ORIGIN)])
        file = tmp_path / "witnesses"
        first, last = KEYS[0].to_vkey(), KEYS[2].to_vkey()  # the last one has not seen the log
        file.write_text(first + "\n" * LONGEST + last)
        with pytest.raises(ValueError, match="too long"):
            found.verify(witnesses=[str(file)], anchor_required=False)

    def test_an_empty_list_demands_nothing_and_is_refused(self, log: PrunableLog) -> None:
        found = open_log(log.path, keys=[PAIR.to_vkey(ORIGIN)])
        with pytest.raises(ValueError, match="no witness is named"):
            found.verify(witnesses=[], anchor_required=False)
        with pytest.raises(ValueError, match="no file of anchors is named"):
            found.verify(anchors=[], anchor_required=False)

    def test_a_policy_brings_the_key_of_the_log(self, log: PrunableLog, tmp_path: Path) -> None:
        policy = tmp_path / "policy"
        name = log.path.name
        policy.write_text(
            f"log {PAIR.to_vkey(f'{ORIGIN}/{CHAIN}')}\n"
            f"witness {name} {KEYS[0].to_vkey()}\nquorum {name}\n"
        )
        report = open_log(log.path).verify(policy=policy, anchor_required=False)
        assert (report.exit_status, report.witnessed_by) == (0, ("w1.example.com",))
        assert report.unclaimed is None

    def test_what_was_kept_outside(self, log: PrunableLog, tmp_path: Path) -> None:
        found = open_log(log.path, keys=[PAIR.to_vkey(ORIGIN)])
        (tmp_path / "kept.note").write_bytes((log.path / "checkpoint").read_bytes())
        report = found.verify(anchors=[tmp_path / "kept.note"], anchor_required=False)
        assert (report.exit_status, report.outside_seq) == (0, 300)
        (tmp_path / "empty").touch()
        report = found.verify(anchors=[tmp_path / "empty"], anchor_required=False)
        assert report.counts == {Kind.NOT_ANCHORED: 1}

    @pytest.mark.parametrize(
        ("how", "why"),
        [
            ({"quorum": 1}, "name them"),
            ({"policy": "p", "quorum": 1}, "no others beside it"),
            ({"witnesses": [KEYS[0].to_vkey()], "quorum": 2}, "a quorum of 2"),
            ({"witnesses": [KEYS[0].to_vkey()], "from_seq": 2}, "a part of it"),
            ({"witnesses": [Cosigner.of_pair("log", PAIR).to_vkey()]}, "no witness of itself"),
            ({"tsa_certificates": __file__}, "as an anchor"),
            ({"tsa_certificates": __file__, "anchors": [__file__]}, "no certificate"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(
        self, made: WitnessedLog, how: VerifyArguments, why: str
    ) -> None:
        with pytest.raises(ValueError, match=why):
            open_log(made.path, keys=[PAIR.to_vkey(ORIGIN)]).verify(**how)
