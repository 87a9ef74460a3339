"""Keys that give way to others: what a verifier follows, and what it takes for forged."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, MadeChain
from support.processor_time import takes_less
from support.verifier_comparison import (
    KEY,
    ORIGIN,
    SECRET,
    MadeLog,
    both,
    kinds,
    others,
    ours,
    rechained,
)

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import checkpoint_fields
from audit_emit._format.chain import Frontier, merkle_root
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.key_change import Succession, rotation_fields, rotation_text
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, Key, KeyRing
from audit_emit.errors import ForgedChangeError

SECOND = b"another key of 32 bytes, as it is"
SHARED = HmacKey(SECOND)
PAIR = Ed25519Key.from_seed(b"p" * 32)
NEXT = Ed25519Key.from_seed(b"q" * 32)
PINNED = Ed25519Key.from_vkey(PAIR.to_vkey(ORIGIN))


def made(directory: Path, *rings: tuple[Key, ...]) -> MadeLog:
    """A log that each ring signs twice, after ten records each time."""
    log = MadeLog(directory / "log")
    for ring in rings:
        log.write(2, 10, keys=ring)
    return log


def origin_of(log: MadeLog) -> str:
    return f"{ORIGIN}/{json.loads(log.lines()[0])['chain']}"


def signed(log: MadeLog) -> list[Checkpoint]:
    return [Checkpoint.from_line(line) for line in log.checkpoints.read_bytes().splitlines()]


def changes(log: MadeLog) -> list[dict[str, Any]]:
    records = map(json.loads, log.lines())
    return [record for record in records if record["event_type"] == "audit.key_rotated"]


def tell(log: MadeLog, fields: dict[str, Any]) -> int:
    """A change of key in the log, by whoever can write there; the record's ``seq``."""
    emitter = Emitter(service="tests", jsonl=log.active, stdout=False, durability="os")
    assert emitter.store is not None
    emitter.record_own("audit.key_rotated", fields)
    emitter.close()
    return int(changes(log)[-1]["seq"])


def sign_by_hand(log: MadeLog, key: Key, size: int = 0, origin: str = "") -> int:
    """A checkpoint that the signer would not make; its ``head_seq``."""
    records = [json.loads(line) for line in log.lines()]
    records = records[: size or len(records)]
    one = sign(
        key,
        at="2026-05-19T20:00:00.000000000Z",
        origin=origin or origin_of(log),
        chain=records[0]["chain"],
        size=len(records),
        head_hash=records[-1]["hash"],
        root=merkle_root([bytes.fromhex(record["hash"]) for record in records]),
        reason="manual",
    )
    found = sorted([*signed(log), one], key=lambda each: each.head_seq)
    log.checkpoints.write_bytes(b"".join(each.to_line() for each in found))
    return one.head_seq


@pytest.fixture
def log_of_two(tmp_path: Path) -> MadeLog:
    return made(tmp_path, (KEY,), (KEY, SHARED))


