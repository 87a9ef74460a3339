"""``audit-emit schema`` as it is called: what is printed, and each exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit_emit import Emitter
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

SCHEMA = {"type": "object", "required": ["key"], "additionalProperties": False}
DOCUMENT = {**SCHEMA, "description": "A value.", "properties": {"key": {"type": "string"}}}

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def directory(tmp_path: Path) -> str:
    made = tmp_path / "schemas"
    made.mkdir()
    (made / "secret.set.json").write_text(json.dumps(DOCUMENT))
    return str(made)


def written(emitter: Emitter, log: Path, *events: tuple[str, Any]) -> str:
    for event_type, fields in events:
        emitter.emit(None, event_type, fields)
    emitter.close()
    return str(log)


# check LOG


def test_a_log_that_fits_is_ok(emitter: Emitter, log: Path, directory: str) -> None:
    where = written(emitter, log, ("secret.set", {"key": "A"}), ("http.request", {"status": 200}))
    assert main(["schema", "check", where, "--schemas", directory]) == Exit.OK


def test_what_does_not_fit_in_a_log_is_a_finding(
    emitter: Emitter, log: Path, directory: str, capsys: Capture
) -> None:
    wrong = [("secret.set", {"key": 5}), ("secret.set", {"key": 6}), ("secret.sett", {})]
    where = written(emitter, log, *wrong)
    assert main(["schema", "check", where, "--schemas", directory]) == Exit.FINDINGS
    shown = capsys.readouterr()
    assert shown.out == (
        "secret.set  key: type  (2 records, first seq 2)\n"
        "secret.sett  undeclared  (1 record, first seq 4)\n"
    )
    assert shown.err == "3 records: 2 do not fit, 1 of a type that is not declared\n"
    assert main(["schema", "check", where, "--schemas", directory, "--json"]) == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["unfit"], found["undeclared"]) == (3, 2, 1)
    assert found["findings"][0]["first_seq"] == 2


def test_filters_choose_the_records(emitter: Emitter, log: Path, directory: str) -> None:
    where = written(emitter, log, ("secret.set", {"key": 5}))
    asked = ["schema", "check", where, "--schemas", directory, "--actor", "nobody"]
    assert main(asked) == Exit.NOTHING


def test_the_environment_names_the_schemas(
    emitter: Emitter, log: Path, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = written(emitter, log, ("secret.set", {"key": "A"}))
    assert main(["schema", "check", where]) == Exit.USAGE
    monkeypatch.setenv("AUDIT_EMIT_SCHEMAS", directory)
    assert main(["schema", "check", where]) == Exit.OK


def test_schemas_that_cannot_be_used_are_a_usage_error(log: Path, capsys: Capture) -> None:
    assert main(["schema", "check", str(log), "--schemas", "/nowhere/at/all"]) == Exit.USAGE
    assert main(["schema", "check", str(log), "--module", "no_such_module"]) == Exit.USAGE
    assert "no_such_module: cannot be imported: ModuleNotFoundError" in capsys.readouterr().err


# check --source


def test_a_program_is_checked_without_schemas_of_its_own(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "app.py").write_text(
        "from audit_emit import Event, emit\n"
        "class SecretSet(Event, type='secret.set'):\n    key: str\n"
        "emit(None, 'secret.set', {'kye': 1})\n"
        "emit(None, 'secret.sett', {})\n"
    )
    assert main(["schema", "check", "--source", str(tmp_path)]) == Exit.FINDINGS
    assert capsys.readouterr().out == (
        f"{tmp_path}/app.py:4: secret.set has no field kye (key?)\n"
        f"{tmp_path}/app.py:4: secret.set needs the field key\n"
        f"{tmp_path}/app.py:5: secret.sett is not declared (secret.set?)\n"
    )
    assert main(["schema", "check", "--source", str(tmp_path), "--json"]) == Exit.FINDINGS
    assert json.loads(capsys.readouterr().out)["findings"][0]["meant"] == "key"


def test_the_statuses_of_a_program(tmp_path: Path, directory: str) -> None:
    check = ["schema", "check", "--source", str(tmp_path / "src"), "--schemas", directory]
    assert main(check) == Exit.NOTHING
    (tmp_path / "src").mkdir()
    assert main(check) == Exit.NOTHING
    call = "from audit_emit import emit\nemit(None, 'secret.set', {'key': 1})\n"
    (tmp_path / "src" / "app.py").write_text(call)
    assert main(check) == Exit.OK
    (tmp_path / "src" / "bad.py").write_text("(")
    assert main(check) == Exit.INCOMPLETE
    assert main([*check, "some.log"]) == Exit.USAGE


# docs, export


def test_a_page_is_written(directory: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["schema", "docs", "--schemas", directory, "--title", "Shop"]) == Exit.OK
    page = capsys.readouterr().out
    assert page.startswith("# Shop\n\n## secret.set\n\nA value.\n")
    assert "| `key` | `string` | required |  |" in page
    assert main(["schema", "docs", "--schemas", directory, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)[0]["event_type"] == "secret.set"
    assert main(["schema", "docs"]) == Exit.USAGE


def test_classes_of_a_module_become_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "shop_events_of_a_test.py").write_text(
        "from audit_emit import Event\nclass SecretSet(Event, type='secret.set'):\n    key: str\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])  # the directory is added by the command
    export = ["schema", "export", "--module", "shop_events_of_a_test"]
    assert main(export) == Exit.OK
    assert json.loads(capsys.readouterr().out)["secret.set"]["required"] == ["key"]
    assert main([*export, "--check"]) == Exit.USAGE
    assert main([*export, "--to", "made", "--check"]) == Exit.FINDINGS
    assert main([*export, "--to", "made"]) == Exit.OK
    assert main([*export, "--to", "made", "--check"]) == Exit.OK
    assert (tmp_path / "made" / "secret.set.json").exists()
