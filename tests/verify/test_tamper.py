"""Everything that can be done to a log, judged by both verifiers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.verifier_comparison import (
    KEY,
    SECRET,
    MadeLog,
    both,
    kinds,
    ours,
    rechained,
    renumbered,
)

from audit_emit import Emitter
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._verify.verify import Options, verify_paths

ROUNDS = 5
EVENTS = 30


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeLog:
    log = MadeLog(tmp_path_factory.mktemp("made") / "log")
    log.write(ROUNDS, EVENTS)
    return log


@pytest.fixture
def log(made: MadeLog, tmp_path: Path) -> MadeLog:
    return made.copy(tmp_path / "spoilt")


@pytest.fixture(scope="session")
def heads(made: MadeLog) -> list[int]:
    return [json.loads(line)["head_seq"] for line in made.checkpoints.read_text().splitlines()]


def test_untouched(log: MadeLog, heads: list[int]) -> None:
    report = both(log.directory)
    assert report.exit_status == 0
    assert not report.findings
    assert report.records == report.last_seq == len(log.lines())
    assert len(log.segments) >= 4
    assert report.anchored_seq == heads[-1]
    assert report.checkpoints == ROUNDS


def test_without_the_key_it_is_incomplete(log: MadeLog, heads: list[int]) -> None:
    report = both(log.directory, key=None)
    assert report.exit_status == 4
    assert kinds(report) == {"key-unavailable": [heads[0]]}
    assert report.anchored_seq == 0


def test_another_key_anchors_nothing(log: MadeLog, heads: list[int]) -> None:
    report = both(log.directory, key=b"o" * 32)
    assert report.exit_status == 1
    assert kinds(report) == {"key-unavailable": [heads[0]], "not-anchored": [None]}
    relaxed = ours(log.directory, HmacKey(b"o" * 32), anchor_required=False)
    assert relaxed.exit_status == 4


class TestRecords:
    def test_deleted(self, log: MadeLog, heads: list[int]) -> None:
        log.edit(70, lambda lines, i: lines.__delitem__(i))
        report = both(log.directory)
        assert report.exit_status == 1
        later = [head for head in heads if head > 70]
        assert kinds(report) == {"sequence-gap": [71], "checkpoint-root-mismatch": later}
        (gap,) = [f for f in report.findings if f.kind == "sequence-gap"]
        assert (gap.expected, gap.actual) == (70, 71)

    def test_several_deleted(self, log: MadeLog) -> None:
        log.edit(75, lambda lines, i: lines.__delitem__(slice(i, i + 3)))
        assert kinds(both(log.directory))["sequence-gap"] == [78]

    def test_inserted_with_a_hash_that_holds(self, log: MadeLog) -> None:
        def insert(lines: list[bytes], i: int) -> None:
            forged = lines[i].replace(b"x.y", b"x.z")
            prev = json.loads(lines[i])["prev_hash"]
            lines.insert(i, rechained([forged], prev)[0])

        log.edit(70, insert)
        report = both(log.directory)
        assert report.exit_status == 1
        # The forged one comes first and links; the true one is the second with its number.
        assert kinds(report)["sequence-duplicate"] == [70]
        assert kinds(report)["event-prev-hash-mismatch"] == [71]

    def test_inserted_with_a_wrong_hash(self, log: MadeLog) -> None:
        def insert(lines: list[bytes], i: int) -> None:
            lines.insert(i, lines[i].replace(b"x.y", b"x.z"))

        log.edit(70, insert)
        report = both(log.directory)
        assert kinds(report) == {"event-hash-mismatch": [70]}
        assert report.exit_status == 1

    def test_inserted_without_a_chain(self, log: MadeLog) -> None:
        def insert(lines: list[bytes], i: int) -> None:
            lines.insert(i, lines[i][: lines[i].rindex(b',"chain":')] + b"}\n")

        log.edit(70, insert)
        report = both(log.directory)
        assert kinds(report) == {"malformed-line": [70]}
        assert report.exit_status == 1

    def test_swapped(self, log: MadeLog) -> None:
        def swap(lines: list[bytes], i: int) -> None:
            lines[i], lines[i + 1] = lines[i + 1], lines[i]

        log.edit(70, swap)
        report = both(log.directory)
        assert report.exit_status == 1
        found = kinds(report)
        assert (found["sequence-gap"], found["sequence-duplicate"]) == ([71], [70])

    def test_duplicated(self, log: MadeLog) -> None:
        log.edit(70, lambda lines, i: lines.insert(i, lines[i]))
        report = both(log.directory)
        assert kinds(report) == {"sequence-duplicate": [70]}
        assert report.exit_status == 1

    def test_moved_to_the_end(self, log: MadeLog) -> None:
        line = log.lines()[69]
        log.edit(70, lambda lines, i: lines.__delitem__(i))
        with log.active.open("ab") as file:
            file.write(line)
        found = kinds(both(log.directory))
        assert (found["sequence-gap"], found["sequence-duplicate"]) == ([71], [70])

    @pytest.mark.parametrize("seq", [1, 2, 100, 150])
    def test_changed_with_its_own_hash_made_right(self, log: MadeLog, seq: int) -> None:
        def change(lines: list[bytes], i: int) -> None:
            prev = json.loads(lines[i])["prev_hash"]
            lines[i] = rechained(
                [lines[i].replace(b'"service":"tests"', b'"service":"other"')], prev
            )[0]

        log.edit(seq, change)
        found = kinds(both(log.directory))
        assert found["event-prev-hash-mismatch"] == [seq + 1]

    def test_duplicate_member(self, log: MadeLog) -> None:
        def change(lines: list[bytes], i: int) -> None:
            lines[i] = lines[i].replace(b'"user_id":""', b'"user_id":"x","user_id":""')

        log.edit(70, change)
        found = kinds(both(log.directory))
        assert found["event-hash-mismatch"] == [70]

    def test_white_space(self, log: MadeLog) -> None:
        def change(lines: list[bytes], i: int) -> None:
            lines[i] = lines[i].replace(b'"user_id":', b'"user_id": ')

        log.edit(70, change)
        assert kinds(both(log.directory))["event-hash-mismatch"] == [70]

    def test_white_space_at_the_end(self, log: MadeLog) -> None:
        log.edit(70, lambda lines, i: lines.__setitem__(i, lines[i][:-1] + b" \n"))
        assert kinds(both(log.directory))["malformed-line"] == [70]

    def test_carriage_returns(self, log: MadeLog) -> None:
        log.active.write_bytes(log.active.read_bytes().replace(b"\n", b"\r\n"))
        assert both(log.directory).exit_status == 1

    def test_unicode_equivalent(self, log: MadeLog) -> None:
        def change(lines: list[bytes], i: int) -> None:
            changed = lines[i].replace("caf\u00e9".encode(), "cafe\u0301".encode())
            assert changed != lines[i]
            lines[i] = changed

        log.edit(70, change)
        assert kinds(both(log.directory))["event-hash-mismatch"] == [70]

    def test_escaped_differently(self, log: MadeLog) -> None:
        log.edit(70, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"\\u0078.y")))
        assert kinds(both(log.directory))["event-hash-mismatch"] == [70]

    def test_two_in_a_row_changed(self, log: MadeLog) -> None:
        def change(lines: list[bytes], i: int) -> None:
            lines[i : i + 2] = [line.replace(b"x.y", b"x.z") for line in lines[i : i + 2]]

        log.edit(70, change)
        assert kinds(both(log.directory))["event-hash-mismatch"] == [70, 71]

    def test_version_changed_in_place(self, log: MadeLog) -> None:
        log.edit(70, lambda lines, i: lines.__setitem__(i, lines[i].replace(b'"v":1', b'"v":2')))
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report)["event-hash-mismatch"] == [70]

    def test_foreign_line(self, log: MadeLog) -> None:
        log.edit(70, lambda lines, i: lines.insert(i, b"hello\n"))
        report = both(log.directory)
        assert kinds(report) == {"malformed-line": [70]}
        (finding,) = report.findings
        path, index = log.place(70)
        assert finding.line == index + 1
        assert path.read_bytes()[finding.offset :].startswith(b"hello\n")


class TestEnd:
    def test_cut_below_a_checkpoint(self, log: MadeLog, heads: list[int]) -> None:
        lines = log.active.read_bytes().splitlines(keepends=True)
        log.active.write_bytes(b"".join(lines[:-4]))
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"truncated": [heads[-1]]}
        (finding,) = report.findings
        assert (finding.expected, finding.actual) == (heads[-1], report.last_seq)

    def test_cut_above_the_checkpoints(self, log: MadeLog) -> None:
        with log.active.open("rb+") as file:
            file.truncate(log.active.stat().st_size - len(log.lines()[-1]))
        assert both(log.directory).exit_status == 0  # nobody knows: that is why to sign often

    def test_cut_shows_against_a_head_that_was_noted_down(self, log: MadeLog) -> None:
        last = json.loads(log.lines()[-1])
        report = ours(log.directory, KEY, heads={last["seq"]: last["hash"]})
        assert report.exit_status == 0
        with log.active.open("rb+") as file:
            file.truncate(log.active.stat().st_size - len(log.lines()[-1]))
        report = ours(log.directory, KEY, heads={last["seq"]: last["hash"]})
        assert kinds(report) == {"truncated": [last["seq"]]}

    def test_cut_without_checkpoints(self, tmp_path: Path) -> None:
        log = MadeLog(tmp_path / "unsigned")
        log.write(1, 20, keys=())
        lines = log.active.read_bytes().splitlines(keepends=True)
        log.active.write_bytes(b"".join(lines[:-5]))
        assert both(log.directory, key=None).exit_status == 0  # nobody knows
        report = both(log.directory)
        assert kinds(report) == {"not-anchored": [None]}  # who has a key is told that it is idle
        assert report.exit_status == 1

    def test_cut_inside_a_record(self, log: MadeLog) -> None:
        with log.active.open("rb+") as file:
            file.truncate(log.active.stat().st_size - 10)
        report = both(log.directory)
        assert report.exit_status == 4
        assert list(kinds(report)) == ["torn-tail"]

    def test_only_the_newline_is_missing(self, log: MadeLog) -> None:
        with log.active.open("rb+") as file:
            file.truncate(log.active.stat().st_size - 1)
        report = both(log.directory)
        assert report.exit_status == 4
        assert report.last_seq == len(log.lines())


class TestSegments:
    def test_an_archived_one_is_missing_until_it_is_named(
        self, log: MadeLog, tmp_path: Path
    ) -> None:
        emitter = Emitter(service="tests", jsonl=log.active, stdout=False, durability="os")
        assert emitter.store is not None
        last = json.loads(log.segments[0].read_bytes().splitlines()[-1])["seq"]
        told = {"objects": ["s3://archive/1.jsonl"], "first_seq": 1, "last_seq": last}
        emitter.record_own("audit.archived", told)
        emitter.close()
        archived = log.segments[0].rename(tmp_path / log.segments[0].name)
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report)["missing-segment"] == [last + 1]
        paths = [str(path) for path in (*log.segments, log.checkpoints, archived)]
        (verified,) = verify_paths(paths, Options(ring=KeyRing([KEY])))
        assert verified.report.exit_status == 0
        assert verified.report.anchored_seq > last

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_closed_one_deleted(self, log: MadeLog, index: int) -> None:
        following = json.loads(log.segments[index + 1].read_text().partition("\n")[0])["seq"]
        log.segments[index].unlink()
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report)["missing-segment"] == [following]

    def test_active_one_deleted(self, log: MadeLog, heads: list[int]) -> None:
        log.active.unlink()
        report = both(log.directory)
        assert report.exit_status == 1
        found = kinds(report)
        assert found["missing-segment"] == [None]
        assert found["truncated"] == [head for head in heads if head > report.last_seq]

    def test_active_one_deleted_without_checkpoints(self, log: MadeLog, heads: list[int]) -> None:
        log.active.unlink()
        log.checkpoints.unlink()
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"missing-segment": [None, heads[0]]}

    def test_all_deleted(self, log: MadeLog, heads: list[int]) -> None:
        for path in log.segments:
            path.unlink()
        report = both(log.directory)
        assert report.exit_status == 1  # the checkpoints say that there was something
        assert kinds(report) == {"truncated": heads, "nothing-found": [None]}

    def test_everything_deleted(self, log: MadeLog) -> None:
        for path in [*log.segments, log.checkpoints]:
            path.unlink()
        report = both(log.directory)
        assert report.exit_status == 3
        assert kinds(report) == {"nothing-found": [None]}

    def test_emptied(self, log: MadeLog) -> None:
        for path in log.segments:
            path.write_bytes(b"")
        log.checkpoints.unlink()
        assert both(log.directory).exit_status == 3

    def test_old_backup_over_the_new_log(self, log: MadeLog, tmp_path: Path) -> None:
        backup = log.copy(tmp_path / "backup")
        MadeLog(log.directory).write(2, EVENTS)
        newer = log.checkpoints.read_bytes()
        shutil.rmtree(log.directory)
        backup.copy(log.directory).checkpoints.write_bytes(newer)
        report = both(log.directory)
        assert report.exit_status == 1
        assert len(kinds(report)["truncated"]) == 2

    def test_old_backup_of_one_file(self, log: MadeLog) -> None:
        old = log.active.read_bytes()
        log.write(2, EVENTS)
        assert log.active.read_bytes() != old
        log.active.write_bytes(old)
        assert both(log.directory).exit_status == 1

    def test_of_two_chains(self, log: MadeLog, tmp_path: Path) -> None:
        other = MadeLog(tmp_path / "other")
        other.write(1, 5)
        with log.active.open("ab") as file:
            file.write(other.active.read_bytes())
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"chain-id-mismatch": [1, 2, 3, 4, 5, 6, 7]}

    def test_two_chains_line_by_line(self, log: MadeLog, tmp_path: Path) -> None:
        other = MadeLog(tmp_path / "other")
        other.write(1, 5)
        others = other.lines()

        def mix(lines: list[bytes], i: int) -> None:
            lines[i : i + 2] = [lines[i], others[2], lines[i + 1], others[3]]

        log.edit(70, mix)
        assert kinds(both(log.directory)) == {"chain-id-mismatch": [3, 4]}

    def test_renamed_is_still_found(self, log: MadeLog) -> None:
        log.active.rename(log.directory / "audit.jsonl.1")
        log.active.write_bytes(b"")
        assert ours(log.directory, KEY).exit_status == 0

    def test_a_rotation_that_ended_between_its_two_renames(self, log: MadeLog) -> None:
        log.active.rename(log.directory / f"audit-{999:020d}.jsonl")
        log.active.with_name("audit.jsonl.new").touch()
        assert both(log.directory).exit_status == 0


class TestRechained:
    """What somebody does who can write everywhere but has no key."""

    def test_all_of_it_from_one_record_on(self, log: MadeLog, heads: list[int]) -> None:
        lines = log.lines()
        changed = [*lines[:69], lines[69].replace(b"x.y", b"x.z"), *lines[70:]]
        new = rechained(changed, "0" * 64)
        for path in log.segments:
            count = path.read_bytes().count(b"\n")
            path.write_bytes(b"".join(new[:count]))
            del new[:count]
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"checkpoint-root-mismatch": [h for h in heads if h >= 70]}

    def test_without_checkpoints_nobody_knows_but_a_head_does(self, log: MadeLog) -> None:
        log.checkpoints.unlink()
        noted = json.loads(log.lines()[69])
        lines = [line for line in log.lines() if b'"audit.checkpoint"' not in line]
        changed = [line.replace(b"x.y", b"x.z") for line in renumbered(lines)]
        for path in log.segments:
            path.unlink()
        log.active.write_bytes(b"".join(rechained(changed, "0" * 64)))
        assert both(log.directory, key=None).exit_status == 0
        assert kinds(both(log.directory)) == {"not-anchored": [None]}
        report = ours(log.directory, heads={noted["seq"]: noted["hash"]})
        assert kinds(report) == {"checkpoint-root-mismatch": [70]}


class TestCheckpoints:
    @pytest.mark.parametrize("member", ["root_hash", "signature", "head_seq", "origin", "key_id"])
    def test_edited(self, log: MadeLog, heads: list[int], member: str) -> None:
        def edit(lines: list[bytes]) -> None:
            point = json.loads(lines[2])
            if member == "head_seq":
                point[member] -= 1
            elif member == "signature":
                point[member] = (
                    "A" + point[member][1:] if point[member][0] != "A" else "B" + point[member][1:]
                )
            else:
                point[member] = point[member].translate(
                    str.maketrans("0123456789ae", "1234567890bf")
                )
            lines[2] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        report = both(log.directory)
        found = kinds(report)
        assert report.exit_status == 1
        if member == "key_id":
            assert found["key-unavailable"] == [heads[2]]
            assert found["checkpoint-root-mismatch"] == [heads[2]], "the chain holds another"
        else:
            seq = heads[2] - (member == "head_seq")
            assert found["checkpoint-signature-mismatch"] == [seq]

    @pytest.mark.parametrize(
        "at", ["2020-01-01T00:00:00.000000000Z", "2026-99-99T99:99:99.000000000Z"]
    )
    def test_moved_to_another_second(self, log: MadeLog, heads: list[int], at: str) -> None:
        def edit(lines: list[bytes]) -> None:
            point = {**json.loads(lines[2]), "at": at}
            lines[2] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        report = both(log.directory)
        assert kinds(report) == {
            "checkpoint-signature-mismatch": [heads[2]],
            "checkpoint-root-mismatch": [heads[2]],
        }

    @pytest.mark.parametrize("member", ["at", "reason"])
    def test_edited_where_it_is_not_signed(
        self, log: MadeLog, heads: list[int], member: str
    ) -> None:
        def edit(lines: list[bytes]) -> None:
            point = json.loads(lines[2])
            # Only the second is signed, not its parts.
            others = {"at": f"{point['at'][:28]}{1 - int(point['at'][28] > '0')}Z"}
            point[member] = {**others, "reason": "interval"}[member]
            lines[2] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        report = both(log.directory)
        assert kinds(report) == {"checkpoint-root-mismatch": [heads[2]]}
        assert report.findings[0].note == f"checkpoints.jsonl has another {member}"

    def test_edited_without_the_key(self, log: MadeLog, heads: list[int]) -> None:
        def edit(lines: list[bytes]) -> None:
            point = json.loads(lines[2])
            point["root_hash"] = point["root_hash"][::-1]
            lines[2] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        report = both(log.directory, key=None)
        assert report.exit_status == 1
        # Once from its own line, and once from the record of it in the chain.
        assert kinds(report)["checkpoint-root-mismatch"] == [heads[2], heads[2]]

    def test_head_hash_edited(self, log: MadeLog, heads: list[int]) -> None:
        def edit(lines: list[bytes]) -> None:
            point = json.loads(lines[2])
            point["head_hash"] = point["head_hash"][::-1]
            lines[2] = json.dumps(point, separators=(",", ":")).encode() + b"\n"

        log.edit_checkpoints(edit)
        assert kinds(both(log.directory)) == {"checkpoint-root-mismatch": [heads[2]]}

    @pytest.mark.parametrize("count", [1, 2])
    def test_deleted(self, log: MadeLog, heads: list[int], count: int) -> None:
        log.edit_checkpoints(lambda lines: lines.__delitem__(slice(1, 1 + count)))
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"sequence-gap": heads[1 : 1 + count]}

    def test_all_lines_deleted(self, log: MadeLog, heads: list[int]) -> None:
        log.checkpoints.write_bytes(b"")
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"sequence-gap": heads}

    @pytest.mark.parametrize("key", [SECRET, None])
    def test_the_file_deleted(self, log: MadeLog, heads: list[int], key: bytes | None) -> None:
        log.checkpoints.unlink()
        report = both(log.directory, key=key)
        assert report.exit_status == 1
        assert kinds(report) == {"missing-segment": [heads[0]]}
        (finding,) = report.findings
        assert finding.file == "checkpoints.jsonl"

    def test_reordered(self, log: MadeLog, heads: list[int]) -> None:
        def swap(lines: list[bytes]) -> None:
            lines[1], lines[2] = lines[2], lines[1]

        log.edit_checkpoints(swap)
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"sequence-duplicate": [heads[1]]}

    def test_repeated(self, log: MadeLog, heads: list[int]) -> None:
        log.edit_checkpoints(lambda lines: lines.append(lines[-1]))
        assert kinds(both(log.directory)) == {"sequence-duplicate": [heads[-1]]}

    def test_of_another_chain(self, log: MadeLog, tmp_path: Path) -> None:
        other = MadeLog(tmp_path / "other")
        other.write(1, 5)
        theirs = other.checkpoints.read_bytes()
        log.edit_checkpoints(lambda lines: lines.append(theirs))
        report = both(log.directory)
        assert report.exit_status == 1
        assert kinds(report) == {"chain-id-mismatch": [6]}

    def test_made_to_look_like_this_chain(self, log: MadeLog, tmp_path: Path) -> None:
        other = MadeLog(tmp_path / "other")
        other.write(1, 5)
        chain = json.loads(log.lines()[0])["chain"]

        def add(lines: list[bytes]) -> None:
            point = json.loads(other.checkpoints.read_bytes())
            point["chain"] = chain
            lines.insert(0, json.dumps(point, separators=(",", ":")).encode() + b"\n")

        log.edit_checkpoints(add)
        assert kinds(both(log.directory)) == {"checkpoint-signature-mismatch": [6]}

    def test_not_a_checkpoint(self, log: MadeLog) -> None:
        log.edit_checkpoints(lambda lines: lines.insert(1, b'{"hello":1}\n'))
        assert kinds(both(log.directory)) == {"malformed-line": [None]}

    def test_white_space_in_one(self, log: MadeLog, heads: list[int]) -> None:
        def edit(lines: list[bytes]) -> None:
            lines[1] = lines[1].replace(b'"v":2', b'"v": 2')

        log.edit_checkpoints(edit)
        found = kinds(both(log.directory))
        assert found == {"malformed-line": [None], "sequence-gap": [heads[1]]}

    def test_torn(self, log: MadeLog) -> None:
        log.edit_checkpoints(lambda lines: lines.append(lines[-1][:50]))
        report = both(log.directory)
        assert report.exit_status == 4
        assert kinds(report) == {"torn-tail": [None]}

    def test_forged_for_a_cut_log(self, log: MadeLog) -> None:
        """A checkpoint with the right root but no key behind it anchors nothing."""
        report = both(log.directory, key=SECRET[::-1])
        assert report.anchored_seq == 0


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> MadeLog:
    log = MadeLog(tmp_path_factory.mktemp("small") / "log")
    log.write(1, 4)
    return log


@pytest.mark.thorough
class TestEveryByte:
    @pytest.mark.parametrize("part", range(8))
    def test_flipped(self, small: MadeLog, tmp_path: Path, part: int) -> None:
        log = small.copy(tmp_path / "spoilt")
        original = log.active.read_bytes()
        ends = [i for i, byte in enumerate(original) if byte == 10]
        for at in range(part, len(original), 8):
            spoilt = bytearray(original)
            spoilt[at] ^= 1 << (at % 8)
            log.active.write_bytes(spoilt)
            report = both(log.directory)
            seq = sum(1 for end in ends if end < at) + 1
            told = [finding for finding in report.findings if finding.seq in {seq, seq + 1}]
            assert report.exit_status == (4 if at == ends[-1] else 1), f"byte {at}"
            assert told, f"byte {at} of record {seq}: {report.findings}"

    def test_flipped_in_a_checkpoint(self, small: MadeLog, tmp_path: Path) -> None:
        log = small.copy(tmp_path / "spoilt")
        original = log.checkpoints.read_bytes()
        assert original.count(b"\n") == 1
        for at in range(len(original)):
            for bit in {at % 8, 5}:
                spoilt = bytearray(original)
                spoilt[at] ^= 1 << bit
                log.checkpoints.write_bytes(spoilt)
                report = both(log.directory)
                assert report.exit_status in {1, 4}, f"byte {at}, bit {bit}: {bytes(spoilt)!r}"

    def test_flipped_in_the_body_is_always_a_hash_mismatch(
        self, small: MadeLog, tmp_path: Path
    ) -> None:
        log = small.copy(tmp_path / "spoilt")
        lines = log.active.read_bytes().splitlines(keepends=True)
        for at in range(lines[2].rindex(b',"chain":"')):
            spoilt = bytearray(lines[2])
            spoilt[at] ^= 1
            if spoilt[at] == 10:
                continue
            log.active.write_bytes(b"".join([*lines[:2], bytes(spoilt), *lines[3:]]))
            assert kinds(ours(log.directory, KEY))["event-hash-mismatch"] == [3], f"byte {at}"
