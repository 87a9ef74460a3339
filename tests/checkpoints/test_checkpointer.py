"""The signer: what it signs, what it remembers, and when it refuses."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import merkle_rfc6962
from support.plain_log_reader import chain_ok, of_type, records
from support.waiting import PATIENCE

from audit_emit import Emitter, open_log
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.key_change import check_rotation, rotation_fields
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, Key, KeyRing
from audit_emit._stores.jsonl.lockfile import LOCK, flock
from audit_emit.errors import CheckpointError, ConfigError

OLD = HmacKey(b"o" * 32)
NEW = Ed25519Key.from_seed(b"n" * 32)


class Signed:
    """A log, and a signer beside it.

    Attributes:
        emitter: writes the log; 16 KiB per segment.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "audit.jsonl"
        self.emitter = self.opened()

    def opened(self) -> Emitter:
        return Emitter(
            service="tests", jsonl=self.path, stdout=False, max_bytes=16384, durability="os"
        )

    def signer(self, *keys: Key, origin: str = "a.example/tests", **more: Any) -> Checkpointer:
        def record(event_type: str, fields: dict[str, Any]) -> None:
            self.emitter.record_own(event_type, fields)

        ring = KeyRing(keys or (OLD,))
        return Checkpointer(str(self.path), ring, origin=origin, record=record, **more)

    def emit(self, count: int) -> None:
        for number in range(count):
            assert self.emitter.emit(None, "x.y", {"n": number, "pad": "x" * 100})

    def segments(self) -> list[Path]:
        return [*sorted(self.directory.glob("audit-*.jsonl")), self.path]

    def leaves(self) -> list[bytes]:
        return [bytes.fromhex(record["hash"]) for record in chain_ok(*self.segments())]

    def lines(self) -> list[Checkpoint]:
        path = self.directory / "checkpoints.jsonl"
        if not path.exists():
            return []
        return [Checkpoint.from_line(line) for line in path.read_bytes().splitlines()]

    def sound(self, *keys: Key) -> list[Checkpoint]:
        """Every checkpoint, each checked against the whole log."""
        leaves = self.leaves()
        found = self.lines()
        for one in found:
            assert check(one, KeyRing(keys or (OLD,))) == "ok"
            assert one.root_hash == merkle_rfc6962.root(leaves[: one.head_seq]).hex()
            assert one.head_hash == leaves[one.head_seq - 1].hex()
        return found


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Signed]:
    made = Signed(tmp_path)
    yield made
    made.emitter.close()


def refused(signer: Checkpointer, reason: str) -> None:
    before = (Path(signer.layout.directory) / "checkpoints.jsonl").read_bytes()
    with pytest.raises(CheckpointError) as caught:
        signer.run("manual")
    assert caught.value.reason == reason
    assert (Path(signer.layout.directory) / "checkpoints.jsonl").read_bytes() == before


def test_a_checkpoint_covers_the_log_and_is_told_in_it(log: Signed) -> None:
    log.emit(10)
    made = log.signer().run("manual")
    assert made is not None
    assert (made.head_seq, made.reason) == (11, "manual")
    (line,) = log.sound()
    assert line == made
    (record,) = of_type(log.path, "audit.checkpoint")
    assert record["seq"] == 12
    told = {**record["fields"], "v": 2, "chain": record["chain"]}
    assert told == json.loads(made.to_line())
    assert made.origin == f"a.example/tests/{record['chain']}"


def test_nothing_new_is_not_signed_again(log: Signed) -> None:
    signer = log.signer()
    assert signer.run("manual") is None, "there is no log yet"
    log.emit(1)
    assert signer.run("manual") is not None
    for _ in range(3):
        assert signer.run("manual") is None, "its own record is nothing new"
    log.emit(1)
    assert signer.run("manual") is not None
    assert [line.head_seq for line in log.sound()] == [2, 4]


def test_it_goes_on_over_rotated_segments(log: Signed) -> None:
    signer = log.signer()
    for count in (1, 30, 5, 120, 64):
        log.emit(count)
        assert signer.run("interval") is not None
    assert len(log.segments()) > 4
    assert len(log.sound()) == 5


