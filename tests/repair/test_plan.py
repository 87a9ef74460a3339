"""Repair moves what is no record, and nothing else, whatever ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.verifier_comparison import KEY, MadeLog, both, kinds, ours

from audit_emit import Emitter
from audit_emit._core import own_records
from audit_emit._repair import apply as repairing
from audit_emit._repair.apply import apply
from audit_emit._repair.plan import Quarantine, plan_repair
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import RepairError, SinkError

KILLED = '''
import os, signal, sys
from audit_emit._repair import apply as repairing
from audit_emit._repair.plan import plan_repair
from audit_emit._runtime import files
from audit_emit._stores.jsonl import rotation, segment, whole_lines
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl import lockfile
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.verify import verify_paths

CALLS = "open write pread read fsync link rename unlink mkdir fchmod close ftruncate".split()


class Killing:
    """Passes everything on to os; the process dies before one of the calls."""

    left = int(sys.argv[2])

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in CALLS:
            return real
        def call(*args, **more):
            if Killing.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            Killing.left -= 1
            return real(*args, **more)
        return call


(verified,) = verify_paths([sys.argv[1]])
plan = plan_repair(verified.report)
for module in (repairing, files, rotation, segment, segments, whole_lines, lockfile):
    module.os = Killing()
repairing.apply(Layout.of(sys.argv[1] + "/audit.jsonl"), plan.actions)
'''


@pytest.fixture
def log(tmp_path: Path) -> MadeLog:
    made = MadeLog(tmp_path / "log")
    made.write(2, 40)
    assert len(made.segments) == 3
    return made


def spoil(log: MadeLog) -> None:
    """A foreign line in a closed segment, two in the active one, and a torn end."""
    log.edit(10, lambda lines, i: lines.insert(i, b"foreign\n"))
    index = len(log.lines())
    log.edit(index, lambda lines, i: lines.insert(i - 1, b"two\n"))
    log.edit(index, lambda lines, i: lines.insert(i - 1, b"lines\n"))
    with log.active.open("ab") as file:
        file.write(b'{"ts":"2026-05-19T')


def repaired(log: MadeLog) -> None:
    apply(Layout.of(str(log.active)), plan_repair(ours(log.directory, KEY)).actions)


def test_nothing_to_do(log: MadeLog) -> None:
    assert plan_repair(ours(log.directory, KEY)).actions == ()


def test_the_plan_names_every_byte(log: MadeLog) -> None:
    spoil(log)
    actions = plan_repair(ours(log.directory, KEY)).actions
    moved = [(log.directory / a.file).read_bytes()[a.offset : a.offset + a.size] for a in actions]
    assert moved[0] == b"foreign"
    assert moved[-1] == b'{"ts":"2026-05-19T'
    assert b"".join(moved[1:-1]).replace(b"\n", b"") in {b"twolines", b"linestwo"}


def test_records_stay_byte_for_byte(log: MadeLog) -> None:
    before = log.lines()
    spoil(log)
    repaired(log)
    after = log.lines()
    assert after[: len(before)] == before
    assert all(b'"event_type":"audit.' in line for line in after[len(before) :])
    report = both(log.directory)
    assert report.exit_status == 0
    assert set(kinds(report)) == {"recovered-tear"}


def test_everything_is_in_quarantine(log: MadeLog) -> None:
    spoil(log)
    originals = {path.name: path.read_bytes() for path in log.segments}
    repaired(log)
    kept = {path.name: path.read_bytes() for path in (log.directory / "quarantine").iterdir()}
    assert kept[f"{log.segments[0].name}.bak"] == originals[log.segments[0].name]
    # The writer has declared the torn end in the old file before it was replaced.
    assert kept["audit.jsonl.bak"].startswith(originals["audit.jsonl"])
    pieces = sorted(data for name, data in kept.items() if name.endswith(".bytes"))
    assert b"foreign" in pieces
    assert b'{"ts":"2026-05-19T' in pieces


def test_the_chain_goes_on_afterwards(log: MadeLog) -> None:
    spoil(log)
    repaired(log)
    log.write(1, 5)
    assert both(log.directory).exit_status == 0


def test_under_a_writer(log: MadeLog) -> None:
    emitter = Emitter(service="tests", jsonl=log.active, stdout=False, durability="os")
    emitter.emit(None, "x.y", {"n": 1})
    log.edit(10, lambda lines, i: lines.insert(i, b"foreign\n"))
    last = len(log.lines())
    log.edit(last, lambda lines, i: lines.insert(i, b"foreign\n"))
    repaired(log)
    for number in range(5):
        emitter.emit(None, "x.y", {"n": number})
    emitter.close()
    assert both(log.directory).exit_status == 0


def test_a_hash_mismatch_is_left(log: MadeLog) -> None:
    log.edit(10, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"x.z")))
    plan = plan_repair(ours(log.directory, KEY))
    assert plan.actions == ()
    assert "event-hash-mismatch" in {finding.kind for finding in plan.left}


def test_what_may_have_been_a_record_is_left(log: MadeLog) -> None:
    log.edit(10, lambda lines, i: lines.__setitem__(i, b"?" * 50 + b"\n"))
    plan = plan_repair(ours(log.directory, KEY))
    assert plan.actions == ()
    assert {"malformed-line", "sequence-gap"} <= {str(finding.kind) for finding in plan.left}


def test_a_record_without_its_newline_is_left(log: MadeLog) -> None:
    with log.active.open("rb+") as file:
        file.truncate(log.active.stat().st_size - 1)
    assert plan_repair(ours(log.directory, KEY)).actions == ()


def test_a_plan_that_is_no_longer_true_is_refused(log: MadeLog) -> None:
    size = len(log.lines()[0]) - 1
    action = Quarantine("audit.jsonl", 0, size, 1)
    before = log.active.read_bytes()
    (log.directory / "audit.jsonl").write_bytes(before)
    with pytest.raises(RepairError):
        apply(Layout.of(str(log.active)), [Quarantine("audit.jsonl", 0, len(before), 1), action])
    assert log.active.read_bytes() == before


def test_killed_anywhere_it_can_be_begun_again(log: MadeLog, tmp_path: Path) -> None:
    before = log.lines()
    spoil(log)
    killed = 0
    for calls in range(0, 400, 7):
        spoilt = log.copy(tmp_path / f"killed-{calls}")
        process = subprocess.run(
            [sys.executable, "-c", KILLED, str(spoilt.directory), str(calls)],
            check=False,
            capture_output=True,
        )
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, process.stderr.decode()
            break
        killed += 1
        every = b"".join(
            path.read_bytes() for path in spoilt.directory.rglob("*") if path.is_file()
        )
        assert all(line in every for line in before), calls
        assert b"foreign" in every
        repaired(spoilt)
        after = spoilt.lines()
        assert [line for line in after if line in before] == before
        report = ours(spoilt.directory, KEY)
        assert report.exit_status == 0, (calls, report.findings)
    assert killed > 10


class TestCommand:
    def test_shows_a_plan_and_does_nothing(
        self, log: MadeLog, capsys: pytest.CaptureFixture[str]
    ) -> None:
        spoil(log)
        before = {path: path.read_bytes() for path in log.directory.iterdir() if path.is_file()}
        assert main(["repair", str(log.directory)]) == Exit.FINDINGS
        assert "nothing was done" in capsys.readouterr().out
        assert {
            path: path.read_bytes() for path in log.directory.iterdir() if path.is_file()
        } == before

    def test_applies_it(self, log: MadeLog, capsys: pytest.CaptureFixture[str]) -> None:
        spoil(log)
        key = log.directory.parent / "key"
        key.write_text((b"tamper matrix, a key of 32 bytes").hex())
        key.chmod(0o600)
        assert main(["repair", "--apply", "--key", str(key), str(log.directory)]) == Exit.OK
        assert "moved to quarantine/" in capsys.readouterr().out

    def test_the_active_file_may_be_named_from_where_it_is(
        self, log: MadeLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spoil(log)
        monkeypatch.chdir(log.directory)
        assert main(["repair", "--apply", "audit.jsonl"]) == main(["verify", str(log.directory)])
        assert list((log.directory / "quarantine").glob("*.bytes"))

    def test_a_log_that_cannot_be_written_is_left_as_it_is(
        self, log: MadeLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise SinkError("ENOSPC")

        spoil(log)
        before = {path: path.read_bytes() for path in log.segments}
        monkeypatch.setattr(own_records, "append", full)
        assert main(["repair", "--apply", str(log.directory)]) == Exit.NOTHING
        assert "cannot be written to (ENOSPC)" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in log.segments} == before

    def test_tells_what_it_leaves(self, log: MadeLog, capsys: pytest.CaptureFixture[str]) -> None:
        log.edit(10, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"x.z")))
        assert main(["repair", "--apply", str(log.directory)]) == Exit.FINDINGS
        out = capsys.readouterr().out
        assert "nothing to move" in out
        assert "event-hash-mismatch" in out


class TestQuarantine:
    """What the log declares to be there is looked for."""

    @pytest.fixture
    def moved(self, log: MadeLog) -> MadeLog:
        spoil(log)
        repaired(log)
        assert both(log.directory).exit_status == 0
        return log

    def test_taken_away(self, moved: MadeLog) -> None:
        shutil.rmtree(moved.directory / "quarantine")
        report = both(moved.directory)
        assert report.exit_status == 1
        assert set(kinds(report)) == {"missing-segment"}

    def test_changed(self, moved: MadeLog) -> None:
        (path,) = (moved.directory / "quarantine").glob("audit-*.bytes")
        path.write_bytes(path.read_bytes().upper())
        assert list(kinds(both(moved.directory))) == ["recovered-tear", "missing-segment"]

    def test_of_a_part_it_may_be_elsewhere(self, moved: MadeLog) -> None:
        shutil.rmtree(moved.directory / "quarantine")
        assert ours(moved.directory, KEY, from_seq=10).exit_status == 0

    def test_a_fragment_that_a_writer_declared_and_somebody_took_away(self, log: MadeLog) -> None:
        with log.active.open("ab") as file:
            file.write(b'{"ts":"2026-05-19T')
        log.write(1, 1)
        assert both(log.directory).exit_status == 0
        log.active.write_bytes(log.active.read_bytes().replace(b'{"ts":"2026-05-19T\n', b""))
        assert kinds(both(log.directory)).keys() == {"missing-segment"}


def test_the_reason_of_a_status_is_told(log: MadeLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair", str(log.directory)]) == Exit.INCOMPLETE
    out = capsys.readouterr().out
    assert out.startswith("nothing to move\nwhat moving bytes does not change:\n  key-unavailable")


def test_records_from_before_the_chain_are_declared_and_signed(
    log: MadeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    old = b'{"ts":"2025-01-01T00:00:00Z","event_type":"x.y","fields":{}}\n' * 3
    first = log.segments[0]
    first.write_bytes(old + first.read_bytes())
    assert kinds(both(log.directory)) == {"malformed-line": [1, 1, 1]}
    assert main(["repair", "--declare-legacy", str(log.directory)]) == Exit.OK
    assert both(log.directory).exit_status == 1, "nobody signed that yet"
    log.write(1, 1)
    report = both(log.directory)
    assert (report.exit_status, report.legacy) == (0, 3)
    assert main(["repair", "--declare-legacy", str(log.directory)]) == Exit.OK
    assert capsys.readouterr().out.endswith("there is nothing to declare\n")


def test_what_is_moved_is_never_whole_in_memory(
    log: MadeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Watching:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def pread(self, descriptor: int, size: int, offset: int) -> bytes:
            asked.append(size)
            return os.pread(descriptor, size, offset)

    spoil(log)
    with log.active.open("ab") as file:
        file.write(bytes(100_000))
    monkeypatch.setattr(repairing, "BLOCK", 1000)
    monkeypatch.setattr(repairing, "os", Watching())
    repaired(log)
    assert max(asked) == 1000


@pytest.mark.parametrize("option", [[], ["--apply"]])
def test_a_file_without_a_record_is_refused_and_not_touched(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be no log, and there is no chain in which what is moved could be declared."""
    (tmp_path / "audit.jsonl").write_bytes(b"hello\nworld\n")
    assert main(["repair", str(tmp_path), *option]) == Exit.NOTHING
    said = capsys.readouterr()
    assert "no record is in it; nothing was moved" in said.err
    assert said.out == ""
    assert os.listdir(tmp_path) == ["audit.jsonl"]
