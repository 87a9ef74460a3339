"""``audit-emit tiles``: built, checked and served."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.program import PROGRAM
from support.prunable_log import PrunableLog
from support.waiting import PATIENCE

from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.signed_note import Note
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

RING = KeyRing([Ed25519Key.from_seed(b"s" * 32)])


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "vkey"
    path.write_text(Ed25519Key.from_seed(b"s" * 32).to_vkey("audit.example/shop"))
    return str(path)


@pytest.fixture
def log(tmp_path: Path) -> PrunableLog:
    return PrunableLog(tmp_path / "log", records=600, part=300, ring=RING)


def test_what_the_signer_wrote_is_right(
    log: PrunableLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tiles", "check", str(log.path), "--key", key]) == Exit.OK
    assert "4 tiles of 600 records" in capsys.readouterr().out
    assert main(["tiles", "check", str(log.path)]) == Exit.INCOMPLETE, "nobody is trusted"


def test_without_tiles_there_is_nothing_until_they_are_built(
    log: PrunableLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in log.path.rglob("tile/*/*") if path.is_file()}
    shutil.rmtree(log.path / "tile")
    assert main(["tiles", "check", str(log.path), "--key", key]) == Exit.NOTHING
    assert main(["tiles", "serve", str(log.path), "--key", key]) == Exit.NOTHING
    assert "tiles build makes them" in capsys.readouterr().err
    assert main(["tiles", "build", str(log.path), "--key", key, "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["wrong"], told["directory"]) == (600, [], str(log.path))
    after = {path.name: path.read_bytes() for path in log.path.rglob("tile/*/*") if path.is_file()}
    assert after == before


def test_a_wrong_one_is_named_and_made_again(
    log: PrunableLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (log.path / "tile/0/001").write_bytes(bytes(8192))
    assert main(["tiles", "check", str(log.path), "--key", key]) == Exit.FINDINGS
    said = capsys.readouterr().out
    assert "tile/0/001 is not as it was signed (records 257 to 512)" in said
    assert main(["tiles", "build", str(log.path), "--key", key]) == Exit.OK
    assert main(["tiles", "check", str(log.path), "--key", key]) == Exit.OK


def test_a_log_that_is_not_what_was_signed_is_told(log: PrunableLog, key: str) -> None:
    shutil.rmtree(log.path / "tile")
    (path, *_) = log.segments()
    path.write_bytes(path.read_bytes().replace(b'"n":3}', b'"n":4}'))
    assert main(["tiles", "build", str(log.path), "--key", key]) == Exit.FINDINGS


def test_a_log_without_a_checkpoint_has_none(
    log: PrunableLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (log.path / "checkpoints.jsonl").unlink()
    for word in ("build", "check", "serve"):
        assert main(["tiles", word, str(log.path), "--key", key]) == Exit.NOTHING
        assert "no checkpoint by a key that is given" in capsys.readouterr().err


@contextmanager
def served(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address that a command says, and the process."""
    with subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert "http://" in line, line
            yield line[line.index("http://") :].strip().removesuffix("/checkpoint"), process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == Exit.OK


def test_it_is_served_until_a_signal_comes(log: PrunableLog, key: str) -> None:
    with served("tiles", "serve", str(log.path), "--key", key, "--port", "0") as (url, _):
        with urlopen(f"{url}/checkpoint", timeout=PATIENCE) as answer:
            assert Note.from_bytes(answer.read()).check(RING) == "ok"
        with urlopen(f"{url}/tile/0/000", timeout=PATIENCE) as answer:
            assert answer.read() == (log.path / "tile/0/000").read_bytes()


def test_that_a_checkpoint_continues_another_is_proved_and_checked_without_the_log(
    log: PrunableLog, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "continued.proof"
    assert main(["prove", "--from", "300", str(log.path), "--out", str(out)]) == Exit.OK
    assert main(["verify-proof", str(out), "--key", key]) == Exit.OK
    assert "the checkpoint of 600 records continues that of 300" in capsys.readouterr().out
    assert main(["verify-proof", str(out)]) == Exit.INCOMPLETE
    changed = tmp_path / "changed"
    proof = json.loads(out.read_bytes())
    proof["consistency_proof"][0] = "00" * 32
    changed.write_text(json.dumps(proof))
    assert main(["verify-proof", str(changed), "--key", key]) == Exit.FINDINGS
    changed.write_text(json.dumps({**proof, "v": 2}))
    assert main(["verify-proof", str(changed), "--key", key]) == Exit.NOTHING
    assert main(["prove", "--from", "299", str(log.path)]) == Exit.INCOMPLETE
    assert main(["prove", "--to", "299", str(log.path)]) == Exit.USAGE


def test_the_checkpoint_that_is_continued_is_the_one_that_was_kept(
    log: PrunableLog, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = PrunableLog(tmp_path / "other", records=600, part=300, ring=RING)
    out, kept = tmp_path / "continued.proof", tmp_path / "kept"
    check = ["verify-proof", str(out), "--key", key, "--old", str(kept)]
    lines = (log.path / "checkpoints.jsonl").read_bytes().splitlines(keepends=True)
    for data in (lines[0], Checkpoint.from_line(lines[0].rstrip()).to_note().to_bytes()):
        kept.write_bytes(data)
        assert main(["prove", "--from", "300", str(log.path), "--out", str(out), "--force"]) == 0
        assert main(check) == Exit.OK
        assert main(["prove", "--from", "300", str(other.path), "--out", str(out), "--force"]) == 0
        assert main(check[:-2]) == Exit.OK, "the same key has signed another past"
        assert main(check) == Exit.FINDINGS
        assert "another one than that you kept" in capsys.readouterr().out
    kept.write_bytes(b"{}")
    assert main(check) == Exit.USAGE
    assert main(["prove", "1", str(log.path), "--out", str(out), "--force"]) == Exit.OK
    kept.write_bytes(lines[0])
    assert main(check) == Exit.USAGE
