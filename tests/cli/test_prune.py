"""``audit-emit prune``: what it says, its exit statuses, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.prunable_log import ORIGIN, RING, PrunableLog

from audit_emit.cli import main
from audit_emit.log import open_log


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PrunableLog:
    return PrunableLog(tmp_path_factory.mktemp("made") / "log")


@pytest.fixture
def log(made: PrunableLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrunableLog:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", (b"k" * 32).hex())
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", ORIGIN)
    return made.copy(tmp_path / "log")


def test_it_says_what_went_and_signs_that(
    log: PrunableLog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", str(log.path), "--older-than", "30d"]) == 0
    said = capsys.readouterr().out
    assert "removed records 1 to 600 (2 files" in said
    assert "begins with record 601" in said
    report = log.verify()
    assert (report.exit_status, report.unanchored) == (0, 0)


def test_a_rehearsal_says_it_in_json(log: PrunableLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", str(log.path), "--older-than", "30d", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dry_run"] is True
    assert said["removed"]["records"] == 600
    assert said["removed"]["declared_by"] is None
    assert said["oldest_seq"] == 601
    assert len(log.segments()) == 4


def test_a_date_is_as_good_as_a_span(log: PrunableLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", str(log.path), "--older-than", "2001-02-03", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] is None


def test_verify_says_where_the_log_begins_and_why(
    log: PrunableLog, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["prune", str(log.path), "--older-than", "30d"])
    capsys.readouterr()
    assert main(["verify", str(log.path)]) == 0
    said = capsys.readouterr().out
    assert "no holes from record 601 on" in said
    assert "records 1 to 600 were removed" in said
    assert "older than 30d" in said


def test_of_a_log_that_does_not_verify_nothing_goes(
    log: PrunableLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log.segments()[0].unlink()
    assert main(["prune", str(log.path), "--older-than", "1d", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "tampered"
    assert "nothing was removed" in err
    assert len(log.segments()) == 3


def test_without_a_key_it_says_which_is_needed(
    log: PrunableLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_SIGNING_KEY")
    assert main(["prune", str(log.path), "--older-than", "1d"]) == 2
    assert "--key" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--older-than", "soon"], [], ["--older-than", "-1d"], ["--older-than", "99999999d"]],
    ids=str,
)
def test_what_cannot_be_understood_changes_nothing(log: PrunableLog, arguments: list[str]) -> None:
    assert main(["prune", str(log.path), *arguments]) == 2
    assert len(log.segments()) == 4


def test_a_database_has_a_command_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "postgresql://127.0.0.1:1/none", "--older-than", "1d"]) == 2


def test_the_facade_knows_where_the_log_begins_and_why(log: PrunableLog) -> None:
    whole = open_log(log.path, keys=[(b"k" * 32).hex()])
    assert whole.beginning().oldest_seq == 1
    assert whole.beginning().removed is None
    log.prune(30)
    begins = whole.beginning()
    assert begins.oldest_seq == 601
    assert begins.removed is not None
    assert (begins.removed.last_seq, begins.removed.trusted) == (600, True)
    assert begins.removed.reason == "older than 30d"
    assert whole.verify().exit_status == 0
    assert RING.keys
