"""``audit-emit verify``: what people and machines get to read, and the exit status."""

from __future__ import annotations

import gzip
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import PROGRAM
from support.verifier_comparison import ORIGIN, SECRET, MadeLog

from audit_emit import Emitter
from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


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


def test_one_loss_that_is_declared_is_told_as_one_and_with_its_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False)
    gap = {"lost": 319, "first_ts": None, "last_ts": None, "reason": "ENOSPC", "sink": "jsonl"}
    emitter.record_own("audit.gap", gap)
    emitter.close()
    assert main(["verify", str(tmp_path)]) == Exit.INCOMPLETE
    out = capsys.readouterr().out
    assert "not all is there: 1 loss declared by the log\n" in out
    assert "events lost: 319, ENOSPC" in out


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
    assert main(["verify", str(tmp_path)]) == Exit.NOTHING
    assert main(["verify", str(tmp_path / "audit.jsonl")]) == Exit.NOTHING
    (tmp_path / "audit.jsonl").touch()
    assert main(["verify", str(tmp_path)]) == Exit.NOTHING


def test_unreadable(log: MadeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.active.unlink()
    log.active.mkdir()
    assert main(["verify", str(log.directory)]) == Exit.NOTHING


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
    assert main(["verify", "--since", "soon", str(log.directory)]) == Exit.USAGE


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


@pytest.mark.parametrize("digits", [20, 5000])
def test_a_head_of_too_many_digits(
    log: MadeLog, digits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    head = f"{'9' * digits}:{'a' * 64}"
    assert main(["verify", "--expect-head", head, str(log.directory)]) == Exit.USAGE
    assert "a head is" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        ("--max-age", "soon"),
        ("--as-of", "later"),
        ("--chain", "xyz"),
        ("--legacy-before", "yesterday"),
        ("--max-unanchored", "-1"),
    ],
)
def test_what_an_option_does_not_take(log: MadeLog, option: tuple[str, str]) -> None:
    assert main(["verify", *option, str(log.directory)]) == Exit.USAGE


def test_what_is_demanded_is_told(
    log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    MadeLog(log.directory).write(1, 3, keys=())
    arguments = ["verify", "--key", key, str(log.directory)]
    assert main(arguments) == Exit.OK
    assert main([*arguments, "--max-unanchored", "3"]) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert "not-anchored  1" in out
    assert "records after it are not signed, and 3 may be" in out
    assert main([*arguments, "--as-of", "2099-01-01"]) == Exit.FINDINGS
    assert main([*arguments, "--as-of", "2099-01-01", "--no-anchor-required"]) == Exit.OK
    told = capsys.readouterr()
    assert "of which nothing was demanded" in told.out
    assert "--as-of 2099-01-01 is 2099-01-01T00:00:00Z (UTC)\n" in told.err
    assert main([*arguments, "--max-age", "1h", "--max-unanchored", "99"]) == Exit.OK


def test_another_log_by_the_same_key(log: MadeLog, key: str, tmp_path: Path) -> None:
    arguments = ["verify", "--key", key, str(log.directory)]
    chain = json.loads(log.lines()[0])["chain"]
    assert main([*arguments, "--origin", ORIGIN, "--chain", chain]) == Exit.OK
    assert main([*arguments, "--origin", "audit.example.com/other"]) == Exit.FINDINGS
    assert main([*arguments, "--chain", "0" * 16]) == Exit.FINDINGS


def test_records_from_before_the_chain(log: MadeLog, key: str) -> None:
    first = log.segments[0]
    first.write_bytes(b'{"ts":"2025-01-01T00:00:00Z","event_type":"x.y"}\n' + first.read_bytes())
    arguments = ["verify", "--key", key, str(log.directory)]
    assert main(arguments) == Exit.FINDINGS
    assert main([*arguments, "--legacy-before", "1"]) == Exit.OK
    assert main([*arguments, "--legacy-before", "offset:100"]) == Exit.OK


class TestRemember:
    @pytest.fixture
    def arguments(self, log: MadeLog, key: str, tmp_path: Path) -> list[str]:
        memory = tmp_path / "seen.json"
        return ["verify", "--key", key, "--remember", str(memory), str(log.directory)]

    def test_the_same_log_grown(self, log: MadeLog, arguments: list[str]) -> None:
        assert main(arguments) == Exit.OK
        log.write(1, 5)
        assert main(arguments) == Exit.OK

    def test_another_log_in_its_place(
        self, log: MadeLog, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == Exit.OK
        shutil.rmtree(log.directory)
        log.write(2, 50)
        for _ in range(2):
            assert main(arguments) == Exit.FINDINGS
        assert "origin-mismatch" in capsys.readouterr().out

    def test_an_older_copy(self, log: MadeLog, arguments: list[str], tmp_path: Path) -> None:
        older = log.copy(tmp_path / "older")
        log.write(1, 5)
        assert main(arguments) == Exit.OK
        shutil.rmtree(log.directory)
        older.copy(log.directory)
        assert main(arguments) == Exit.FINDINGS

    def test_what_did_not_verify_is_not_remembered(
        self, log: MadeLog, arguments: list[str]
    ) -> None:
        spoil(log, 10)
        assert main(arguments) == Exit.FINDINGS
        assert not Path(arguments[4]).exists()

    @pytest.mark.parametrize("content", ["", "{}", '{"v":2,"logs":{}}', "\ud800"])
    def test_what_is_no_such_file(self, arguments: list[str], content: str) -> None:
        Path(arguments[4]).write_bytes(content.encode("utf-8", "surrogatepass"))
        assert main(arguments) == Exit.USAGE

    def test_nobody_waits_for_a_named_pipe(self, arguments: list[str]) -> None:
        os.mkfifo(arguments[4])
        assert main(arguments) == Exit.NOTHING


def test_a_changed_record_is_shown_as_it_stands(
    log: MadeLog, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.edit(
        60,
        lambda lines, i: lines.__setitem__(i, lines[i].replace(b'"user_id":""', b'"user_id":"m"')),
    )
    sizes = [json.loads(line)["head_seq"] for line in log.checkpoints.read_bytes().splitlines()]
    record = json.loads(log.lines()[59])
    assert main(["verify", "--key", key, str(log.directory)]) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert f"it now says: {record['ts']} x.y by m (user)" in out
    assert f"it lies after checkpoint {sizes[0]}; checkpoint {sizes[1]} covers it" in out
    assert "docs/incident.md" in out
    assert main(["verify", "--json", "--key", key, str(log.directory)]) == Exit.FINDINGS
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["record"]["user_id"] == "m"
    assert finding["between"] == sizes


def test_a_record_that_is_not_in_the_chain_is_shown_and_obeyed_by_no_terminal(
    log: MadeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with log.active.open("ab") as file:
        file.write(b'{"ts":"2026","event_type":"x.y","user_id":"\\u001b]0;owned\\u0007"}\n')
    assert main(["verify", str(log.directory)]) == Exit.FINDINGS
    out = capsys.readouterr().out
    assert "it now says: 2026 x.y by \u241b]0;owned\u2407" in out
    assert "\x1b" not in out


def test_a_key_for_another_log_is_named(
    log: MadeLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(Ed25519Key.from_seed(bytes(32)).to_vkey("example.com/other"))
    assert main(["verify", str(log.active), "--key", str(other)]) == Exit.FINDINGS
    assert "what is given is for example.com/other (see --origin)" in capsys.readouterr().out
