"""What the writer declares, what is older and newer, and reading in any way gives one verdict."""

from __future__ import annotations

import errno
import gzip
import json
import os
import runpy
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from support.chain_builder import MadeChain
from support.verifier_comparison import KEY, SCRIPT, SECRET, MadeLog, both, kinds, ours, rechained

from audit_emit import Emitter
from audit_emit._format import block as _proof
from audit_emit._format.block import prove
from audit_emit._readers.files import parts as _parts
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._readers.files.parts import Pool, Proved
from audit_emit._runtime import compiled as _compiled
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.findings import KEPT, Kind, Report
from audit_emit._verify.verifier import Boundary, Verifier
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.errors import VerificationError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEGACY = b'{"ts":"2025-01-01T00:00:00Z","event_type":"x.y","fields":{}}\n'
PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}


def packed(path: Path, ending: str) -> Path:
    """A file in the form that packers leave behind."""
    made = path.with_name(path.name + ending)
    made.write_bytes(PACKERS[ending](path.read_bytes()))
    path.unlink()
    return made


def unsigned(directory: Path) -> Report:
    """Without a key: nothing here is signed."""
    return both(directory, key=None)


def opened(path: Path) -> Emitter:
    return Emitter(service="tests", jsonl=path, stdout=False, durability="os")


@pytest.fixture
def active(tmp_path: Path) -> Path:
    """A log of 21 records, closed."""
    path = tmp_path / "log" / "audit.jsonl"
    emitter = opened(path)
    for number in range(20):
        assert emitter.emit(None, "x.y", {"n": number})
    emitter.close()
    return path


def more(path: Path, count: int = 3) -> None:
    emitter = opened(path)
    for number in range(count):
        assert emitter.emit(None, "x.y", {"n": number})
    emitter.close()


class TestTears:
    @pytest.mark.parametrize(
        "fragment",
        [
            b'{"ts":"2026-05-19T20:00',
            b"\0" * 5000,
            b"foreign\n",
            b"several\nforeign\nlines\n",
            b"foreign\nand torn",
            b"\n",
        ],
    )
    def test_declared_by_the_writer(self, active: Path, fragment: bytes) -> None:
        with active.open("ab") as file:
            file.write(fragment)
        assert unsigned(active.parent).exit_status in {1, 4}
        more(active)
        report = unsigned(active.parent)
        assert report.exit_status == 0
        assert list(kinds(report)) == ["recovered-tear"]

    def test_any_number_of_foreign_lines_is_declared(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"foreign\n" * 5000)
        more(active)
        report = unsigned(active.parent)
        assert report.exit_status == 0
        assert kinds(report) == {"recovered-tear": [22]}

    def test_lines_that_came_while_it_was_declared(self, tmp_path: Path) -> None:
        """Whoever writes foreign lines takes no lock: the declaration is right all the same."""
        foreign = b"foreign\n" * 1500
        declared = {"offset": 0, "bytes": len(foreign), "sha256": sha256(foreign).hexdigest()}
        made = MadeChain().add().add(event_type="audit.recovered", fields=declared)
        log = b"\n".join([made.lines[0], foreign + b"foreign", made.lines[1], b""])
        (tmp_path / "audit.jsonl").write_bytes(log)
        report = unsigned(tmp_path)
        assert kinds(report) == {"recovered-tear": [2], "malformed-line": [2]}
        assert [finding.line for finding in report.findings] == [2, 1502]

    @pytest.mark.parametrize("count", [3, 900, 1500])
    def test_lines_that_nobody_declares_are_counted_and_the_first_are_told(
        self, active: Path, count: int
    ) -> None:
        with active.open("ab") as file:
            file.write(b"foreign\n" * count)
        report = ours(active)
        assert report.counts == {"malformed-line": count}
        told = [finding.line for finding in report.findings]
        assert told == list(range(22, 22 + min(count, KEPT)))

    def test_the_same_lines_twice_and_declared_twice(self, active: Path) -> None:
        for _ in range(2):
            with active.open("ab") as file:
                file.write(b"foreign\nlines\n")
            more(active)
        report = unsigned(active.parent)
        assert report.exit_status == 0
        assert len(kinds(report)["recovered-tear"]) == 2

    def test_a_line_that_is_too_long_to_be_kept_among_others(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"foreign\n" + b"x" * 1_500_000 + b"\nforeign\n")
        more(active)
        report = unsigned(active.parent)
        assert report.exit_status == 0
        assert list(kinds(report)) == ["recovered-tear"]

    def test_what_nobody_declares_takes_no_memory(self) -> None:
        verifier = Verifier()
        verifier.begin("audit.jsonl")
        verifier.feed(b"foreign\n" * 10_000)
        tracemalloc.start()
        try:
            for _ in range(3):
                verifier.feed(b"foreign\n" * 10_000)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000
        assert verifier.finish().counts["malformed-line"] == 40_000

    def test_changed_after_it_was_declared(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"fragment of something")
        more(active)
        active.write_bytes(active.read_bytes().replace(b"fragment", b"figments"))
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert set(kinds(report)) == {"missing-segment", "malformed-line"}

    def test_a_line_of_ten_megabytes_takes_no_memory(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"x" * 10_000_000 + b"\n")
        report = ours(active)
        assert kinds(report) == {"malformed-line": [22]}
        assert report.findings[0].note == "a line of 10000000 bytes"

    def test_a_long_tear_is_declared(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"x" * 1_500_000)
        more(active)
        assert kinds(ours(active)) == {"recovered-tear": [22]}