def test_another_process_goes_on_from_the_state(log: Signed) -> None:
    log.emit(30)
    log.signer().run("manual")
    log.emit(30)
    made = log.signer().run("manual")
    assert made is not None
    assert made.head_seq == len(log.leaves()) - 1
    assert len(log.sound()) == 2


def test_only_the_new_records_are_read(log: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    log.emit(400)
    log.signer().run("manual")
    log.emit(10)
    read = 0
    pread = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, size, offset)
        read += len(data)
        return data

    signer = log.signer()
    monkeypatch.setattr(os, "pread", counting)
    assert signer.run("manual") is not None
    assert read < 16384
    log.sound()


def test_at_least_and_not_within(log: Signed) -> None:
    signer = log.signer()
    log.emit(5)
    assert signer.run("threshold", at_least=7) is None
    assert signer.run("threshold", at_least=6) is not None
    log.emit(5)
    assert signer.run("interval", not_within=300.0) is None
    assert log.signer().run("interval", not_within=300.0) is None, "whoever signed last"
    assert signer.run("manual") is not None


def test_a_torn_line_and_foreign_bytes_are_passed_over(log: Signed) -> None:
    log.emit(3)
    log.emitter.close()
    with log.path.open("ab") as file:
        file.write(b'{"ts":"torn')
    log.emitter = log.opened()
    log.emit(1)
    with log.path.open("ab") as file:
        file.write(b"foreign\n\xff\xfe\n{}\n")
    signer = log.signer()
    made = signer.run("manual")
    assert made is not None
    log.emit(1)
    again = signer.run("manual")
    assert again is not None
    assert of_type_in(log, "audit.recovered") >= 1
    leaves = [bytes.fromhex(record["hash"]) for record in chained(log.path) if "hash" in record]
    for one in (made, again):
        assert one.root_hash == merkle_rfc6962.root(leaves[: one.head_seq]).hex()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_of_megabytes_is_passed_over_to_its_end(log: Signed, end: bytes) -> None:
    log.emit(3)
    record = log.path.read_bytes().splitlines()[-1]
    with log.path.open("ab") as file:
        # Where reading goes on after a piece, there is what looks like a record.
        file.write(b"x" * (2 * 1024 * 1024) + record + end)
    log.emitter.close()
    log.emitter = log.opened()
    log.emit(3)
    made = log.signer().run("manual")
    assert made is not None
    there = [one for path in log.segments() for one in chained(path)]
    leaves = [bytes.fromhex(one["hash"]) for one in there]
    assert made.root_hash == merkle_rfc6962.root(leaves[: made.head_seq]).hex()
    assert made.head_seq == len(leaves) - 1


