from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.anomalous_log import lines, record
from support.plain_log_reader import of_type
from support.program import PROGRAM
from support.waiting import PATIENCE, until

from audit_emit import configure, emit
from audit_emit.cli import main


def mass_read(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    for number in range(20):
        emit({"user_id": "u"}, "secret.read", {"key": f"K{number}"})


def test_nothing_odd(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(jsonl=log, stdout=False)
    emit(None, "a.b")
    assert main(["anomalies", str(log)]) == 0
    assert capsys.readouterr().out == ""


def test_a_directory_without_a_log_is_no_log_without_alerts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--no-verify"]):
        assert main(["anomalies", str(tmp_path), *words]) == 3
        assert "there is no log in" in capsys.readouterr().err


def test_an_alert_names_rule_group_and_records(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mass_read(log)
    assert main(["anomalies", str(log)]) == 1
    out = capsys.readouterr().out
    assert "secret_mass_read user_id=u" in out
    assert "records 2, 3, 4" in out


def test_json_is_one_document(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mass_read(log)
    assert main(["anomalies", str(log), "--json"]) == 1
    (alert,) = json.loads(capsys.readouterr().out)["alerts"]
    assert alert["seqs"] == list(range(2, 22))
    assert alert["group"] == {"user_id": "u"}


def test_a_window_leaves_out_what_was_before_it(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    reads = [record("secret.read", at, key=f"K{at}") for at in range(20)]
    old.write_bytes(b"".join(line + b"\n" for line in lines(reads)))
    assert main(["anomalies", str(old), "--no-verify"]) == 1
    assert main(["anomalies", str(old), "--no-verify", "--window", "15m"]) == 0


def test_a_rule_that_is_not_understood_is_named_with_its_line(
    tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = tmp_path / "bad.json"
    rule.write_text('{\n"title": "T",\n"name": "t",\n"detection": {"s": {"a|sounds": 1}}}')
    log.touch()
    assert main(["anomalies", str(log), "--rules", str(rule)]) == 2
    assert "bad.json:4: 'detection' needs 'condition'" in capsys.readouterr().err


def test_rules_are_listed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anomalies", "--list", "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["rules"]]
    assert "secret_mass_read" in names
    assert "secret_read" not in names, "it is only a part"
    assert main(["anomalies", "--explain", "secret_mass_read"]) == 0
    out = capsys.readouterr().out
    assert "evasion" in out
    assert "value_count of fields.key by user_id at least 20 within 300 s" in out
    assert main(["anomalies", "--explain", "nothing"]) == 2
    assert "there is no rule nothing; there are: " in capsys.readouterr().err


def test_tests_of_rules_are_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = {"rule": "audit_gap", "name": "n", "records": [{"event_type": "audit.gap"}]}
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"tests": [{**case, "expect": [[1]]}]}))
    assert main(["anomalies", "--test", str(file)]) == 0
    assert capsys.readouterr().out == "ok      audit_gap: n\n"
    file.write_text(json.dumps({"tests": [{**case, "expect": []}]}))
    assert main(["anomalies", "--test", str(file)]) == 1
    assert "expected nothing" in capsys.readouterr().out
    file.write_text(json.dumps({"tests": [{**case, "expect": [], "rule": "other"}]}))
    assert main(["anomalies", "--test", str(file)]) == 2


def test_only_alerts_of_a_level_are_told(log: Path) -> None:
    mass_read(log)
    assert main(["anomalies", str(log), "--level", "high"]) == 1
    assert main(["anomalies", str(log), "--level", "critical"]) == 0


def test_what_belongs_to_following_needs_it(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mass_read(log)
    assert main(["anomalies", str(log), "--exec", "true"]) == 2
    assert "belong to --follow" in capsys.readouterr().err
    assert main(["anomalies", "-", "--follow"]) == 2
    assert main(["anomalies", str(log), "--follow", "--webhook", "ftp://x"]) == 2


def test_nothing_that_a_terminal_would_obey_is_printed(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(jsonl=log, stdout=False)
    for number in range(20):
        emit({"user_id": "\x1b[2J\u202e"}, "secret.read", {"key": f"K{number}"})
    assert main(["anomalies", str(log)]) == 1
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\u202e" not in out


def test_a_log_is_followed_until_told_to_end(log: Path, tmp_path: Path) -> None:
    """As an operator does it: a process, a program for the alerts, SIGTERM, and again."""
    configure(jsonl=log, stdout=False)
    emit(None, "a.b")
    out = tmp_path / "out.jsonl"
    followed_while_reading(log, out, "u")
    followed_while_reading(log, out, "v")
    given = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert given == [one["fields"]["id"] for one in of_type(log, "audit.anomaly")]
    assert len(set(given)) == 2


def followed_while_reading(log: Path, out: Path, user: str) -> None:
    write = f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read())"
    command = [*PROGRAM, "anomalies", str(log), "--follow"]
    command += ["--exec", shlex.join([sys.executable, "-c", write]), "--format", "jsonl"]
    state = log.with_name("anomalies.state")
    before = state.stat().st_mtime_ns if state.exists() else 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: state.exists() and state.stat().st_mtime_ns > before)
        for number in range(20):
            emit({"user_id": user}, "secret.read", {"key": f"K{number}"})
        assert process.stdout is not None
        printed = json.loads(process.stdout.readline())
        assert printed["group"] == {"user_id": user}
        until(lambda: out.exists() and printed["id"] in out.read_text())
        process.terminate()
        assert process.wait(PATIENCE) == 0