class TestHoles:
    def test_copytruncate_is_never_good(self, active: Path) -> None:
        emitter = opened(active)
        emitter.emit(None, "x.y")
        os.truncate(active, 0)
        for _ in range(3):
            emitter.emit(None, "x.y")
        emitter.close()
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert set(kinds(report)) & {"missing-segment", "sequence-gap"}

    @pytest.mark.parametrize("late", [0, 2])
    def test_copytruncate_declares_what_came_after_the_copy(self, active: Path, late: int) -> None:
        emitter = opened(active)
        emitter.emit(None, "x.y")
        active.with_name("audit.jsonl.1").write_bytes(active.read_bytes())
        for _ in range(late):
            emitter.emit(None, "x.y")
        os.truncate(active, 0)
        emitter.emit(None, "x.y")
        emitter.close()
        report = unsigned(active.parent)
        found = kinds(report)
        assert report.exit_status == (1 if late else 0)
        assert list(found) == (["missing-segment", "declared-gap"] if late else [])
        assert [f.actual for f in report.findings if f.kind == "declared-gap"] == [late][:late]

    def test_cut_short_while_it_was_written(self, active: Path) -> None:
        emitter = opened(active)
        emitter.emit(None, "x.y")
        os.truncate(active, sum(map(len, active.read_bytes().splitlines(True)[:10])))
        emitter.emit(None, "x.y")
        emitter.close()
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert {"sequence-gap", "declared-gap"} <= set(kinds(report))

    def test_deleted_while_it_was_written(self, active: Path) -> None:
        emitter = opened(active)
        emitter.emit(None, "x.y")
        active.unlink()
        emitter.emit(None, "x.y")
        emitter.close()
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert "missing-segment" in kinds(report)

    def test_renamed_by_logrotate(self, active: Path) -> None:
        emitter = opened(active)
        emitter.emit(None, "x.y")
        active.rename(active.with_name("audit.jsonl.1"))
        emitter.emit(None, "x.y")
        emitter.close()
        report = ours(active.parent)
        assert report.exit_status == 0
        assert report.records == report.last_seq

    def test_declared_loss_is_incomplete(self, active: Path) -> None:
        emitter = opened(active)
        assert emitter.store is not None
        gap = {"lost": 3, "first_ts": None, "last_ts": None, "reason": "full", "sink": "jsonl"}
        emitter.record_own("audit.gap", gap)
        emitter.close()
        report = unsigned(active.parent)
        assert report.exit_status == 4
        assert kinds(report) == {"declared-gap": [23]}

    def test_loss_on_stdout_is_not_one_of_the_log(self, active: Path) -> None:
        emitter = opened(active)
        assert emitter.store is not None
        gap = {"lost": 3, "first_ts": None, "last_ts": None, "reason": "full", "sink": "stdout"}
        emitter.record_own("audit.gap", gap)
        emitter.close()
        assert unsigned(active.parent).exit_status == 0

    def test_a_rewrite_after_a_failed_sync_is_no_loss(self, active: Path) -> None:
        emitter = opened(active)
        assert emitter.store is not None
        gap = {"lost": 0, "rewritten": 3, "reason": "fsync-failed", "sink": "jsonl"}
        emitter.record_own("audit.gap", gap)
        emitter.close()
        assert unsigned(active.parent).exit_status == 0


