"""``audit-emit verify``: what people and machines get to read, and the exit status."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from two_verifiers import SECRET, MadeLog

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

PROGRAM = (sys.executable, "-c", "import sys; from audit_emit.cli import main; sys.exit(main())")


@pytest.fixture
def log(tmp_path: Path) -> MadeLog:
    made = MadeLog(tmp_path / "log")
    made.write(2, 40)
    return made


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(SECRET.hex())
    path.chmod(0o600)
    return str(path)


def spoil(log: MadeLog, seq: int) -> None:
    log.edit(seq, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"x.z")))


def test_good(log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--key", key, str(log.directory)]) == Exit.OK
    first, integrity, completeness, anchored = capsys.readouterr().out.splitlines()
    assert first == f"ok  {log.directory}"
    assert "every hash and every link holds" in integrity
    assert "no holes" in completeness
    assert anchored.endswith("; 1 after it")
    assert ", hmac-sha256 key " in anchored


def test_a_file_stands_for_its_log(log: MadeLog, key: str) -> None:
    assert main(["verify", "--key", key, str(log.active)]) == Exit.OK


def test_the_configured_log(
    log: MadeLog, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SERVICE", "tests")
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(log.active))
    monkeypatch.setenv("MY_KEY", SECRET.hex())
    assert main(["verify", "--key", "MY_KEY"]) == Exit.OK


def test_without_a_key(log: MadeLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(log.directory)]) == Exit.INCOMPLETE
    out = capsys.readouterr().out
    assert out.startswith("incomplete")
    assert "the key is missing" in out


def test_tampered(log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(log, 10)
    assert main(["verify", "--key", key, str(log.directory)]) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert out.startswith("TAMPERED")
    assert "broken: 1 changed" in out
    assert ":10, offset " in out
    assert "seq 10, expected " in out


def test_json(log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(log, 10)
    assert main(["verify", "--json", "--key", key, str(log.directory)]) == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "tampered"
    assert found["exit_status"] == 1
    finding = found["findings"][0]
    assert finding["kind"] == "event-hash-mismatch"
    assert (finding["seq"], finding["line"]) == (10, 10)
    assert {"file", "offset", "expected", "actual"} <= set(finding)


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == Exit.UNREADABLE
    assert main(["verify", str(tmp_path / "audit.jsonl")]) == Exit.UNREADABLE
    (tmp_path / "audit.jsonl").touch()
    assert main(["verify", str(tmp_path)]) == Exit.UNREADABLE


def test_unreadable(log: MadeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.active.unlink()
    log.active.mkdir()
    assert main(["verify", str(log.directory)]) == Exit.UNREADABLE


def test_several_logs_the_worst_counts(
    log: MadeLog, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = log.copy(tmp_path / "other")
    spoil(other, 5)
    assert main(["verify", "--json", "--key", key, str(log.directory), str(other.directory)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["verdict"] for each in found["logs"]] == ["ok", "tampered"]


def test_standard_input(log: MadeLog) -> None:
    data = b"".join(log.lines())
    found = subprocess.run(
        [*PROGRAM, "verify", "-"], input=data, capture_output=True, check=False, env=os.environ
    )
    assert found.returncode == Exit.OK, found.stderr
    cut = subprocess.run(
        [*PROGRAM, "verify", "-"], input=data[:-5], capture_output=True, check=False
    )
    assert cut.returncode == Exit.INCOMPLETE


def test_packed(log: MadeLog, key: str) -> None:
    for path in log.segments[:-1]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert main(["verify", "--key", key, str(log.directory)]) == Exit.OK


def test_zstd_without_its_package(
    log: MadeLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    packed = log.segments[0]
    packed.with_name(f"{packed.name}.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    packed.unlink()
    assert main(["verify", str(log.directory)]) == Exit.USAGE
    assert "pip install 'audit-emit[zstd]'" in capsys.readouterr().err


def test_expect_head(log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = json.loads(log.lines()[-1])
    head = f"{last['seq']}:{last['hash']}"
    assert main(["verify", "--key", key, "--expect-head", head, str(log.directory)]) == Exit.OK
    later = f"{last['seq'] + 1}:{last['hash']}"
    assert main(["verify", "--key", key, "--expect-head", later, str(log.directory)]) == 1
    assert "truncated" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["5", "x:ab", "0:" + "a" * 64, "5:abc"])
def test_what_is_no_head(log: MadeLog, bad: str) -> None:
    assert main(["verify", "--expect-head", bad, str(log.directory)]) == Exit.USAGE


def test_what_is_no_time(log: MadeLog) -> None:
    assert main(["verify", "--since", "yesterday", str(log.directory)]) == Exit.USAGE


def test_a_hostile_log_obeys_no_terminal(log: MadeLog, capsys: pytest.CaptureFixture[str]) -> None:
    with log.active.open("ab") as file:
        file.write(b'{"ts":"x","event_type":"y","v":"\\u001b]0;owned\\u0007"}\n')
    main(["verify", str(log.directory)])
    assert "\x1b" not in capsys.readouterr().out


def test_head_ends_it_cleanly(log: MadeLog) -> None:
    with log.active.open("ab") as file:
        file.write(b"foreign\n" * 5000)
    command = f"'{sys.executable}' -c '{PROGRAM[2]}' verify --json '{log.directory}' | head -1"
    found = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert found.stdout == b"{\n"
    assert found.stderr == b""


def test_progress_is_for_terminals_only(log: MadeLog, key: str) -> None:
    parent, child = pty.openpty()
    code = (
        "import sys; from audit_emit.cli import main, _bar; _bar.Bar.QUIET = 0;"
        "_bar.Bar.EVERY = 0; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "verify", "--key", key, str(log.directory)]
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=child, check=False)
    os.close(child)
    shown = os.read(parent, 65536)
    os.close(parent)
    assert found.returncode == Exit.OK
    assert b"verifying [" in shown
    assert shown.endswith(b"\r\x1b[K")
    assert b"verifying" not in found.stdout
    quiet = subprocess.run(command, capture_output=True, check=False)
    assert quiet.stderr == b""
