from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.anomalous_log import lines, record

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