class TestAge:
    def test_records_before_the_chain_are_nobodys(self, active: Path) -> None:
        active.write_bytes(LEGACY * 2 + active.read_bytes())
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert kinds(report) == {"malformed-line": [1, 1]}
        assert "--legacy-before 1" in report.findings[0].note

    @pytest.mark.parametrize(
        ("boundary", "admitted"),
        [("1", 2), ("9", 2), ("offset:0", 0), (f"offset:{2 * len(LEGACY)}", 2)],
    )
    def test_whoever_verifies_may_name_the_boundary(
        self, active: Path, boundary: str, admitted: int
    ) -> None:
        active.write_bytes(LEGACY * 2 + active.read_bytes())
        report = ours(active, legacy=Boundary.parse(boundary))
        assert report.exit_status == (0 if admitted else 1)
        assert report.counts.get("legacy-record", 0) == report.legacy == admitted

    def test_the_boundary_ends_where_it_is_said_to_end(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        active.write_bytes(LEGACY + lines[0] + LEGACY + b"".join(lines[1:]))
        boundary = Boundary.parse(f"offset:{len(LEGACY) + len(lines[0])}")
        for legacy in (Boundary.parse("1"), boundary):
            assert kinds(ours(active, legacy=legacy)) == {
                "legacy-record": [None],
                "malformed-line": [2],
            }

    def test_an_offset_counts_through_the_files(self, active: Path) -> None:
        old = active.with_name("audit.jsonl.1")
        old.write_bytes(LEGACY)
        active.write_bytes(LEGACY + active.read_bytes())
        assert ours(active, legacy=Boundary.parse(f"offset:{len(LEGACY)}")).exit_status == 1
        assert ours(active, legacy=Boundary.parse(f"offset:{2 * len(LEGACY)}")).exit_status == 0

    @pytest.mark.parametrize("bad", ["", "x", "offset:", "offset:-1", "-1", "1" * 30, "1 "])
    def test_what_is_no_boundary(self, bad: str) -> None:
        with pytest.raises(ValueError, match="neither the seq of a record nor offset:N"):
            Boundary.parse(bad)

    def test_nothing_but_legacy_records_proves_nothing(self, active: Path) -> None:
        active.write_bytes(b'{"ts":"2025-01-01T00:00:00Z","event_type":"x.y","fields":{}}\n')
        assert unsigned(active.parent).exit_status == 3

    def test_newer_record(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        new = [*lines[:10], lines[10].replace(b'"v":1', b'"v":2'), *lines[11:]]
        active.write_bytes(b"".join(rechained(new, "0" * 64)))
        report = unsigned(active.parent)
        assert report.exit_status == 0
        assert kinds(report) == {"unknown-version": [11]}

    @pytest.mark.parametrize(
        "line",
        [
            b'{"ts":"2027-01-01T00:00:00Z","event_type":"x.y","v":2,"sum":"00"}\n',
            b'{"ts":0,"event_type":0,"v":2}\n',
            b'{"ts":0,"event_type":0}\n',
            b'{"v":null,"event_type":0,"ts":0,"hash":""}\n',
        ],
    )
    @pytest.mark.parametrize("index", [0, 7, -1])
    def test_a_record_that_is_not_in_the_chain_is_tampering_whatever_its_version(
        self, active: Path, line: bytes, index: int
    ) -> None:
        lines = active.read_bytes().splitlines(True)
        lines.insert(index, line)
        active.write_bytes(b"".join(lines))
        report = unsigned(active.parent)
        assert report.exit_status == 1
        assert list(kinds(report)) == ["malformed-line"]

    def test_right_hash_but_no_record(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        new = [*lines[:10], lines[10].replace(b'"x.y"', b'"x.y'), *lines[11:]]
        active.write_bytes(b"".join(rechained(new, "0" * 64)))
        assert unsigned(active.parent).exit_status == 0  # by whoever had the chain in his hands
        assert kinds(ours(active, strict=True)) == {"malformed-line": [11]}

    def test_a_loss_is_seen_whatever_the_form_of_its_time(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        gap = b'"event_type":"audit.gap"'
        lines[10] = (
            lines[10]
            .replace(b'"event_type":"x.y"', gap)
            .replace(b'"fields":{', b'"fields":{"lost":3,"sink":"jsonl",')
        )
        lines[10] = lines[10][:35] + b"0" + lines[10][35:]
        active.write_bytes(b"".join(rechained(lines, "0" * 64)))
        assert kinds(unsigned(active.parent)) == {"declared-gap": [11]}

    def test_older_times_are_no_finding(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        lines[10] = lines[10].replace(b'{"ts":"2', b'{"ts":"1')
        active.write_bytes(b"".join(rechained(lines, "0" * 64)))
        assert unsigned(active.parent).exit_status == 0


class TestReading:
    @pytest.mark.parametrize("cut", [1, 7, 100, 4096, 65536])
    def test_fed_in_pieces_of_any_size(self, active: Path, cut: int) -> None:
        data = active.read_bytes() + b"foreign\n" + active.read_bytes()[:1000]
        whole, pieces = Verifier(), Verifier()
        for verifier, size in ((whole, len(data)), (pieces, cut)):
            verifier.begin("audit.jsonl")
            for start in range(0, len(data), size):
                verifier.feed(data[start : start + size])
            verifier.end()
        assert whole.finish() == pieces.finish()

    def test_a_name_that_cannot_be_looked_up_is_not_missing(
        self, active: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lstat = os.lstat

        def failing(path: str) -> os.stat_result:
            if path.endswith("checkpoints.jsonl"):
                raise OSError(errno.EIO, "Input/output error", path)
            return lstat(path)

        monkeypatch.setattr(os, "lstat", failing)
        with pytest.raises(OSError, match="Input/output error"):
            ours(active.parent)

    @pytest.mark.parametrize("ending", PACKERS)
    def test_packed(self, active: Path, ending: str) -> None:
        active.rename(active.with_name("audit-00000000000000000001.jsonl"))
        more(active)
        packed(active.with_name("audit-00000000000000000001.jsonl"), ending)
        report = ours(active)
        assert report.exit_status == 0
        assert report.first_seq == 1

    def test_packed_and_not_yet_removed(self, active: Path) -> None:
        closed = active.with_name("audit-00000000000000000001.jsonl")
        active.rename(closed)
        more(active)
        closed.with_name(closed.name + ".gz").write_bytes(gzip.compress(closed.read_bytes())[:50])
        assert ours(active).exit_status == 0

    @pytest.mark.parametrize("ending", PACKERS)
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
    def test_packed_and_cut_off(self, active: Path, ending: str, share: float) -> None:
        active.rename(active.with_name("audit-00000000000000000001.jsonl"))
        more(active)
        path = packed(active.with_name("audit-00000000000000000001.jsonl"), ending)
        os.truncate(path, int(path.stat().st_size * share))
        report = ours(active.parent)
        assert report.exit_status == 1
        assert "torn-tail" in kinds(report)
        assert "cut off" in report.findings[0].note

    @pytest.mark.parametrize("ending", PACKERS)
    def test_packed_and_damaged(self, active: Path, ending: str) -> None:
        path = packed(active, ending)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        report = ours(path)
        assert report.exit_status == 1

    @pytest.mark.parametrize("ending", PACKERS)
    def test_packed_in_two_pieces(self, active: Path, ending: str) -> None:
        path = active.with_name(f"audit.jsonl.1{ending}")
        data = active.read_bytes()
        path.write_bytes(PACKERS[ending](data[:3000]) + PACKERS[ending](data[3000:]))
        active.write_bytes(b"")
        report = ours(active)
        assert (report.exit_status, report.last_seq) == (0, 21)

    def test_a_frame_that_is_skipped(self, active: Path) -> None:
        skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
        path = active.with_name("audit.jsonl.1.zst")
        path.write_bytes(skipped + PACKERS[".zst"](active.read_bytes()))
        active.write_bytes(b"")
        assert ours(active).last_seq == 21

    def test_single_segments_in_any_order(self, active: Path) -> None:
        closed = active.with_name("audit-00000000000000000001.jsonl")
        active.rename(closed)
        more(active)
        (verified,) = verify_paths([str(active), str(closed)])
        assert verified.report.exit_status == 0
        assert verified.report.last_seq == verified.report.records

    def test_a_segment_alone_misses_what_is_before(self, active: Path) -> None:
        active.rename(active.with_name("audit-00000000000000000001.jsonl"))
        more(active)
        alone = active.with_name("audit-00000000000000000022.jsonl")
        active.rename(alone)
        assert kinds(ours(alone)) == {"missing-segment": [22]}
        assert ours(alone, from_seq=22).exit_status == 0

    def test_from_a_record_on(self, active: Path) -> None:
        lines = active.read_bytes().splitlines(True)
        lines[3] = lines[3].replace(b"x.y", b"x.z")
        active.write_bytes(b"".join(lines))
        assert ours(active).exit_status == 1
        report = ours(active, from_seq=10)
        assert report.exit_status == 0
        assert (report.first_seq, report.last_seq, report.partial) == (10, 21, True)

    def test_roots_are_not_compared_in_the_middle(self, tmp_path: Path) -> None:
        log = MadeLog(tmp_path / "log")
        log.write(3, 20)
        report = ours(log.directory, KEY, from_seq=10)
        assert (report.exit_status, report.anchored_seq, report.first_seq) == (0, 0, 10)

    def test_from_a_record_that_is_not_there(self, active: Path) -> None:
        assert ours(active, from_seq=100).exit_status == 3

    def test_between_two_times(self, active: Path) -> None:
        times = [json.loads(line)["ts"] for line in active.read_text().splitlines()]
        report = ours(active, since=times[4], until=times[9])
        assert (report.first_seq, report.last_seq) == (5, 10)
        assert report.exit_status == 0

    def test_a_head_that_is_another(self, active: Path) -> None:
        report = ours(active, heads={5: "ab" * 32})
        assert kinds(report) == {"checkpoint-root-mismatch": [5]}

    def test_a_line_that_is_torn_for_long_is_not_waited_for(
        self, active: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with active.open("ab") as file:
            file.write(b'{"ts":"')
        os.utime(active, (0, 0))
        monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited"))
        assert kinds(ours(active)) == {"torn-tail": [ours(active).last_seq + 1]}

    def test_a_growing_file_is_verified_up_to_its_end(self, active: Path) -> None:
        stop = threading.Event()

        def write() -> None:
            emitter = opened(active)
            while not stop.is_set():
                emitter.emit(None, "x.y", {"pad": "x" * 200})
            emitter.close()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                assert ours(active).exit_status == 0
        finally:
            stop.set()
            writer.join()


class TestReport:
    def test_raises_only_for_findings(self, active: Path) -> None:
        ours(active).raise_for_findings()
        active.write_bytes(active.read_bytes().replace(b'"n":3', b'"n":4'))
        with pytest.raises(VerificationError) as caught:
            ours(active).raise_for_findings()
        assert caught.value.report.counts == {"event-hash-mismatch": 1}
        assert str(caught.value) == "the log does not verify: 1 event-hash-mismatch"

    def test_keeps_a_bounded_number_of_findings(self, active: Path) -> None:
        with active.open("ab") as file:
            file.write(b"foreign\n" * 6000)
        report = ours(active)
        assert report.counts == {Kind.MALFORMED_LINE: 6000}
        assert len(report.findings) == KEPT

    def test_a_key_and_nothing_that_is_signed(self, active: Path) -> None:
        report = both(active.parent)
        assert kinds(report) == {"not-anchored": [None]}
        assert report.exit_status == 1
        report = ours(active, KEY, anchor_required=False)
        assert kinds(report) == {"key-unavailable": [None]}
        assert report.exit_status == 4

    def test_no_key_comes_from_the_log(self, tmp_path: Path) -> None:
        log = MadeLog(tmp_path / "log")
        log.write(1, 3)
        assert ours(log.directory).exit_status == 4
        assert ours(log.directory, KEY).exit_status == 0


class Counting:
    """``Pool.proved``, with the names of the files of which it gave something."""

    def __init__(self, proved: Callable[..., Iterator[Proved]]) -> None:
        self._proved = proved
        self.names: set[str] = set()

    def __get__(self, pool: Pool, _: type) -> Callable[[LogFile], Iterator[Proved]]:
        def counted(file: LogFile) -> Iterator[Proved]:
            for part in self._proved(pool, file):
                if part.blocks:
                    self.names.add(file.name)
                yield part

        return counted


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Parts are small, so that short logs have many."""
    monkeypatch.setattr(_parts, "PART", 1 << 18)
    monkeypatch.setattr(_parts, "_WORTH", 1 << 16)
    made = Counting(Pool.proved)
    monkeypatch.setattr(Pool, "proved", made)
    return made


@pytest.mark.parametrize("jobs", [2, 3])
def test_the_number_of_processes_does_not_change_the_findings(
    tmp_path: Path, counting: Counting, jobs: int
) -> None:
    log = MadeLog(tmp_path / "log")
    log.write(3, 1200, max_bytes=1 << 30)
    lines = log.active.read_bytes().splitlines(True)
    lines[500] = lines[500].replace(b"x.y", b"x.z")
    del lines[2000]
    lines.insert(3000, b"foreign\n")
    log.active.write_bytes(b"".join(lines))
    (verified,) = verify_paths([str(log.directory)], Options(jobs=1))
    assert not counting.names
    (spread,) = verify_paths([str(log.directory)], Options(jobs=jobs))
    assert spread == verified
    assert counting.names == {"audit.jsonl"}
    assert set(kinds(spread.report)) >= {"event-hash-mismatch", "sequence-gap", "malformed-line"}


@pytest.mark.parametrize("spoilt", ["", "middle", "cut"])
def test_packed_segments_are_proved_by_other_processes_too(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    log = MadeLog(tmp_path / "log")
    log.write(2, 2500, max_bytes=1 << 19)
    if spoilt == "middle":
        log.edit(500, lambda lines, i: lines.insert(i, lines[i].replace(b"x.y", b"x.z")))
    made = [packed(path, ending) for path, ending in zip(log.segments, PACKERS, strict=False)]
    if spoilt == "cut":
        os.truncate(made[0], made[0].stat().st_size - 20)
    options = Options(ring=KeyRing([KEY]))
    (alone,) = verify_paths([str(log.directory)], options)
    assert alone.report.exit_status == (1 if spoilt else 0)
    for bound in (_parts.UNPACKED, 300_000):
        # What is beyond the bound is read here, and nothing is judged twice.
        monkeypatch.setattr(_parts, "UNPACKED", bound)
        counting.names.clear()
        assert verify_paths([str(log.directory)], options._replace(jobs=2)) == [alone]
        assert counting.names > {path.name for path in made}


class TestCompiled:
    """The compiled part proves the same blocks as Python does."""

    def blocks(self) -> Iterator[bytes]:
        lines = [line + b"\n" for line in MadeChain().add(12).lines]
        yield b"".join(lines)
        yield b"".join(lines[5:])
        yield b"".join(lines)[:-1]
        yield b"".join([*lines[:3], *lines[4:]])
        yield b"".join([*lines[:3], lines[2], *lines[3:]])
        yield b"".join([*lines[:3], b"\n", *lines[3:]])
        block = b"".join(lines)
        ends = len(lines[0]) + len(lines[1])
        for at in range(len(lines[0]) - 5, ends + 5):
            yield block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
        yield b"".join(rechained([lines[0], lines[1].replace(b'"v":1', b'"v":2')], "0" * 64))

    @pytest.mark.skipif(_compiled.linked is None, reason="the compiled part is not used here")
    def test_both_come_to_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled = [prove(block, [3, 7], tree=True) for block in self.blocks()]
        monkeypatch.setattr(_proof, "linked", None)
        interpreted = [prove(block, [3, 7], tree=True) for block in self.blocks()]
        assert compiled == interpreted
        assert any(compiled)
        assert not all(compiled)

    @pytest.mark.skipif(_compiled.linked is None, reason="the compiled part is not used here")
    def test_what_it_is_given_is_bounded(self) -> None:
        assert _compiled.linked is not None
        for chain, before in (("0", "0" * 64), ("0" * 16, "0")):
            with pytest.raises(ValueError, match="a chain has 16 digits"):
                _compiled.linked(b"", chain, 1, before, 0, b"", b"")
        with pytest.raises(ValueError, match="a chain has 16 digits"):
            _compiled.linked(b"", "0" * 16, 1, "0" * 64, -1, b"", b"")
        for block, place in ((b"{}\n", 0), (b"{}\n", 2), (b"{}\n", 9), (b"", 0), (b"", 9)):
            assert _compiled.linked(block, "0" * 16, 10**19 - 1, "0" * 64, place, b"", b"") is None


def test_the_second_verifier_knows_a_checkpoint_that_was_signed_while_it_read(
    tmp_path: Path,
) -> None:
    log = MadeLog(tmp_path)
    log.write(2, 5)
    verifier = runpy.run_path(str(SCRIPT))["Verifier"](tmp_path, [SECRET])
    verifier.named = None
    verifier.read_checkpoints(tmp_path / "checkpoints.jsonl")
    log.write(1, 5)
    verifier.segments()
    assert verifier.finish() == []
