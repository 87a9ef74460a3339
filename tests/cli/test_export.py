"""``audit-emit export`` as it is called."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from support.export_records import LINES
from support.program import PROGRAM
from support.sealed_log import Sealed, sealed_log
from support.waiting import PATIENCE, until

from audit_emit import Emitter, Subject
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

__all__ = ["sealed_log"]

WHOLE = b"".join(line + b"\n" for line in LINES)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir()
    (path / "audit.jsonl").write_bytes(WHOLE)
    return path


def test_the_default_is_the_lines_of_the_log(
    log: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["export", str(log)]) == Exit.OK
    assert capsysbinary.readouterr().out == WHOLE


@pytest.mark.parametrize("form", ["ocsf", "ecs", "cloudevents", "otel"])
def test_a_format_has_one_json_object_a_record(
    log: Path, capsysbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    assert main(["export", str(log), "--format", form]) == Exit.OK
    lines = capsysbinary.readouterr().out.splitlines()
    assert len([json.loads(line) for line in lines]) == len(LINES)


@pytest.mark.parametrize("to_file", [False, True])
def test_a_directory_without_a_log_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], to_file: bool
) -> None:
    (tmp_path / "none").mkdir()
    words = ["--out", str(tmp_path / "out")] if to_file else []
    assert main(["export", str(tmp_path / "none"), *words]) == Exit.NOTHING
    assert "there is no log in" in capsys.readouterr().err


def test_filters_choose_records(log: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["export", str(log), "--type", "secret.*", "--actor", "u-17"]) == Exit.OK
    types = [json.loads(line)["event_type"] for line in capsysbinary.readouterr().out.splitlines()]
    assert types == ["secret.set"]


@pytest.mark.parametrize("option", ["--actor", "--type", "--out"])
def test_an_option_that_a_script_leaves_empty_is_not_taken_for_none(
    log: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the records of everybody go out where those of one were meant."""
    assert main(["export", str(log), option, ""]) == Exit.USAGE
    told = capsys.readouterr()
    assert f"{option} is empty" in told.err
    assert told.out == ""


def test_a_schema_says_where_a_field_goes(
    log: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "schemas").mkdir()
    scope = {"x-audit-emit": {"ocsf": "entity.data.scope"}}
    document = json.dumps({"properties": {"scope": scope}})
    (tmp_path / "schemas" / "secret.set.json").write_text(document)
    export = ["export", str(log), "--format", "ocsf", "--type", "secret.set"]
    assert main([*export, "--schemas", str(tmp_path / "schemas")]) == Exit.OK
    event = json.loads(capsysbinary.readouterr().out.splitlines()[0])
    given = json.loads(event["raw_data"])["fields"]["scope"]
    assert event["entity"]["data"]["scope"] == given
    assert "scope" not in event["unmapped"].get("fields", {})


def test_nothing_found_is_said(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(log), "--type", "no.such"]) == Exit.NOTHING
    assert "no record matches" in capsys.readouterr().err


def test_lines_that_are_no_records_are_a_finding(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b"hello\n")
    assert main(["export", str(log)]) == Exit.FINDINGS
    assert "1 lines are no records" in capsys.readouterr().err


def test_resuming_goes_on(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in LINES[:7]))
    command = ["export", str(log), "--out", str(output), "--resume"]
    assert main(command) == Exit.OK
    (log / "audit.jsonl").write_bytes(WHOLE)
    assert main(command) == Exit.OK
    assert main(command) == Exit.OK
    assert output.read_bytes() == WHOLE


def test_a_log_that_was_cut_is_a_finding(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(log), "--out", str(tmp_path / "out"), "--resume"]
    assert main(command) == Exit.OK
    (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in LINES[:7]))
    assert main(command) == Exit.FINDINGS
    assert "no longer has record 19, with which out ends" in capsys.readouterr().err


def test_without_resume_a_file_is_not_replaced(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    assert main(["export", str(log), "--out", str(output)]) == Exit.USAGE
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--resume"], "--resume continues the file of --out"),
        (["--format", "ecs", "--ocsf-version", "1.8.0"], "belongs to --format ocsf"),
        (["--format", "ecs", "--type-prefix", "a"], "belongs to --format cloudevents"),
        (["--format", "cloudevents", "--type-prefix", "a b"], "is no prefix of a type"),
        (["--format", "ecs", "--columns", "ts"], "--columns belongs to --format csv"),
        (["--follow", "--until", "today"], "--follow runs until a signal comes"),
        (["--format", "xml"], "is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    log: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["export", str(log), *options]) == Exit.USAGE
    assert told in capsys.readouterr().err


def test_several_logs_cannot_be_followed(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(log), str(log), "--follow"]) == Exit.USAGE
    assert "one LOG" in capsys.readouterr().err


def test_the_index_template_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--index-template"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["index_patterns"] == ["logs-audit_emit.log-*"]


def test_following_ends_cleanly_when_told_to(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in LINES[:7]))
    process = subprocess.Popen(
        [
            *(*PROGRAM, "export", str(log)),
            *("--out", str(output), "--resume", "--follow"),
        ],
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: has(output, 7))
        with open(log / "audit.jsonl", "ab") as file:
            file.write(b"".join(line + b"\n" for line in LINES[7:]))
        until(lambda: has(output, len(LINES)))
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == Exit.OK, told
    assert output.read_bytes() == WHOLE


def has(output: Path, lines: int) -> bool:
    return output.exists() and output.read_bytes().count(b"\n") >= lines


def test_following_a_log_that_is_cut_is_a_finding(log: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "export", str(log), "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        for _ in LINES:
            process.stdout.readline()
        (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in LINES[:7]))
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == Exit.FINDINGS
    assert b"no longer has record 19" in told
    assert b"Traceback" not in told


def test_an_export_says_what_was_erased_and_reveals_only_on_the_record(
    sealed_log: Sealed,
) -> None:
    lines = sealed_log.run("export", "--format", "ecs").splitlines()
    fields = [json.loads(line)["audit_emit"]["fields"] for line in lines]
    assert any(str(one.get("email")).startswith("aes256gcm:") for one in fields)
    assert "someone@example.com" in sealed_log.run("export", "--reveal")
    told = json.loads(sealed_log.path.read_bytes().splitlines()[-1])
    assert (told["event_type"], told["fields"]["command"]) == ("audit.revealed", "export")
    sealed_log.run("erase", "u-17")
    lines = sealed_log.run("export", "--format", "ecs").splitlines()
    fields = [json.loads(line)["audit_emit"]["fields"] for line in lines]
    assert [one["email"] for one in fields if "email" in one] == ["[erased]"]
    assert "aes256gcm:" in sealed_log.run("export")


def test_what_is_revealed_is_spelled_out_in_every_format(sealed_log: Sealed) -> None:
    said = "\x9b1m\u202e\u2066\u0085\u2028\x7f"
    emitter = Emitter(jsonl=sealed_log.path, stdout=False)
    for event_type, name in (("secret.set", "key"), ("http.request", "path"), ("a.b", "note")):
        emitter.emit({"user_id": "u-17"}, event_type, {name: Subject("u-17", f"to be seen {said}")})
    emitter.close()
    for form in ("jsonl", "ocsf", "ecs", "cloudevents", "otel", "csv"):
        events = sealed_log.run("export", "--reveal", "--format", form)
        assert events.count("to be seen") >= 3
        assert not set(said[0] + said[3:]) & set(events)
