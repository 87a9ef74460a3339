"""Which files are read, how far, in which order, and what every input costs at most."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain, rewritten
from support.counted_calls import calls_of
from support.peak_memory import peak
from support.program import PROGRAM
from support.verifier_comparison import KEY, MadeLog, both, kinds, ours, rechained

from audit_emit._format.record import ts_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import NotRegularError, UnsupportedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAY = 24 * 3600 * SECOND
MEGABYTE = 1 << 20


@pytest.fixture
def log(tmp_path: Path) -> MadeLog:
    made = MadeLog(tmp_path / "log")
    made.write(3, 30)
    assert len(made.segments) >= 3
    return made


class TestFiles:
    """Only regular files are opened, and nothing is waited for."""

    def test_a_pipe_that_is_called_like_a_segment(self, log: MadeLog) -> None:
        os.mkfifo(log.directory / f"audit-{999:020d}.jsonl")
        report = both(log.directory)
        assert (report.exit_status, kinds(report)) == (1, {"missing-segment": [None]})
        assert "not a regular file" in report.findings[0].note

    @pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "elsewhere", "nowhere"])
    def test_a_link_that_is_called_like_a_segment(self, log: MadeLog, target: str) -> None:
        (log.directory / "elsewhere").write_bytes(log.segments[0].read_bytes())
        (log.directory / f"audit-{999:020d}.jsonl").symlink_to(target)
        report = both(log.directory)
        assert (report.exit_status, kinds(report)) == (1, {"missing-segment": [None]})
        assert "is a symbolic link, which is not followed" in report.findings[0].note

    def test_a_directory_that_is_called_like_a_segment(self, log: MadeLog) -> None:
        (log.directory / f"audit-{999:020d}.jsonl").mkdir()
        assert kinds(both(log.directory)) == {"missing-segment": [None]}

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
    @pytest.mark.parametrize("name", ["audit.jsonl", "checkpoints.jsonl", "alone.jsonl.1"])
    def test_what_is_named_and_no_file_cannot_be_read(
        self, log: MadeLog, make: Callable[[Path], None], name: str
    ) -> None:
        path = log.directory / name
        path.unlink(missing_ok=True)
        make(path)
        named = path if name.startswith("alone") else log.directory
        with pytest.raises(NotRegularError):
            ours(named, KEY)
        assert main(["verify", str(named)]) == Exit.NOTHING

    def test_standard_input_may_be_a_pipe(self, log: MadeLog) -> None:
        read, write = os.pipe()
        with os.fdopen(write, "wb") as file:
            file.write(b"".join(log.lines())[:60_000])
        found = subprocess.run([*PROGRAM, "verify", "-"], stdin=read, check=False)
        os.close(read)
        assert found.returncode == Exit.OK

    @pytest.mark.parametrize("name", ["nothing-here", "nothing-here.jsonl", "no/where", "x.gz"])
    def test_a_path_that_is_not_there_is_no_evidence(
        self, log: MadeLog, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["verify", str(log.directory / name)]) == Exit.NOTHING
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"{log.directory}/{name.partition('/')[0]}" in shown.err

    def test_a_log_whose_active_file_is_gone_is(self, log: MadeLog) -> None:
        log.active.unlink()
        assert ours(log.active, KEY).exit_status == 1

    def test_a_window_of_more_than_8_mib_is_refused(
        self, log: MadeLog, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = log.segments[0]
        data = path.read_bytes() + b"x" * (20 * MEGABYTE)
        wide = {int(zstd.CompressionParameter.window_log): 24}
        path.with_name(f"{path.name}.zst").write_bytes(zstd.compress(data, options=wide))
        path.unlink()
        with pytest.raises(UnsupportedError, match="more than 8 MiB; unpack it first"):
            ours(log.directory, KEY)
        assert main(["verify", str(log.directory)]) == Exit.USAGE
        assert main(["query", str(log.directory), "--type", "x.y"]) == Exit.USAGE
        capsys.readouterr()

    def test_a_window_of_8_mib_is_not(self, log: MadeLog) -> None:
        path = log.segments[0]
        wide = {int(zstd.CompressionParameter.window_log): 23}
        path.with_name(f"{path.name}.zst").write_bytes(
            zstd.compress(path.read_bytes(), options=wide)
        )
        path.unlink()
        assert ours(log.directory, KEY).exit_status == 0


class TestOrder:
    def test_a_file_with_a_chain_of_its_own_and_earlier_times_is_seen(self, log: MadeLog) -> None:
        forged = MadeChain("f" * 16, begin=BEGIN - 999 * DAY).add(5)
        forged.write(log.directory / "audit.jsonl.1")
        assert both(log.directory).exit_status == 1
        for key in ((KEY,), ()):
            assert ours(log.directory, *key).exit_status == 1
            assert ours(log.directory, *key, jobs=2).exit_status == 1

    def test_it_is_seen_from_a_later_record_on_too(self, log: MadeLog) -> None:
        MadeChain("f" * 16, begin=BEGIN - 999 * DAY).add(80).write(log.directory / "audit.jsonl.1")
        assert ours(log.directory, KEY, from_seq=40).exit_status == 1

    def test_files_that_end_before_the_range_are_not_read(self, log: MadeLog) -> None:
        last = json.loads(log.segments[0].read_bytes().splitlines()[-1])
        log.edit(3, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"x.z")))
        whole = ours(log.directory, from_seq=2)
        assert whole.counts["event-hash-mismatch"] == 1
        report = ours(log.directory, from_seq=last["seq"] + 1)
        assert report.counts.get("event-hash-mismatch") is None

    @pytest.mark.parametrize("key", [True, False])
    def test_a_line_at_the_head_of_a_file_moves_neither_file_nor_chain(
        self, log: MadeLog, key: bool
    ) -> None:
        line = log.lines()[69]
        log.edit(70, lambda lines, i: lines.__delitem__(i))
        first = log.segments[0]
        first.write_bytes(line + first.read_bytes())
        report = both(log.directory) if key else both(log.directory, key=None)
        found = kinds(report)
        found.pop("checkpoint-root-mismatch", None)
        found.pop("key-unavailable", None)
        assert found == {"missing-segment": [70], "sequence-gap": [71]}
        assert report.last_seq == len(log.lines())

    def test_a_forged_number_at_the_end_does_not_hide_what_follows(self, log: MadeLog) -> None:
        last = log.lines()[-1]
        forged = rewritten(last.rstrip(b"\n"), seq=10**19 - 1)
        with log.active.open("ab") as file:
            file.write(forged + b"\n")
        MadeLog(log.directory).write(1, 10, keys=())
        report = both(log.directory)
        assert report.exit_status == 1
        assert report.last_seq == len(log.lines()) - 1

    def test_segments_that_logrotate_renamed_are_found_by_all(self, log: MadeLog) -> None:
        log.active.rename(log.directory / "audit.jsonl.1")
        log.write(1, 3, keys=())
        report = both(log.directory)
        assert (report.exit_status, report.findings) == (0, ())


class TestRanges:
    """A log is ordered by its numbers, not by its times."""

    @pytest.fixture
    def made(self) -> MadeChain:
        chain = MadeChain().add(5)
        chain.add(ts=BEGIN + 40 * DAY)
        return chain.add(14, ts=BEGIN + 100 * SECOND)

    def spoilt(self, made: MadeChain, path: Path, seq: int) -> Path:
        made.write(path)
        lines = path.read_bytes().splitlines(True)
        lines[seq - 1] = lines[seq - 1].replace(b'"acme"', b'"ACME"')
        path.write_bytes(b"".join(lines))
        return path

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_clock_that_was_ahead_ends_nothing(
        self, made: MadeChain, tmp_path: Path, jobs: int
    ) -> None:
        until = ts_of(BEGIN + DAY)
        path = made.write(tmp_path / "audit.jsonl")
        report = ours(path, until=until, jobs=jobs)
        assert (report.exit_status, report.first_seq, report.last_seq) == (0, 1, 20)
        self.spoilt(made, path, 15)
        assert ours(path, until=until, jobs=jobs).exit_status == 1

    def test_a_first_record_of_a_later_year(self, tmp_path: Path) -> None:
        made = MadeChain().add(ts=BEGIN + 400 * DAY).add(9, ts=BEGIN)
        report = ours(made.write(tmp_path / "audit.jsonl"), until=ts_of(BEGIN + DAY))
        assert (report.exit_status, report.last_seq) == (0, 10)

    def test_what_is_after_the_last_record_is_not_looked_at(
        self, made: MadeChain, tmp_path: Path
    ) -> None:
        path = self.spoilt(made, tmp_path / "audit.jsonl", 12)
        report = ours(path, until=ts_of(BEGIN + 104 * SECOND))
        assert (report.exit_status, report.last_seq, report.partial) == (0, 11, True)

    def test_over_several_files_and_packed(self, made: MadeChain, tmp_path: Path) -> None:
        closed = made.write(tmp_path / f"audit-{1:020d}.jsonl", 1, 10)
        made.write(tmp_path / "audit.jsonl", 11)
        for end in (8, 10, 15):
            until = json.loads(made.lines[end - 1])["ts"]
            assert ours(tmp_path, until=until).last_seq == end
        closed.with_name(f"{closed.name}.gz").write_bytes(gzip.compress(closed.read_bytes()))
        closed.unlink()
        for jobs in (1, 2):
            until = json.loads(made.lines[7])["ts"]
            report = ours(tmp_path, until=until, jobs=jobs)
            assert (report.exit_status, report.last_seq) == (0, 8)

    def test_before_everything(self, made: MadeChain, tmp_path: Path) -> None:
        path = made.write(tmp_path / "audit.jsonl")
        assert ours(path, until=ts_of(BEGIN - 1)).exit_status == 3

    def test_standard_input_is_verified_to_its_end(self, made: MadeChain, tmp_path: Path) -> None:
        path = self.spoilt(made, tmp_path / "audit.jsonl", 18)
        command = [*PROGRAM, "verify", "--until", ts_of(BEGIN)[:19], "-"]
        with path.open("rb") as file:
            assert subprocess.run(command, stdin=file, check=False).returncode == 1

    def test_nothing_since_then_in_an_idle_log(self, log: MadeLog) -> None:
        report = ours(log.directory, KEY, since=ts_of((1 << 62) - 1))
        assert (report.exit_status, kinds(report)) == (3, {"nothing-found": [None]})

    def test_beyond_the_end(self, log: MadeLog) -> None:
        report = ours(log.directory, KEY, from_seq=1000)
        assert (report.exit_status, kinds(report)) == (3, {"nothing-found": [None]})

    def test_beyond_the_end_of_a_log_that_was_cut(self, log: MadeLog) -> None:
        last = len(log.lines())
        lines = log.active.read_bytes().splitlines(True)
        log.active.write_bytes(b"".join(lines[:-3]))
        assert ours(log.directory, KEY, from_seq=last + 5).counts["truncated"] == 1


class TestText:
    def test_a_lone_surrogate_is_a_character(self, tmp_path: Path) -> None:
        made = MadeChain().add(3).add(fields={"name": "\ud800"}).add(3)
        path = made.write(tmp_path / "audit.jsonl")
        assert rb"\ud800" in path.read_bytes()
        assert ours(path, strict=True).findings == ()

    @pytest.mark.parametrize("text", [b"NaN", b'"x\\ud800', b"[" * 5000])
    def test_what_is_no_json_is_told_where_that_is_asked_for(
        self, tmp_path: Path, text: bytes
    ) -> None:
        lines = [line + b"\n" for line in MadeChain().add(3, fields={"k": "\ud800"}).lines]
        lines[1] = lines[1].replace(rb'"\ud800"', rb'"\ud800","y":' + text)
        path = tmp_path / "audit.jsonl"
        path.write_bytes(b"".join(rechained(lines, "0" * 64)))
        assert kinds(ours(path, strict=True)) == {"malformed-line": [2]}
        assert ours(path).exit_status == 0


LIMIT = 64
"""Megabytes that any input may cost."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
class TestBounds:
    """Every input costs time that is linear in its size, and bounded memory."""

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_a_packed_line_of_hundreds_of_megabytes(self, tmp_path: Path, jobs: str) -> None:
        with gzip.open(tmp_path / "audit.jsonl.1.gz", "wb", compresslevel=1) as file:
            for _ in range(300):
                file.write(b"x" * MEGABYTE)
            file.write(b"\n")
        MadeChain().add(3).write(tmp_path / "audit.jsonl")
        memory, _ = peak(tmp_path, "--jobs", jobs, str(tmp_path))
        assert memory < LIMIT

    def test_a_checkpoint_of_hundreds_of_megabytes(self, tmp_path: Path) -> None:
        MadeChain().add(3).write(tmp_path / "audit.jsonl")
        with (tmp_path / "checkpoints.jsonl").open("wb") as file:
            for _ in range(300):
                file.write(b"x" * MEGABYTE)
            file.write(b"\n")
        memory, _ = peak(tmp_path, str(tmp_path))
        assert memory < LIMIT

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_a_long_line_is_read_a_bounded_number_of_times(self, tmp_path: Path, jobs: str) -> None:
        seconds = []
        for size in (100, 400):
            MadeChain().add(3).write(tmp_path / "audit.jsonl")
            with (tmp_path / "audit.jsonl").open("ab") as file:
                for _ in range(size):
                    file.write(b"x" * MEGABYTE)
                file.write(b"\n")
            memory, busy = peak(tmp_path, "--jobs", jobs, str(tmp_path))
            assert memory < LIMIT
            seconds.append(busy)
        assert seconds[1] < 8 * seconds[0], seconds

    @pytest.mark.parametrize("line", [b"\n", b"x\n", b"{\n", b"foreign line\n"])
    @pytest.mark.untraced
    def test_many_short_lines(self, tmp_path: Path, line: bytes) -> None:
        (tmp_path / "audit.jsonl").write_bytes(line * (4 * MEGABYTE // len(line)))
        memory, _ = peak(tmp_path, "--jobs", "1", str(tmp_path))
        assert memory < LIMIT

    @pytest.mark.parametrize("line", [b"\n", b"x\n", b"{\n", b"foreign line\n"])
    def test_a_short_line_takes_few_calls_however_many_there_are(
        self, tmp_path: Path, line: bytes
    ) -> None:
        def calls(count: int) -> int:
            (tmp_path / "audit.jsonl").write_bytes(line * count)
            return calls_of(lambda: verify_paths([str(tmp_path)], Options(jobs=1)))

        fewer, more = calls(2_000), calls(8_000)
        assert more - fewer < 12 * 6_000, (fewer, more)

    def test_short_lines_are_declared_all_the_same(self, tmp_path: Path) -> None:
        foreign = b"\n" * 20_000 + b"x\n" * 7
        fields = {"offset": 0, "bytes": len(foreign), "sha256": sha256(foreign).hexdigest()}
        made = MadeChain().add(2).add(event_type="audit.recovered", fields=fields)
        first, last = made.lines[:2], made.lines[2:]
        log = b"".join(line + b"\n" for line in first) + foreign + last[0] + b"\n"
        (tmp_path / "audit.jsonl").write_bytes(log)
        assert kinds(both(tmp_path, key=None)) == {"recovered-tear": [3]}


def test_the_number_of_processes_changes_nothing_of_the_demand(tmp_path: Path) -> None:
    log = MadeLog(tmp_path / "log")
    log.write(1, 20, max_bytes=1 << 30)
    MadeLog(log.directory).write(1, 30_000, max_bytes=1 << 30, keys=())
    reports = []
    for jobs in (1, 2):
        options = Options(ring=KeyRing([KEY]), jobs=jobs)
        (verified,) = verify_paths([str(log.directory)], options)
        reports.append(verified.report)
    assert reports[0] == reports[1]
    assert reports[0].exit_status == 1
    assert set(kinds(reports[0])) == {"not-anchored"}