class TestSharedKeys:
    def test_with_both(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, SHARED))
        assert len(changes(log)) == 1
        report = both(log.directory, SECOND)
        assert report.exit_status == 0
        assert report.anchored_seq == signed(log)[-1].head_seq

    def test_with_the_old_one_alone_the_new_one_is_asked_for(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, SHARED))
        report = both(log.directory)
        assert report.exit_status == 4
        assert kinds(report) == {"key-unavailable": [signed(log)[2].head_seq]}
        (finding,) = report.findings
        (change,) = changes(log)
        assert finding.note.startswith(f"record {change['seq']} names it as the new key, but")
        assert report.anchored_seq == signed(log)[1].head_seq

    def test_with_the_new_one_alone(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, SHARED))
        report = both(log.directory, key=SECOND)
        assert kinds(report) == {"key-unavailable": [signed(log)[0].head_seq]}
        assert report.anchored_seq == signed(log)[-1].head_seq

    @pytest.mark.parametrize("more", [(), (SECOND,)])
    def test_the_old_one_signs_on(self, log_of_two: MadeLog, more: tuple[bytes, ...]) -> None:
        size = sign_by_hand(log_of_two, KEY)
        report = both(log_of_two.directory, *more)
        assert report.exit_status == 1
        assert kinds(report)["checkpoint-signature-mismatch"] == [size]
        assert report.anchored_seq < size

    def test_what_the_old_one_signed_before_holds(self, log_of_two: MadeLog) -> None:
        sign_by_hand(log_of_two, KEY, changes(log_of_two)[0]["seq"] - 1)
        assert both(log_of_two.directory, SECOND).exit_status == 0

    def test_told_twice(self, log_of_two: MadeLog) -> None:
        tell(log_of_two, changes(log_of_two)[0]["fields"])
        assert both(log_of_two.directory, SECOND).exit_status == 0

    def test_a_retired_one_names_another(self, log_of_two: MadeLog) -> None:
        third = HmacKey(b"t" * 32)
        at = tell(log_of_two, rotation_fields(KEY, third, origin_of(log_of_two)))
        report = both(log_of_two.directory, SECOND)
        assert kinds(report) == {"checkpoint-signature-mismatch": [at]}

    def test_a_retired_one_never_returns(self, log_of_two: MadeLog) -> None:
        at = tell(log_of_two, rotation_fields(SHARED, KEY, origin_of(log_of_two)))
        size = sign_by_hand(log_of_two, KEY)
        report = both(log_of_two.directory, SECOND)
        assert kinds(report) == {"checkpoint-signature-mismatch": [at, size]}

    def test_of_another_chain(self, log_of_two: MadeLog, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = made(tmp_path / "other", (KEY,), (KEY, HmacKey(b"t" * 32)))
        at = tell(log_of_two, changes(other)[0]["fields"])
        report = both(log_of_two.directory, SECOND)
        assert kinds(report) == {"checkpoint-signature-mismatch": [at]}

    @pytest.mark.parametrize("member", ["origin", "new_key_id", "new_alg", "signature"])
    def test_edited(self, tmp_path: Path, member: str) -> None:
        log = made(tmp_path, (KEY,))
        fields = rotation_fields(KEY, SHARED, origin_of(log))
        at = tell(log, {**fields, member: fields[member][::-1]})
        report = both(log.directory)
        assert kinds(report) == {"checkpoint-signature-mismatch": [at]}


class TestPairs:
    @pytest.mark.parametrize("first", [PAIR, KEY])
    def test_the_new_key_is_followed(self, tmp_path: Path, first: Key) -> None:
        log = made(tmp_path, (first,), (first, NEXT))
        report = ours(log.directory, PINNED if first is PAIR else KEY)
        assert report.exit_status == 0
        assert report.anchored_seq == signed(log)[-1].head_seq

    def test_the_second_verifier_says_which_key_it_lacks(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, NEXT))
        found = others["verify_chain.py"](log.directory, [SECRET], None)
        assert [(kind, seq) for kind, seq, _ in found] == [
            ("key-unavailable", signed(log)[2].head_seq)
        ]

    def test_from_key_to_key(self, tmp_path: Path) -> None:
        last = Ed25519Key.from_seed(b"r" * 32)
        log = made(tmp_path, (PAIR,), (PAIR, NEXT), (NEXT, last))
        report = ours(log.directory, PINNED)
        assert report.exit_status == 0
        assert report.anchored_seq == signed(log)[-1].head_seq

    def test_line_by_line(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        seq = changes(log)[0]["seq"]
        size = sign_by_hand(log, NEXT, seq)
        log.edit(seq, lambda lines, i: lines.insert(i, b"foreign\n"))
        report = ours(log.directory, PINNED)
        assert list(kinds(report)) == ["malformed-line"]
        assert report.anchored_seq == signed(log)[-1].head_seq > size

    def test_a_checkpoint_that_ends_in_the_record_of_the_change(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,))
        at = tell(log, rotation_fields(PAIR, NEXT, origin_of(log)))
        assert sign_by_hand(log, NEXT) == at
        report = ours(log.directory, PINNED)
        assert (report.exit_status, report.anchored_seq) == (0, at)

    def test_forged_in_the_new_ones_name(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))

        def edit(lines: list[bytes]) -> None:
            point = json.loads(lines[-1])
            point["signature"] = signed(log)[-2].signature
            lines[-1] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        report = ours(log.directory, PINNED)
        assert kinds(report) == {"checkpoint-signature-mismatch": [signed(log)[-1].head_seq]}
        assert report.exit_status == 1

    def test_before_it_was_named_nobody_knows_it(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        size = sign_by_hand(log, NEXT, changes(log)[0]["seq"] - 1)
        assert kinds(ours(log.directory, PINNED)) == {"key-unavailable": [size]}

    def test_the_old_one_signs_on(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        size = sign_by_hand(log, PAIR)
        report = ours(log.directory, PINNED)
        assert kinds(report) == {"checkpoint-signature-mismatch": [size]}

    def test_the_old_one_signs_on_under_another_origin(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        size = sign_by_hand(log, PAIR, origin=origin_of(log).replace("/tests/", "/tests/x/"))
        report = ours(log.directory, PINNED)
        assert kinds(report) == {"checkpoint-signature-mismatch": [size]}

    def test_named_by_nobody_who_is_trusted(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,))
        intruder = Ed25519Key.from_seed(b"i" * 32)
        tell(log, rotation_fields(intruder, NEXT, origin_of(log)))
        size = sign_by_hand(log, NEXT)
        assert kinds(ours(log.directory, PINNED)) == {"key-unavailable": [size]}

    def test_named_in_the_name_of_a_trusted_one(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,))
        intruder = Ed25519Key.from_seed(b"i" * 32)
        origin = origin_of(log)
        named = {"old_key_id": PAIR.key_id(origin)}
        at = tell(log, {**rotation_fields(intruder, NEXT, origin), **named})
        size = sign_by_hand(log, NEXT)
        assert kinds(ours(log.directory, PINNED)) == {
            "checkpoint-signature-mismatch": [at],
            "key-unavailable": [size],
        }

    def test_without_keys_nothing_is_followed(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        report = ours(log.directory)
        assert list(kinds(report)) == ["key-unavailable"]
        assert len(report.findings) == 2
        assert report.anchored_seq == 0


def with_the_stolen_new_key(log: MadeLog, new: Key, *, keep: int) -> None:
    """Write what the old key signed anew, and sign it; ``keep`` lines of checkpoints stay."""
    lines = log.lines()
    body = lines[3].replace(b'"n":', b'"m":')
    assert body != lines[3]
    forged = rechained([*lines[:3], body, *lines[4:]], "0" * 64)
    for path in log.segments[:-1]:
        path.unlink()
    log.active.write_bytes(b"".join(forged))
    log.edit_checkpoints(lambda points: points.__delitem__(slice(keep, None)))
    sign_by_hand(log, new)


class TestTheStolenNewKey:
    def test_cannot_rewrite_what_the_old_one_signed(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, SHARED))
        with_the_stolen_new_key(log, SHARED, keep=0)
        report = both(log.directory, SECOND)
        seq = changes(log)[0]["seq"]
        assert kinds(report)["checkpoint-signature-mismatch"] == [seq]
        notes = [finding.note for finding in report.findings]
        assert any("root" in note and "which is not there" in note for note in notes)

    def test_cannot_rewrite_it_though_its_checkpoints_are_kept(self, tmp_path: Path) -> None:
        log = made(tmp_path, (KEY,), (KEY, SHARED))
        sizes = [one.head_seq for one in signed(log)[:2]]
        with_the_stolen_new_key(log, SHARED, keep=2)
        assert kinds(both(log.directory, SECOND))["checkpoint-root-mismatch"] == sizes

    def test_gains_no_trust_from_whoever_pinned_the_old_one(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        with_the_stolen_new_key(log, NEXT, keep=0)
        report = ours(log.directory, PINNED)
        assert report.exit_status == 1
        assert report.anchored_seq == 0
        assert kinds(report)["checkpoint-signature-mismatch"] == [changes(log)[0]["seq"]]

    def test_cannot_turn_the_change_into_one_of_version_1(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        fields = changes(log)[0]["fields"]
        for gone in ({"size"}, {"root_hash"}, {"size", "root_hash"}):
            stripped = {name: value for name, value in fields.items() if name not in gone}
            with pytest.raises(ForgedChangeError):
                Succession(KeyRing([PAIR])).follow(stripped, 99, origin_of(log)[-16:])

    def test_a_tree_after_the_record_is_no_past(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,), (PAIR, NEXT))
        fields, chain = changes(log)[0]["fields"], origin_of(log)[-16:]
        assert Succession(KeyRing([PAIR])).follow(fields, fields["size"] + 1, chain) is not None
        with pytest.raises(ForgedChangeError):
            Succession(KeyRing([PAIR])).follow(fields, fields["size"], chain)

    def test_of_version_1_is_followed_as_ever(self, tmp_path: Path) -> None:
        log = made(tmp_path, (PAIR,))
        at = tell(log, rotation_fields(PAIR, NEXT, origin_of(log)))
        assert sign_by_hand(log, NEXT) == at
        report = ours(log.directory, PINNED)
        assert (report.exit_status, report.anchored_seq) == (0, at)


class TestSuccession:
    ORIGIN = f"{ORIGIN}/0123456789abcdef"
    CHAIN = "0123456789abcdef"

    def test_a_key_is_another_than_it_names(self) -> None:
        fields = rotation_fields(PAIR, NEXT, self.ORIGIN)
        for member, value in (
            ("new_key", PAIR.to_vkey(self.ORIGIN)),
            ("new_key", NEXT.to_vkey("b.example")),
            ("new_key", "no key"),
            ("new_key_id", "00000000"),
        ):
            wrong = {**fields, member: value}
            wrong["signature"] = base64.b64encode(PAIR.sign(rotation_text(wrong))).decode()
            with pytest.raises(ForgedChangeError, match="the new key is"):
                Succession(KeyRing([PAIR])).follow(wrong, 5, self.CHAIN)

    def test_a_key_does_not_follow_itself(self) -> None:
        fields = rotation_fields(PAIR, PAIR, self.ORIGIN)
        with pytest.raises(ForgedChangeError):
            Succession(KeyRing([PAIR])).follow(fields, 5, self.CHAIN)

    @pytest.mark.parametrize("fields", [{}, {"origin": 5}, {"origin": "\ud800"}])
    def test_malformed(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ForgedChangeError):
            Succession(KeyRing([PAIR])).follow(fields, 5, self.CHAIN)
        assert Succession(KeyRing()).follow(fields, 5, self.CHAIN) is None


def changed_often(
    directory: Path, count: int, make: Callable[[bytes], Key] = Ed25519Key.from_seed
) -> list[bytes]:
    """A log whose key changed so many times; what the keys are made of, oldest first."""
    directory.mkdir()
    seeds = [bytes(28) + bytes([1, 2, 3, 4]), *(n.to_bytes(32, "big") for n in range(count))]
    keys = [make(seed) for seed in seeds]
    chain = MadeChain().add(2)
    origin = f"{ORIGIN}/{chain.chain}"
    tree, points = Frontier(), b""

    def signed(key: Key) -> tuple[int, str]:
        nonlocal points
        for line in chain.lines[tree.size :]:
            tree.append(bytes.fromhex(json.loads(line)["hash"]))
        last = json.loads(chain.lines[-1])
        made = sign(
            key,
            at=last["ts"],
            origin=origin,
            chain=chain.chain,
            size=tree.size,
            head_hash=last["hash"],
            root=tree.root(),
            reason="manual",
        )
        points += made.to_line()
        chain.add(event_type="audit.checkpoint", fields=checkpoint_fields(made))
        return made.head_seq, made.root_hash

    past = signed(keys[0])
    for old, new in pairwise(keys):
        fields = rotation_fields(old, new, origin, past)
        chain.add(event_type="audit.key_rotated", fields=fields)
        past = signed(new)
    chain.write(directory / "audit.jsonl")
    (directory / "checkpoints.jsonl").write_bytes(points)
    return seeds


def test_any_number_of_changes_takes_time_that_is_linear_in_it(tmp_path: Path) -> None:
    def verify(count: int) -> Callable[[], object]:
        directory = tmp_path / str(count)
        pinned = Ed25519Key.from_seed(changed_often(directory, count)[0])

        def work() -> None:
            report = ours(directory, pinned, as_of=BEGIN)
            assert (report.exit_status, report.anchored_seq) == (0, report.last_seq - 1)

        return work

    # Eight times as many changes; quadratic would be 64.
    assert takes_less(verify(480), 0, times=24, than=verify(60))


def test_the_second_verifier_takes_linear_time_for_them_too(tmp_path: Path) -> None:
    def verify(count: int) -> Callable[[], object]:
        directory = tmp_path / str(count)
        keys = changed_often(directory, count, HmacKey)

        def work() -> None:
            assert others["verify_chain.py"](directory, keys, BEGIN) == []

        return work

    # Sixteen times as many changes.
    assert takes_less(verify(3200), 0, times=48, than=verify(200))
