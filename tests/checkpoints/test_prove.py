"""Proofs from hash tiles: quick where the tiles are there, right whatever they say."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._checkpoints import checkpointer
from audit_emit._checkpoints import prove as proving
from audit_emit._checkpoints.beginning import Start
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.prove import find_record, prove_record
from audit_emit._format.proof_file import Evidence
from audit_emit._readers.base import LogReader
from audit_emit._readers.files.cache_directory import private_directory
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

KEY = HmacKey(b"k" * 32)
RING = KeyRing([KEY])
LINES = MadeChain().add(1500).lines
PART = 400


class MadeLog:
    """A log of 1,500 records in four segments, signed whenever one was closed."""

    def __init__(self, directory: Path, *, signed: bool = True) -> None:
        self.directory = directory
        directory.mkdir()
        self.layout = Layout.of(str(directory / "audit.jsonl"))
        for first in range(1, len(LINES) + 1, PART):
            active = directory / "audit.jsonl"
            if active.exists():
                active.rename(self.layout.closed(first - PART))
            part = LINES[first - 1 : first - 1 + PART]
            active.write_bytes(b"".join(line + b"\n" for line in part))
            if signed:
                self.sign()

    def sign(self) -> None:
        signer = Checkpointer(self.layout.active, RING, origin="a.example", record=lambda *_: None)
        assert signer.run("manual") is not None

    def try_to_prove(self, seq: int) -> Evidence:
        with open_reader(str(self.directory)) as reader:
            return prove_record(reader, seq, RING)

    def find(self, seq: int) -> bytes:
        with open_reader(str(self.directory)) as reader:
            return find_record(reader, seq)

    def prove(self, seq: int) -> Evidence:
        made = self.try_to_prove(seq)
        assert made.judge(RING).verdict == "ok"
        assert made.record.encode() == LINES[seq - 1]
        return made

    def tiles(self) -> dict[str, bytes]:
        found = (path for path in (self.directory / "tile").rglob("*") if path.is_file())
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in found}


@pytest.fixture
def log(tmp_path: Path) -> MadeLog:
    return MadeLog(tmp_path / "log")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the log is read from its beginning."""
    times: list[int] = []
    made = proving.make_tiles

    def counting(reader: LogReader, last: int, start: Start | None) -> object:
        times.append(last)
        return made(reader, last, start)

    monkeypatch.setattr(proving, "make_tiles", counting)
    return times


def test_the_signer_keeps_the_tiles(log: MadeLog, unread: list[int]) -> None:
    for seq in (1, 2, 255, 256, 257, 400, 401, 1000, 1499, 1500):
        made = log.prove(seq)
        assert made.tree_size == min(1500, -(-seq // PART) * PART), "the smallest that covers it"
    assert unread == []


def test_the_first_proof_makes_them_where_there_are_none(log: MadeLog, unread: list[int]) -> None:
    before = log.tiles()
    shutil.rmtree(log.directory / "tile")
    log.prove(7)
    assert unread == [1500]
    assert log.tiles() == before
    log.prove(8)
    assert unread == [1500]


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/005.p/220", "tile/1/000.p/5"])
def test_wrong_ones_are_not_believed(log: MadeLog, unread: list[int], name: str) -> None:
    before = log.tiles()
    path = log.directory / name
    path.write_bytes(bytes(len(before[name])))
    for seq in (3, 1450):
        log.prove(seq)
    # What is wrong at the end alone is made again from the checkpoint before.
    assert unread == ([] if name == "tile/0/005.p/220" else [1500])
    assert log.tiles() == before


def test_of_many_records_at_once_the_first_proof_makes_the_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: list[int]
) -> None:
    monkeypatch.setattr(checkpointer, "_MOST", 350)
    log = MadeLog(tmp_path / "log")
    assert "tile/0/005.p/220" not in log.tiles(), "too many came at once"
    log.prove(5)
    assert unread == [1500]
    assert "tile/0/005.p/220" in log.tiles()


def test_tiles_that_end_at_an_earlier_checkpoint_are_continued(
    log: MadeLog, unread: list[int]
) -> None:
    whole = log.tiles()
    path = log.directory / "checkpoints.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    shutil.rmtree(log.directory / "tile")
    log.prove(5)
    assert unread == [800]
    path.write_bytes(b"".join(lines))
    (first, *_) = sorted(log.directory.glob("audit-*.jsonl"))
    first.unlink()
    log.prove(1450)
    assert unread == [800], "the records that they cover need not even be there"
    assert log.tiles() == whole


def test_those_that_are_made_end_where_the_newest_checkpoint_does(tmp_path: Path) -> None:
    log = MadeLog(tmp_path / "log", signed=False)
    path = log.directory / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:100]))
    log.sign()
    expected = log.tiles()
    path.write_bytes(whole)
    shutil.rmtree(log.directory / "tile")
    log.prove(3)
    assert log.tiles() == expected
    assert "tile/0/005.p/20" in expected