def chained(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def of_type_in(log: Signed, event_type: str) -> int:
    return sum(record.get("event_type") == event_type for record in chained(log.path))


def test_records_from_before_the_chain_are_no_leaves(log: Signed) -> None:
    log.path.write_text('{"ts":"2020-01-01T00:00:00Z","event_type":"old","fields":{}}\n')
    log.emit(2)
    made = log.signer().run("manual")
    assert made is not None
    leaves = [bytes.fromhex(r["hash"]) for r in records(log.path) if "hash" in r]
    assert made.root_hash == merkle_rfc6962.root(leaves[: made.head_seq]).hex()


def edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "edited": (lambda new: [new[0], new[1].replace(b'"n":', b'"m":'), *new[2:]], "hash-mismatch"),
    "deleted": (lambda new: [new[0], *new[2:]], "sequence"),
    "swapped": (lambda new: [new[1], new[0], *new[2:]], "sequence"),
    "doubled": (lambda new: [new[0], *new], "sequence"),
    "another chain": (lambda new: [other_chain(new[0]), *new[1:]], "another-chain"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_new_records_that_do_not_follow_are_not_signed(log: Signed, change: str) -> None:
    log.emit(3)
    signer = log.signer()
    signer.run("manual")
    known = len(log.path.read_bytes().splitlines())
    log.emit(5)
    edit_new, reason = CHANGES[change]
    edit(log.path, lambda lines: [*lines[:known], *edit_new(lines[known:])])
    refused(signer, reason)


def other_chain(line: bytes) -> bytes:
    at = line.rindex(b'"chain":"') + 9
    return line[:at] + b"0" * 16 + line[at + 16 :]


def test_a_signed_record_that_was_cut_off_is_noticed(log: Signed) -> None:
    log.emit(5)
    signer = log.signer()
    signer.run("manual")
    log.emitter.close()
    edit(log.path, lambda lines: lines[:3])
    refused(signer, "not-extended")


def rewrite(log: Signed, count: int) -> None:
    """Another history of the same chain, all of its links in order, without the key."""
    chain = records(log.path)[0]["chain"]
    log.emitter.close()
    for path in log.segments():
        path.unlink(missing_ok=True)
    log.emitter = log.opened()
    log.emit(count)
    relink(log.path, chain)
    log.emitter.close()


def relink(path: Path, chain: str, first: int = 0) -> None:
    """Let all records but the ``first`` ones be those of a chain that holds."""
    head = "0" * 64
    lines = path.read_bytes().splitlines(keepends=True)[:first]
    if first:
        head = json.loads(lines[-1])["hash"]
    for seq, record in enumerate(records(path)[first:], first + 1):
        record.pop("hash")
        record.update(chain=chain, seq=seq, prev_hash=head)
        body = json.dumps(record, separators=(",", ":")).encode()
        head = merkle_rfc6962.leaf(body).hex()
        lines.append(body[:-1] + f',"hash":"{head}"}}\n'.encode())
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("lost", [[], ["checkpoints.state"]])
def test_a_rewritten_log_is_not_signed(log: Signed, lost: list[str]) -> None:
    log.emit(5)
    log.signer().run("manual")
    rewrite(log, 20)
    chain_ok(log.path)
    for name in lost:
        (log.directory / name).unlink()
    refused(log.signer(first=True), "not-extended")
    if lost:
        refused(log.signer(), "state-missing")


def lines_of(log: Signed) -> list[bytes]:
    return [line for path in log.segments() for line in path.read_bytes().splitlines(True)]


def forge_from(log: Signed, keep: int, count: int) -> None:
    """The first ``keep`` records, then others: all hashes and links hold."""
    kept = lines_of(log)[:keep]
    chain = records(log.path)[0]["chain"]
    log.emitter.close()
    for path in log.segments():
        path.unlink(missing_ok=True)
    log.emitter = log.opened()
    log.emit(count)
    log.emitter.close()
    more = lines_of(log)
    for path in log.segments()[:-1]:
        path.unlink()
    log.path.write_bytes(b"".join([*kept, *more]))
    relink(log.path, chain, first=keep)
    log.emitter = log.opened()


def cut_checkpoints(log: Signed, keep: int) -> None:
    path = log.directory / "checkpoints.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
    if not keep:
        path.unlink()


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("signer_of", ["the same process", "a state elsewhere", "nothing"])
def test_a_history_that_contradicts_the_signers_own_is_not_signed(
    log: Signed, tmp_path: Path, keep: int, signer_of: str
) -> None:
    (tmp_path / "kept").mkdir()
    elsewhere = {"state": str(tmp_path / "kept" / "state")} if "else" in signer_of else {}
    signer = log.signer(**elsewhere)
    for _ in range(3):
        log.emit(10)
        assert signer.run("manual") is not None
    first = log.lines()[0].head_seq
    forge_from(log, first, 60)
    cut_checkpoints(log, keep)
    (log.directory / "checkpoints.state").unlink(missing_ok=True)
    assert chain_ok(log.path)
    if "same" not in signer_of:
        signer = log.signer(**elsewhere)
    if signer_of == "nothing" and not keep:
        return  # there is nothing left to know it by: hence the state elsewhere
    with pytest.raises(CheckpointError) as caught:
        signer.run("manual")
    expected = "state-missing" if signer_of == "nothing" else "not-extended"
    assert caught.value.reason == expected
    assert len(log.lines()) == keep


def test_what_the_process_remembers_outlives_its_files(log: Signed) -> None:
    signer = log.signer()
    log.emit(10)
    assert signer.run("manual") is not None
    state = log.directory / "checkpoints.state"
    content = state.read_bytes()
    state.unlink()
    cut_checkpoints(log, 0)
    log.emit(5)
    assert signer.run("manual") is not None, "the log goes on from what is remembered"
    assert [one.head_seq for one in log.sound()] == [17]
    state.write_bytes(content)
    assert signer.run("manual") is None
    assert state.read_bytes() != content, "an older one is replaced"


def test_another_process_that_signed_a_forgery_is_not_followed(log: Signed) -> None:
    stale = log.signer()
    log.emit(10)
    assert stale.run("manual") is not None
    forge_from(log, 0, 30)
    for name in ("checkpoints.state", "checkpoints.jsonl"):
        (log.directory / name).unlink()
    assert log.signer().run("manual") is not None, "it knows no better"
    refused(stale, "not-extended")


def test_another_process_that_signed_more_is_followed(log: Signed) -> None:
    stale, other = log.signer(), log.signer()
    for _ in range(3):
        log.emit(40)
        assert stale.run("manual") is not None
        log.emit(40)
        assert other.run("manual") is not None
    assert len(log.sound()) == 6


def test_a_state_may_lie_elsewhere(log: Signed, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    state = tmp_path / "kept" / "signer"
    log.emit(10)
    assert log.signer(state=str(state)).run("manual") is not None
    assert state.exists()
    assert not (log.directory / "checkpoints.state").exists()
    log.emit(10)
    assert log.signer(state=str(state)).run("manual") is not None
    refused(log.signer(), "state-missing")
    state.unlink()
    refused(log.signer(state=str(state)), "state-missing")
    assert len(log.sound()) == 2


def test_a_log_that_declares_checkpoints_is_begun_again_only_on_purpose(log: Signed) -> None:
    log.emit(10)
    assert log.signer().run("manual") is not None
    (log.directory / "checkpoints.state").unlink()
    cut_checkpoints(log, 0)
    with pytest.raises(CheckpointError, match="--first") as caught:
        log.signer().run("manual")
    assert caught.value.reason == "state-missing"
    assert not (log.directory / "checkpoints.jsonl").exists()
    made = log.signer(first=True).run("manual")
    assert made is not None
    log.sound()


def test_without_its_state_the_signer_starts_from_its_checkpoints_if_told_to(log: Signed) -> None:
    log.emit(100)
    log.signer().run("manual")
    log.emit(10)
    (log.directory / "checkpoints.state").unlink()
    refused(log.signer(), "state-missing")
    assert log.signer(first=True).run("manual") is not None
    log.emit(10)
    assert log.signer().run("manual") is not None
    assert len(log.sound()) == 3


def test_a_log_shorter_than_its_checkpoints_is_not_signed(log: Signed) -> None:
    log.emit(10)
    log.signer().run("manual")
    (log.directory / "checkpoints.state").unlink()
    log.emitter.close()
    edit(log.path, lambda lines: lines[:5])
    refused(log.signer(first=True), "truncated")
    refused(log.signer(), "state-missing")


def test_an_older_state_is_caught_up_with_the_checkpoints(log: Signed) -> None:
    state = log.directory / "checkpoints.state"
    log.emit(5)
    log.signer().run("manual")
    older = state.read_bytes()
    log.emit(5)
    log.signer().run("manual")
    state.write_bytes(older)
    assert log.signer().run("manual") is None
    log.emit(5)
    assert log.signer().run("manual") is not None
    assert len(log.sound()) == 3


@pytest.mark.parametrize("member", ["frontier", "head_hash", "offset", "origin", "at"])
def test_a_changed_state_is_not_believed(log: Signed, member: str) -> None:
    log.emit(7)
    log.signer().run("manual")
    log.emit(1)
    path = log.directory / "checkpoints.state"
    state = json.loads(path.read_bytes())
    state[member] = 5 if member == "offset" else state[member].replace("e", "f") + " "
    path.write_text(json.dumps(state))
    refused(log.signer(), "state")
    assert log.signer(first=True).run("manual") is not None, "the checkpoints say enough"
    assert len(log.sound()) == 2


def test_a_changed_state_without_checkpoints_ends_it(log: Signed) -> None:
    log.emit(7)
    log.signer().run("manual")
    path = log.directory / "checkpoints.state"
    state = json.loads(path.read_bytes())
    path.write_text(json.dumps({**state, "offset": 1}))
    (log.directory / "checkpoints.jsonl").write_bytes(b"")
    refused(log.signer(), "state")


def test_a_deleted_checkpoint_file_does_not_free_the_signer(log: Signed) -> None:
    log.emit(5)
    log.signer().run("manual")
    (log.directory / "checkpoints.jsonl").write_bytes(b"")
    made = log.signer().run("manual")
    assert made is not None, "what was signed is written again"
    assert made.head_seq == 7
    (log.directory / "checkpoints.jsonl").write_bytes(b"")
    rewrite(log, 20)
    refused(log.signer(), "not-extended")


def test_forged_checkpoints_are_passed_over(log: Signed) -> None:
    log.emit(5)
    log.signer().run("manual")
    with (log.directory / "checkpoints.jsonl").open("ab") as file:
        line = log.lines()[0].to_line()
        file.write(line.replace(b'"head_seq":6', b'"head_seq":900') + b"nonsense\n")
    log.emit(1)
    assert log.signer().run("manual") is not None


def test_another_chain_in_its_place_is_not_signed(log: Signed) -> None:
    log.emit(5)
    log.signer().run("manual")
    log.emitter.close()
    log.path.unlink()
    log.emitter = log.opened()
    log.emit(20)
    refused(log.signer(), "not-extended")
    (log.directory / "checkpoints.state").unlink()
    refused(log.signer(first=True), "another-chain")


def test_a_missing_segment_ends_it(log: Signed) -> None:
    signer = log.signer()
    log.emit(100)
    (log.directory / "checkpoints.jsonl").touch()
    first, *_ = log.segments()
    content = first.read_bytes()
    first.unlink()
    refused(signer, "sequence")
    first.write_bytes(content)
    assert signer.run("manual") is not None


def test_a_directory_that_was_copied_goes_on(log: Signed, tmp_path: Path) -> None:
    log.emit(100)
    log.signer().run("manual")
    log.emitter.close()
    copied = Signed(Path(shutil.copytree(tmp_path, tmp_path / "copy")))
    copied.emit(30)
    assert copied.signer().run("manual") is not None
    assert len(copied.sound()) == 2
    copied.emitter.close()


def test_the_signed_place_is_found_without_the_hint(log: Signed) -> None:
    log.emit(100)
    log.signer().run("manual")
    for path in log.segments():
        path.write_bytes(b"a line in front of everything\n" + path.read_bytes())
    made = log.signer()
    assert made.run("manual") is None
    log.emit(3)
    assert made.run("manual") is not None


def test_signed_segments_may_be_moved_away(log: Signed) -> None:
    log.emit(60)
    log.emitter.close()
    assert log.path.exists()
    last = len(log.leaves())
    assert Checkpointer(
        str(log.path), KeyRing([OLD]), origin="a.example/tests", record=lambda *_: None
    ).run("rotation")
    log.path.rename(log.directory / f"audit-{last:020d}.jsonl")
    log.emitter = log.opened()
    log.emit(5)
    leaves = log.leaves()
    for path in log.segments()[:-1]:
        path.unlink()
    made = log.signer().run("manual")
    assert made is not None
    assert made.root_hash == merkle_rfc6962.root(leaves[: made.head_seq]).hex()


def test_a_segment_that_does_not_link_to_what_was_signed_is_refused(log: Signed) -> None:
    log.emit(5)
    log.emitter.close()
    signer = log.signer()
    Checkpointer(
        str(log.path), KeyRing([OLD]), origin="a.example/tests", record=lambda *_: None
    ).run("manual")
    size = len(log.leaves())
    chain = records(log.path)[0]["chain"]
    line = b'{"ts":"2026-05-19T20:00:00.000000001Z","event_type":"x.y","chain":"%b","seq":%d,' % (
        chain.encode(),
        size + 1,
    )
    body = line + b'"prev_hash":"%b"}' % (b"0" * 64)
    digest = merkle_rfc6962.leaf(body).hex().encode()
    log.path.write_bytes(body[:-1] + b',"hash":"%b"}\n' % digest)
    refused(signer, "hash-mismatch")


def test_a_torn_checkpoint_line_is_closed(log: Signed) -> None:
    log.emit(5)
    log.signer().run("manual")
    path = log.directory / "checkpoints.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v":1,"at"')
    log.emit(5)
    assert log.signer().run("manual") is not None
    first, torn, second = path.read_bytes().splitlines()
    assert torn == b'{"v":1,"at"'
    assert Checkpoint.from_line(second).head_seq > Checkpoint.from_line(first).head_seq


def test_the_files_are_not_for_others_and_links_are_refused(log: Signed) -> None:
    log.emit(1)
    log.signer().run("manual")
    for name in ("checkpoints.jsonl", "checkpoints.state", "checkpoints.jsonl.lock"):
        assert stat.S_IMODE((log.directory / name).stat().st_mode) & 0o027 == 0, name
    path = log.directory / "checkpoints.jsonl"
    path.rename(log.directory / "elsewhere")
    path.symlink_to(log.directory / "elsewhere")
    log.emit(1)
    with pytest.raises(OSError):
        log.signer().run("manual")


def test_what_could_not_be_kept_is_signed_again(
    log: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.emit(5)
    signer = log.signer()

    def full(_: Checkpoint) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signer._files, "append", full)
    with pytest.raises(OSError, match="space"):
        signer.run("interval")
    assert log.lines() == []
    monkeypatch.undo()
    assert signer.run("interval") is not None
    log.sound()


def test_two_signers_exclude_each_other(log: Signed) -> None:
    log.emit(1)
    lock = os.open(log.directory / "checkpoints.jsonl.lock", os.O_RDWR | os.O_CREAT, 0o640)
    flock(lock, LOCK)
    try:
        with pytest.raises(CheckpointError) as caught:
            log.signer().run("manual", timeout=0.05)
        assert caught.value.reason == "busy"
    finally:
        os.close(lock)
    assert log.signer().run("manual", timeout=PATIENCE) is not None


def test_time_is_bounded(log: Signed) -> None:
    log.emit(200)
    with pytest.raises(CheckpointError) as caught:
        log.signer().run("shutdown", timeout=0.0)
    assert caught.value.reason == "timeout"
    assert log.lines() == []


def test_a_new_key_is_named_by_the_old_one(log: Signed) -> None:
    log.emit(5)
    log.signer(OLD).run("manual")
    log.emit(5)
    made = log.signer(OLD, NEW).run("manual")
    assert made is not None
    assert made.sig_alg == "ed25519"
    (record,) = of_type(log.path, "audit.key_rotated")
    fields = record["fields"]
    assert record["seq"] <= made.head_seq, "the new key's first checkpoint covers it"
    assert check_rotation(fields, KeyRing([OLD])) == "ok"
    assert check_rotation(fields, KeyRing([NEW])) == "key-unavailable"
    assert check_rotation({**fields, "new_key_id": "00000000"}, KeyRing([OLD])) == "mismatch"
    assert Ed25519Key.from_vkey(fields["new_key"]).public == NEW.public
    assert fields["new_key_id"] == made.key_id
    before = log.lines()[0]
    assert (fields["size"], fields["root_hash"]) == (before.head_seq, before.root_hash)
    log.emit(5)
    log.signer(OLD, NEW).run("manual")
    assert len(of_type(log.path, "audit.key_rotated")) == 1
    assert len(log.sound(OLD, NEW)) == 3


def test_a_retired_key_signs_no_more(log: Signed) -> None:
    log.emit(5)
    stale = log.signer(OLD)
    stale.run("manual")
    log.signer(OLD, NEW).run("manual")
    log.emit(5)
    for signer in (stale, log.signer(OLD), log.signer(NEW, OLD)):
        refused(signer, "key-retired")
        refused(signer, "key-retired")
    assert len(of_type(log.path, "audit.key_rotated")) == 1


def test_a_change_of_key_is_told_and_signed_though_nothing_else_is_new(log: Signed) -> None:
    log.emit(5)
    log.signer(OLD).run("manual")
    made = log.signer(OLD, NEW).run("threshold", at_least=100)
    assert made is not None
    assert made.sig_alg == "ed25519"
    assert log.signer(OLD, NEW).run("threshold", at_least=100) is None
    assert len(of_type(log.path, "audit.key_rotated")) == 1


def test_a_change_of_key_that_was_told_is_not_told_again(
    log: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.emit(5)
    log.signer(OLD).run("manual")
    with monkeypatch.context() as patched:
        patched.setattr("audit_emit._checkpoints.checkpointer.sign", None)
        with pytest.raises(TypeError):
            log.signer(OLD, NEW).run("manual")
    third = HmacKey(b"t" * 32)
    made = log.signer(OLD, NEW).run("manual")
    assert made is not None
    log.signer(OLD, NEW, third).run("manual")
    told = [record["fields"] for record in of_type(log.path, "audit.key_rotated")]
    origin = told[0]["origin"]
    ids = [OLD.key_id(origin), NEW.key_id(origin), third.key_id(origin)]
    assert [(one["old_key_id"], one["new_key_id"]) for one in told] == [*pairwise(ids)]
    assert len(log.sound(OLD, NEW, third)) == 3


def test_a_forged_change_of_key_retires_nothing(log: Signed) -> None:
    log.emit(5)
    log.signer(OLD).run("manual")
    intruder = HmacKey(b"i" * 32)
    origin = log.lines()[0].origin
    forged = {**rotation_fields(intruder, NEW, origin), "old_key_id": OLD.key_id(origin)}
    for fields in (forged, {"origin": origin}, {**forged, "signature": 5}):
        log.emitter.record_own("audit.key_rotated", fields)
    assert log.signer(OLD).run("manual") is not None
    assert len(log.sound(OLD)) == 2


def test_a_new_key_alone_starts_anew_if_told_to(log: Signed) -> None:
    log.emit(5)
    log.signer(OLD).run("manual")
    refused(log.signer(NEW), "state")
    made = log.signer(NEW, first=True).run("manual")
    assert made is not None
    assert of_type(log.path, "audit.key_rotated") == []
    assert len(log.sound(OLD, NEW)) == 2


def test_a_key_that_cannot_sign_here_is_told(log: Signed) -> None:
    public = Ed25519Key(NEW.public)
    named = Ed25519Key(NEW.public, seed=b"n" * 32, name="b.example")
    for keys, setting in (((), "signing_key"), ((public,), "signing_key"), ((named,), "origin")):
        with pytest.raises(ConfigError) as caught:
            Checkpointer(str(log.path), KeyRing(keys), origin="a.example", record=lambda *_: None)
        assert caught.value.setting == setting


def test_it_can_be_told_to_give_up(log: Signed) -> None:
    log.emit(5)
    with pytest.raises(CheckpointError) as caught:
        log.signer().run("manual", give_up=lambda: True)
    assert caught.value.reason == "timeout"
    assert log.lines() == []


@pytest.mark.parametrize("width", range(0, 40, 3))
def test_whatever_its_size_the_record_of_the_last_checkpoint_leaves_nothing_unsigned(
    tmp_path: Path, width: int
) -> None:
    key = "ab" * 32
    emitter = Emitter(
        jsonl=str(tmp_path / "audit.jsonl"), stdout=False, max_bytes=4096, signing_key=key
    )
    for number in range(20):
        emitter.emit({"correlation_id": "r" * width}, "item.set", {"n": number})
    assert emitter.close(PATIENCE)
    next_day = datetime.now(UTC) + timedelta(days=1)
    assert open_log(tmp_path, keys=[key]).verify(as_of=next_day).exit_status == 0
