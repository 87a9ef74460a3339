"""``[LOG]...``: which logs are meant, and what is said where one is not there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from support import requirements

from audit_emit import Emitter
from audit_emit._settings import settings
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import configured, name_of

READING = ["tail", "query", "verify"]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory with the logs of two services."""
    for service in ("api", "shop"):
        path = tmp_path / "logs" / service / "audit.jsonl"
        emitter = Emitter(service=service, jsonl=str(path), stdout=False)
        emitter.emit(None, "item.sold", {})
        emitter.close()
    return tmp_path / "logs"


@pytest.mark.parametrize("name", READING)
def test_the_directory_of_several_logs_is_told_apart(
    name: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, str(logs)]) == Exit.NOTHING
    err = " ".join(capsys.readouterr().err.split())
    assert f"there is: {logs}/api, {logs}/shop" in err


@pytest.mark.parametrize("name", READING)
def test_a_wrong_name_beside_the_right_ones(
    name: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, str(logs / "shpo")]) == Exit.NOTHING
    assert f"there is: {logs}/api, {logs}/shop" in capsys.readouterr().err


def test_the_log_of_the_working_directory_is_named_in_full(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(logs / "api")
    assert main(["verify", "nothing"]) == Exit.NOTHING
    assert f"there is: {logs}/api" in capsys.readouterr().err


@pytest.mark.parametrize("name", READING)
def test_the_name_of_a_service_is_found_where_logs_are(
    name: str, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "_SYSTEM_DIRECTORY", str(logs))
    monkeypatch.chdir(logs.parent)
    assert main([name, "shop"]) == Exit.NOTHING
    assert f"there is: {logs}/shop" in capsys.readouterr().err


@pytest.mark.parametrize("name", READING)
def test_where_the_environment_would_keep_it_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(tmp_path / "none" / "audit.jsonl"))
    assert main([name]) == Exit.NOTHING
    assert "where this environment would keep it (see: audit-emit doctor)" in (
        capsys.readouterr().err
    )


def test_who_may_only_read_the_system_directory_is_shown_the_log_there(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "_SYSTEM_DIRECTORY", str(logs))
    monkeypatch.setattr(settings, "_can_hold_files", lambda _: False)
    monkeypatch.delenv("AUDIT_EMIT_JSONL", raising=False)
    monkeypatch.setenv("AUDIT_EMIT_SERVICE", "shop")
    assert main(["verify"]) == Exit.OK
    assert f"ok  {logs}/shop/audit.jsonl" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*READING, "checkpoint", "vkey", "repair", "shipped"])
def test_an_environment_without_a_file_is_told_to_name_one(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    loki = ["--loki", "http://127.0.0.1:1"] if name == "shipped" else []
    assert main([name, *loki]) == Exit.USAGE
    assert "name a LOG" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*READING, "checkpoint", "vkey", "repair", "doctor"])
def test_an_empty_name_is_no_directory(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a variable of a shell that is not set."""
    assert main([name, ""]) == Exit.USAGE
    assert "LOG is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["checkpoint", "vkey", "repair", "doctor"])
def test_a_hostile_name_obeys_no_terminal(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([name, str(tmp_path / "\x1b[31m")])
    assert "\x1b" not in capsys.readouterr().err


def test_the_log_of_an_environment_with_a_store_is_its_service_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_JSONL", raising=False)
    monkeypatch.setenv("AUDIT_EMIT_SERVICE", "shop")
    monkeypatch.setenv("AUDIT_EMIT_STORE", "postgresql://me:s3cret@db/x")
    assert configured() == "postgresql://me:s3cret@db/x#service=shop"
    monkeypatch.delenv("AUDIT_EMIT_STORE")
    (tmp_path / "store").write_text("postgresql://me:s3cret@db/x")
    (tmp_path / "store").chmod(0o600)
    monkeypatch.setenv("AUDIT_EMIT_STORE_FILE", str(tmp_path / "store"))
    assert configured() == f"postgresql+file://{tmp_path}/store#service=shop"


def test_the_password_of_an_address_is_never_shown() -> None:
    assert name_of("postgresql://me:s3cret@db/x?password=s3cret#service=shop") == (
        "postgresql://me@db/x#service=shop"
    )
    assert name_of("/var/log/audit-emit/shop") == "/var/log/audit-emit/shop"


PASSWORD = "hunter2secret"
LOKI = ["--loki", "http://127.0.0.1:1"]
NEEDS = {
    "prove": lambda log: ["prove", "1", log],
    "reconcile": lambda log: ["reconcile", *LOKI, log],
    "ship": lambda log: ["ship", log, "--to", f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"],
    "shipped": lambda log: ["shipped", *LOKI, log],
    "verify-attestation": lambda log: ["verify-attestation", __file__, log],
}


def taking_a_log() -> list[str]:
    """The commands that have the argument, as they say themselves."""
    group = import_module("audit_emit.cli._group")
    return [
        name
        for name in group.COMMANDS
        if any(
            parameter.name == "logs"
            for parameter in import_module(
                f"audit_emit.cli.{name.replace('-', '_')}"
            ).command.params
        )
    ]


@pytest.mark.parametrize("scheme", ["postgresql", "s3", "mysql", "https"])
@pytest.mark.parametrize("name", taking_a_log())
def test_the_password_of_an_address_is_shown_by_no_command(
    name: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if scheme == "postgresql":
        requirements.package("psycopg")
    log = f"{scheme}://user:{PASSWORD}@127.0.0.1:1/x"
    arguments = NEEDS.get(name, lambda log: [name, log])(log)
    # What the file of an attestation holds is looked at before any log is.
    statuses = {Exit.NOTHING} if name == "verify-attestation" else set()
    assert main(arguments) in statuses | {Exit.USAGE, Exit.NO_ANSWER}
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err
    assert "No such file" not in told.err


@pytest.mark.parametrize("name", sorted(import_module("audit_emit.cli._group").COMMANDS))
def test_nor_where_no_address_is_expected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    requirements.package("psycopg")
    log = f"mysql://user:{PASSWORD}@127.0.0.1:1/x?password={PASSWORD}"
    main([name, log, log, log])
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err


@pytest.mark.parametrize("name", ["doctor", "repair", "shipped"])
def test_what_is_about_files_says_so_of_a_database(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = "postgresql://user@127.0.0.1:1/x"
    assert main(NEEDS.get(name, lambda log: [name, log])(log)) == Exit.USAGE
    assert f"this is about files, and {log} has none" in capsys.readouterr().err