def test_a_changed_record_is_not_proved(log: MadeLog) -> None:
    edit(log, 3)
    with pytest.raises(CheckpointError):
        log.try_to_prove(3)


def test_where_the_log_has_to_be_read_a_changed_neighbour_is_told(log: MadeLog) -> None:
    edit(log, 3)
    assert log.prove(5), "the tiles are as they were signed, and so is record 5"
    shutil.rmtree(log.directory / "tile")
    with pytest.raises(CheckpointError, match="record 3 was changed"):
        log.try_to_prove(5)


def edit(log: MadeLog, seq: int) -> None:
    (path, *_) = sorted(log.directory.glob("audit-*.jsonl"))
    line = LINES[seq - 1]
    path.write_bytes(path.read_bytes().replace(line, line.replace(b'"n":3', b'"n":4')))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root can write anywhere")
def test_where_the_directory_cannot_be_written_they_are_elsewhere(
    log: MadeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: list[int]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shutil.rmtree(log.directory / "tile")
    log.directory.chmod(0o500)
    try:
        log.prove(7)
        log.prove(8)
    finally:
        log.directory.chmod(0o700)
    assert unread == [1500]
    assert not (log.directory / "tile").exists()


def test_where_something_is_in_the_way_they_are_elsewhere(
    log: MadeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: list[int]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shutil.rmtree(log.directory / "tile")
    (log.directory / "tile").write_text("a file")
    log.prove(7)
    log.prove(8)
    assert unread == [1500]
    place = Path(private_directory(str(log.directory)))
    assert place.is_relative_to(tmp_path)
    assert (place / "tile/0/000").exists()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_temporary_directory_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Path(private_directory("/var/log/x"))
    assert private_directory("/var/log/x") == str(made)
    assert private_directory("/var/log/y") != str(made)
    made.chmod(0o777)
    with pytest.raises(PermissionError):
        private_directory("/var/log/x")
    made.rmdir()
    made.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        private_directory("/var/log/x")


def test_a_record_that_no_checkpoint_covers_is_left_open(log: MadeLog, tmp_path: Path) -> None:
    other = MadeLog(tmp_path / "other", signed=False)
    with pytest.raises(ValueError, match="no checkpoint covers record 5"):
        other.try_to_prove(5)
    with pytest.raises(LookupError, match="no record 1501"):
        log.try_to_prove(1501)


def test_forged_checkpoints_are_passed_over(log: MadeLog) -> None:
    path = log.directory / "checkpoints.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    forged = lines[1].replace(b'"signature":"', b'"signature":"AAAA')
    wrong = lines[2].replace(b'"head_seq":1200', b'"head_seq":700')
    path.write_bytes(b"".join([b"x" * 3_000_000 + b"\n", wrong, forged, *lines]))
    assert log.prove(650).tree_size == 800


@pytest.mark.parametrize("seq", [1, 399, 400, 401, 1200, 1201, 1500])
def test_records_are_found_over_segments(log: MadeLog, seq: int) -> None:
    assert log.find(seq) == LINES[seq - 1]
    (first, *_) = sorted(log.directory.glob("audit-*.jsonl"))
    first.write_bytes(b"no record\n" * 20_000 + first.read_bytes())
    assert log.find(seq) == LINES[seq - 1]
