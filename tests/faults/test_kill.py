"""``kill -9`` at random moments, and a log cut at every byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults.child import environment
from faults.log import Log
from support.sampling import EVERY, sampled
from support.waiting import PATIENCE

from audit_emit import Emitter

RUNS = 200 // EVERY
PARTS = 4
"""The runs are spread over the workers of the test run."""


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_acknowledged_is_lost_to_kill_9(part: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "faults.killer", str(tmp_path), str(RUNS // PARTS), str(part)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout)["runs"] == RUNS // PARTS


def make(path: Path, max_bytes: int = 1 << 24) -> Emitter:
    return Emitter(service="faults", jsonl=path, stdout=False, durability="os", max_bytes=max_bytes)


@pytest.fixture(scope="module")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Five records: one by the emitter, three events, one of them not in ASCII."""
    path = tmp_path_factory.mktemp("small") / "audit.jsonl"
    emitter = make(path)
    for number, text in enumerate(("plain", 'ünïcode \u2028 \\ "', "{}}\n")):
        emitter.emit(None, "crash.event", {"n": number, "text": text})
    emitter.close()
    return path.read_bytes()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("filled", [b"", b"\0" * 100], ids=["cut", "zeros"])
def test_a_log_cut_at_any_byte_goes_on(
    filled: bytes, part: int, small_log: bytes, tmp_path: Path
) -> None:
    """The zeros are what a loss of power leaves of blocks that were allocated and never written."""
    for length in sampled(range(part, len(small_log), PARTS)):
        directory = tmp_path / str(length)
        directory.mkdir()
        path = directory / "audit.jsonl"
        left = small_log[:length] + filled
        path.write_bytes(left)
        emitter = make(path)
        receipt = emitter.emit(None, "crash.over", {"n": 99})
        assert receipt is not None
        assert emitter.close(PATIENCE)
        log = Log(directory).check()
        whole = small_log[:length].count(b"\n")
        # A record that lacks only its newline is whole.
        whole += not filled and small_log[length : length + 1] == b"\n"
        data = path.read_bytes()
        assert data.startswith(left), "evidence was rewritten"
        assert [line.raw for line in log.files[0].lines[:whole]] == (
            small_log.splitlines(keepends=True)[:whole]
        )
        torn = bool(filled) or left not in {b"", *_whole_prefixes(small_log)}
        assert len(log.of("audit.recovered")) == torn
        assert log.records[-1]["hash"] == receipt.hash
        if whole:
            assert len({record["chain"] for record in log.records}) == 1
        shutil.rmtree(directory)


def _whole_prefixes(data: bytes) -> set[bytes]:
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    return {data[:end] for end in ends} | {data[: end - 1] for end in ends}


@pytest.mark.parametrize("step", range(1, 4))
def test_a_rotation_that_was_killed_is_taken_up(step: int, tmp_path: Path) -> None:
    """After the new file was made, after the old one was renamed, and after the new one was."""
    path = tmp_path / "audit.jsonl"
    first = make(path, 4096)
    for number in range(5):
        first.emit(None, "crash.event", {"n": number})
    first.close()
    new = path.with_name("audit.jsonl.new")
    new.touch(0o640)
    if step >= 2:
        path.rename(tmp_path / f"audit-{1:020d}.jsonl")
    if step >= 3:
        new.rename(path)
    second = make(path, 4096)
    for number in range(5, 20):
        assert second.emit(None, "crash.event", {"n": number}) is not None
    assert second.close(PATIENCE)
    log = Log(tmp_path).check()
    assert log.numbers == list(range(20))
    assert len({record["chain"] for record in log.records}) == 1
    assert [r["seq"] for r in log.records] == list(range(1, len(log.records) + 1))
    assert not new.exists()


ENDS = {
    "empty": b"",
    "no newline": b"not a record",
    "half json": b'{"ts":"2026-01-01T00:00:00.000000000Z","event_type":"a.b","fields":{',
    "nuls": b"\0" * 5000,
    "bom": b"\xef\xbb\xbf",
    "crlf": b"a line\r\nanother\r\n",
    "foreign lines": b"hello\nworld\n" * 100,
    "json that is no record": b'[1,2,3]\n{"a":1}\n"x"\n',
    "deep json": b"[" * 100_000 + b"\n",
    "gzip": b"\x1f\x8b\x08\x00" + bytes(range(256)) * 50,
    "long line": b"x" * 3_000_000,
}


@pytest.mark.parametrize("content", ENDS.values(), ids=ENDS)
def test_a_file_that_ends_in_anything_is_continued(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = make(path)
    emitter.emit(None, "crash.event", {"n": 0})
    emitter.close()
    before = path.read_bytes()
    path.write_bytes(before + content)
    again = make(path)
    assert again.emit(None, "crash.event", {"n": 1}) is not None
    assert again.close(PATIENCE)
    log = Log(tmp_path).check()
    assert log.numbers == [0, 1]
    assert path.read_bytes().startswith(before + content)


@pytest.mark.parametrize("content", ENDS.values(), ids=ENDS)
def test_a_file_that_was_never_a_log_becomes_one(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    emitter = make(path)
    assert emitter.emit(None, "crash.event", {"n": 0}) is not None
    assert emitter.close(PATIENCE)
    assert Log(tmp_path).check().numbers == [0]
    assert path.read_bytes().startswith(content)


def test_the_start_of_a_sparse_four_gigabyte_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = make(path)
    emitter.emit(None, "crash.event", {"n": 0})
    emitter.close()
    record = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(4 << 30)
        file.seek(4 << 30)
        file.write(b"\n" + record)
    again = make(path, 8 << 30)
    try:
        receipt = again.emit(None, "crash.event", {"n": 1})
        assert receipt is not None
        assert receipt.seq == record.count(b"\n") + 2
    finally:
        again.close()
        path.unlink()
