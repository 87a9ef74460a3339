"""Which removals a verifier believes: signed by the log's key, under a checkpoint that is there."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec import structs
from support.chain_builder import MadeChain
from support.prunable_log import KEY, ORIGIN, OTHER, RING, PrunableLog

from audit_emit._checkpoints.beginning import newest_start
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.consistency import prove_consistency
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.removal import CARRIED, RECORD, Removal, fields_of, signed
from audit_emit._readers.opening import open_reader
from audit_emit._repair.apply import apply
from audit_emit._repair.plan import plan_repair
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._verify.findings import Kind, Report
from audit_emit._verify.remembered import remembered
from audit_emit._verify.verify import Options, verify_paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[PrunableLog, PrunableLog, Removal]:
    """A whole log, the same one after a removal, and what that said."""
    whole = PrunableLog(tmp_path_factory.mktemp("made") / "whole")
    pruned = whole.copy(whole.path.parent / "pruned")
    removal = pruned.prune().removal
    assert removal is not None
    return whole, pruned, removal


@pytest.fixture
def whole(made: tuple[PrunableLog, PrunableLog, Removal], tmp_path: Path) -> PrunableLog:
    return made[0].copy(tmp_path / "whole")


@pytest.fixture
def pruned(made: tuple[PrunableLog, PrunableLog, Removal], tmp_path: Path) -> PrunableLog:
    return made[1].copy(tmp_path / "pruned")


@pytest.fixture
def removal(made: tuple[PrunableLog, PrunableLog, Removal]) -> Removal:
    return made[2]


def forge(log: PrunableLog, removal: Removal, key: object = KEY, **changed: object) -> None:
    """Delete what a statement covers, and append that statement, with other members."""
    false = structs.replace(removal, **changed)
    resigned = signed(false, key) if key is not None else false  # type: ignore[arg-type]
    log.append(RECORD, fields_of(resigned))
    delete(log, removal.last_seq)


def delete(log: PrunableLog, last: int) -> None:
    for path in log.segments():
        if int(path.stem[-20:]) <= last:
            path.unlink()


def assert_tampered(report: Report) -> None:
    assert report.exit_status == 1, report.counts


class TestWhatIsBelieved:
    def test_a_signed_removal_is_told_and_the_log_is_good(
        self, pruned: PrunableLog, removal: Removal
    ) -> None:
        report = pruned.verify()
        assert (report.exit_status, report.counts) == (0, {Kind.PRUNED: 1})
        assert report.first_seq == removal.last_seq + 1 == report.findings[0].seq
        assert report.anchored_seq == len(pruned.lines)

    def test_several_processes_say_the_same(self, pruned: PrunableLog) -> None:
        assert pruned.verify(jobs=2) == pruned.verify()

    def test_a_public_key_is_enough(self, tmp_path: Path) -> None:
        private = Ed25519Key.from_seed(b"n" * 32)
        log = PrunableLog(tmp_path / "log", ring=KeyRing([private]))
        log.prune()
        origin = f"{ORIGIN}/{MadeChain().chain}"
        public = Ed25519Key.from_vkey(private.to_vkey(origin))
        assert log.verify(KeyRing([public])).counts == {Kind.PRUNED: 1}

    def test_without_a_key_it_is_incomplete(self, pruned: PrunableLog) -> None:
        report = pruned.verify(KeyRing())
        assert report.exit_status == 4
        assert set(report.counts) == {Kind.PRUNED, Kind.KEY_UNAVAILABLE}

    def test_the_second_removal_takes_the_place_of_the_first(self, pruned: PrunableLog) -> None:
        pruned.prune(15)
        report = pruned.verify()
        assert report.counts == {Kind.PRUNED: 1}
        assert report.first_seq == 901

    @pytest.mark.parametrize("days", [30, 15])
    def test_a_head_that_was_noted_down_is_still_compared(
        self, pruned: PrunableLog, days: int
    ) -> None:
        pruned.prune(days)
        right = {seq: pruned.lines[seq - 1][-66:-2].decode() for seq in (1, 300, 450, 700, 1400)}
        assert pruned.verify(heads=right).exit_status == 0
        for seq in right:
            report = pruned.verify(heads={**right, seq: "0" * 64})
            assert report.counts == {Kind.PRUNED: 1, Kind.CHECKPOINT_ROOT_MISMATCH: 1}

    @pytest.mark.parametrize("gone", [0, 1, 2])
    def test_files_that_a_removal_left_behind_are_no_finding(
        self, whole: PrunableLog, removal: Removal, gone: int
    ) -> None:
        files = [(path, path.read_bytes()) for path in whole.segments()]
        whole.prune()
        for path, data in files[gone:]:
            path.write_bytes(data)
        report = whole.verify()
        assert report.exit_status == 0
        assert report.first_seq == gone * 300 + 1
        assert report.counts == ({Kind.PRUNED: 1} if gone else {})

    def test_an_altered_record_that_was_left_behind_is_found(self, whole: PrunableLog) -> None:
        second = whole.segments()[1]
        data = second.read_bytes()
        whole.prune()
        second.write_bytes(data.replace(b"u-17", b"u-18", 1))
        assert_tampered(whole.verify())

    def test_a_key_that_was_changed_among_what_is_gone_is_followed(self, tmp_path: Path) -> None:
        log = PrunableLog(tmp_path / "log", records=300)
        new = Ed25519Key.from_seed(b"n" * 32)
        signer = Checkpointer(
            str(log.active), KeyRing([KEY, new]), origin=ORIGIN, record=log.append
        )
        signer.run("manual")
        log.rotate()
        log.append("audit.started", {"n": 1})
        log.sign(KeyRing([KEY, new]))
        for _ in range(3):
            log.rotate()
            log.append("audit.started", {"n": 1})
            log.sign(KeyRing([KEY, new]))
        log.prune(-1, ring=KeyRing([new]))
        report = log.verify(KeyRing([KEY, new]))
        assert report.counts == {Kind.PRUNED: 1}
        alone = log.verify(KeyRing([Ed25519Key.from_vkey(new.to_vkey(report.origin))]))
        assert alone.exit_status == 4  # the checkpoints of the old key cannot be checked


class TestWhatIsNot:
    def test_a_segment_that_was_deleted_by_hand(self, whole: PrunableLog) -> None:
        whole.segments()[0].unlink()
        report = whole.verify()
        assert Kind.MISSING_SEGMENT in report.counts
        assert_tampered(report)

    def test_one_more_segment_than_was_removed(self, pruned: PrunableLog) -> None:
        pruned.segments()[0].unlink()
        report = pruned.verify()
        assert Kind.MISSING_SEGMENT in report.counts
        assert_tampered(report)

    def test_a_statement_that_a_stranger_signed(self, whole: PrunableLog, removal: Removal) -> None:
        forge(whole, removal, OTHER)
        whole.sign()  # the signer signs what anybody appends
        assert_tampered(whole.verify())

    def test_a_statement_that_nobody_signed(self, whole: PrunableLog, removal: Removal) -> None:
        forge(whole, removal, None, signature="")
        whole.sign()
        assert_tampered(whole.verify())

    @pytest.mark.parametrize(
        "changed",
        [
            {"last_hash": "0" * 64},
            {"root_hash": "0" * 64},
            {"head_hash": "0" * 64},
            {"size": 601},
            {"origin": "audit.example/shop/0123456789abcdef"},
            {"first_seq": 2},
            {"v": 0},
            {"reason": "two\nlines"},
            {"carried": ("no record",)},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("key", [None, KEY], ids=["changed", "signed anew"])
    def test_a_statement_that_says_something_else(
        self, whole: PrunableLog, removal: Removal, key: object, changed: dict[str, object]
    ) -> None:
        if key is None and changed == {"first_seq": 2}:
            changed = {**changed, "records": removal.records - 1}
        forge(whole, removal, key, **changed)
        whole.sign()
        assert_tampered(whole.verify())

    def test_more_lines_carried_on_than_a_statement_may_have(
        self, whole: PrunableLog, removal: Removal
    ) -> None:
        """Whoever has the key cannot make a verifier hold half a log in its memory."""
        lines = tuple(line.decode() for line in whole.lines[: CARRIED + 1])
        at_most = structs.replace(removal, carried=lines[:-1])
        assert Removal.of(fields_of(at_most)) == at_most
        with pytest.raises(ValueError, match="contradict"):
            Removal.of(fields_of(structs.replace(removal, carried=lines)))

    def test_a_range_beyond_the_checkpoint(self, whole: PrunableLog, removal: Removal) -> None:
        size = removal.size
        forge(whole, removal, size=removal.last_seq - 1, root_hash=removal.root_hash)
        assert size >= removal.last_seq
        assert_tampered(whole.verify())

    def test_another_frontier_even_if_the_key_signed_it(
        self, whole: PrunableLog, removal: Removal
    ) -> None:
        size, first, *rest = removal.frontier.split(" ")
        forge(whole, removal, frontier=" ".join([size, first[::-1], *rest]))
        assert_tampered(whole.verify())

    def test_an_older_removal_again_for_a_later_beginning(self, pruned: PrunableLog) -> None:
        with open_reader(str(pruned.path)) as reader:
            start = newest_start(reader, RING, MadeChain().chain)
        assert start is not None
        pruned.append(RECORD, fields_of(start.removal))
        assert pruned.verify().exit_status == 0  # it says nothing new
        pruned.segments()[0].unlink()
        assert_tampered(pruned.verify())

    def test_the_removal_of_another_log(self, tmp_path: Path, pruned: PrunableLog) -> None:
        other = PrunableLog(tmp_path / "other", records=700)
        with open_reader(str(pruned.path)) as reader:
            start = newest_start(reader, RING, MadeChain().chain)
        assert start is not None
        other.append(RECORD, fields_of(start.removal))
        delete(other, start.removal.last_seq)
        assert_tampered(other.verify())

    def test_records_at_the_end_that_are_gone(self, pruned: PrunableLog) -> None:
        pruned.active.unlink()
        pruned.segments()[-1].rename(pruned.active)
        assert_tampered(pruned.verify())

    def test_the_record_of_the_removal_alone_is_cut_off(self, pruned: PrunableLog) -> None:
        lines = pruned.active.read_bytes().splitlines(keepends=True)
        pruned.active.write_bytes(b"".join(lines[:-1]))
        assert_tampered(pruned.verify())

    def test_a_removal_under_a_checkpoint_that_was_taken_out(self, pruned: PrunableLog) -> None:
        path = pruned.path / "checkpoints.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(line for line in lines if b'"head_seq":600,' not in line))
        assert_tampered(pruned.verify())

    def test_a_key_that_was_replaced_removes_nothing(
        self, whole: PrunableLog, removal: Removal
    ) -> None:
        new = Ed25519Key.from_seed(b"n" * 32)
        both = KeyRing([KEY, new])
        Checkpointer(str(whole.active), both, origin=ORIGIN, record=whole.append).run("manual")
        assert whole.verify(both).exit_status == 0
        forge(whole, removal, KEY)
        whole.sign(both)
        assert_tampered(whole.verify(both))


class TestTiles:
    def test_missing_tiles_are_missing_evidence(self, pruned: PrunableLog) -> None:
        shutil.rmtree(pruned.path / "tile")
        report = pruned.verify()
        assert Kind.MISSING_SEGMENT in report.counts
        assert_tampered(report)

    def test_an_altered_tile(self, pruned: PrunableLog) -> None:
        tile = pruned.path / "tile" / "0" / "001"
        data = bytearray(tile.read_bytes())
        data[40] ^= 1
        tile.write_bytes(data)
        report = pruned.verify()
        assert Kind.CHECKPOINT_ROOT_MISMATCH in report.counts
        assert_tampered(report)

    def test_the_tiles_of_another_log(self, tmp_path: Path, pruned: PrunableLog) -> None:
        lines = MadeChain("00000000000000aa").add(1400).lines
        other = tmp_path / "other"
        other.mkdir()
        (other / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        signer = Checkpointer(
            str(other / "audit.jsonl"), RING, origin=ORIGIN, record=lambda *_: None
        )
        signer.run("manual")
        shutil.rmtree(pruned.path / "tile")
        shutil.copytree(other / "tile", pruned.path / "tile")
        assert_tampered(pruned.verify())


class TestWhoKnowsMore:
    """A verifier that was here before the removal."""

    def test_what_was_remembered_of_the_log_still_holds(
        self, whole: PrunableLog, tmp_path: Path
    ) -> None:
        memory = tmp_path / "seen.json"
        before = verify_paths([str(whole.path)], Options(ring=RING))[0]
        remembered(before, memory)
        whole.prune()
        whole.sign()
        after = remembered(verify_paths([str(whole.path)], Options(ring=RING))[0], memory)
        assert after.report.exit_status == 0

    def test_an_older_checkpoint_is_consistent_with_what_is_signed_now(
        self, whole: PrunableLog
    ) -> None:
        kept = whole.verify()
        whole.prune()
        whole.append("audit.started", {})
        whole.sign()
        with open_reader(str(whole.path)) as reader:
            made = prove_consistency(reader, kept.anchored_seq, whole.verify().anchored_seq, RING)
        assert made.old.root_hash == kept.anchored_root
        assert made.holds()

    def test_a_checkpoint_that_never_was_is_found_among_what_is_gone(
        self, pruned: PrunableLog
    ) -> None:
        """Whoever had the key once, and signs another past, meets the hashes that were kept."""
        path = pruned.path / "checkpoints.jsonl"
        first, *rest = path.read_bytes().splitlines(keepends=True)
        old = Checkpoint.from_line(first)
        false = sign(
            KEY,
            at=old.at,
            origin=old.origin,
            chain=old.chain,
            size=old.head_seq - 1,
            head_hash=old.head_hash,
            root=bytes(32),
            reason="manual",
        )
        path.write_bytes(b"".join([false.to_line(), first, *rest]))
        report = pruned.verify()
        assert Kind.CHECKPOINT_ROOT_MISMATCH in report.counts
        assert_tampered(report)


class TestOtherCommands:
    def test_repair_moves_a_torn_end_of_a_log_that_begins_later(self, pruned: PrunableLog) -> None:
        with pruned.active.open("ab") as file:
            file.write(b"torn\nin the middle\n")
        pruned.append("audit.started", {})
        plan = plan_repair(pruned.verify())
        apply(pruned.layout, plan.actions)
        pruned.sign()
        report = pruned.verify()
        assert report.exit_status == 0
        assert Kind.PRUNED in report.counts

    def test_bytes_that_were_declared_at_the_end_of_what_is_gone_are_no_finding(
        self, tmp_path: Path
    ) -> None:
        log = PrunableLog(tmp_path / "log", records=60, part=60)
        with log.active.open("ab") as file:
            file.write(b"torn")
        data = log.active.read_bytes()
        log.rotate()
        closed = log.segments()[-1]
        closed.write_bytes(data + b"\n")
        log.append(
            "audit.recovered",
            {"offset": len(data) - 4, "bytes": 4, "sha256": sha256(b"torn").hexdigest()},
        )
        log.sign()
        log.rotate()
        log.append("audit.started", {})
        log.sign()
        assert log.verify().exit_status == 0
        log.prune(-1, allowed=60)
        report = log.verify()
        assert report.exit_status == 0, report.findings
        assert report.first_seq == 61


@pytest.mark.parametrize("gone", [True, False], ids=["among what is gone", "after it"])
def test_who_pinned_the_old_key_alone_follows_a_change_of_key(
    tmp_path: Path, *, gone: bool
) -> None:
    old, new = (Ed25519Key.from_seed(seed * 32) for seed in (b"a", b"b"))
    both = KeyRing([old, new])
    log = PrunableLog(tmp_path / "log", records=60, part=20, ring=KeyRing([old]))

    def change() -> None:
        log.append("audit.started", {})
        Checkpointer(str(log.active), both, origin=ORIGIN, record=log.append).run("manual")

    if gone:
        change()
        log.rotate()
        log.append("audit.started", {})
        log.sign(both)
        log.prune(-1, ring=both)
    else:
        change()
        log.prune(-1, ring=both, allowed=40)
    report = log.verify(KeyRing([Ed25519Key(old.public)]))
    assert report.exit_status == 0, report.findings
    assert report.first_seq > 40 if gone else report.first_seq == 41
    assert report.anchored_by.startswith("ed25519")
    # The old key removes nothing any more, though the record that retired it is gone.
    if gone:
        with open_reader(str(log.path)) as reader:
            start = newest_start(reader, both, MadeChain().chain)
        assert start is not None
        log.append(RECORD, fields_of(signed(start.removal, old)))
        assert_tampered(log.verify(KeyRing([Ed25519Key(old.public)])))
