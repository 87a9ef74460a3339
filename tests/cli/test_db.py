"""``audit-emit db``: what it says and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.postgres_server import Database

from audit_emit._stores.postgres import schema
from audit_emit.cli import main


def test_migrate_creates_what_is_missing_and_says_so(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "migrate", database.url]) == 0
    assert "done  0001 schema" in capsys.readouterr().out
    assert main(["db", "migrate", database.url]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_check_says_what_is_pending(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "check", database.url, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["pending"] == [m.number for m in schema.migrations()]


def test_the_address_may_come_from_the_environment_or_from_a_file(
    audited: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "address"
    secret.write_text(audited.url + "\n")
    assert main(["db", "check", f"postgresql+file://{secret}"]) == 0
    monkeypatch.setenv("AUDIT_EMIT_STORE_FILE", str(secret))
    assert main(["db", "check"]) == 0
    monkeypatch.setenv("AUDIT_EMIT_STORE", audited.url)
    assert main(["db", "check"]) == 0


@pytest.mark.parametrize(("expected", "status"), [(-1, 1), (0, 0), (1, 4)])
def test_a_pin_must_be_the_very_migration(audited: Database, expected: int, status: int) -> None:
    pin = schema.migrations()[-1].number + expected
    assert main(["db", "check", audited.url, "--expect", str(pin)]) == status


def test_a_changed_migration_is_a_finding(
    audited: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    audited.run("UPDATE audit_emit.migrations SET sha256 = repeat('0', 64) WHERE number = 1")
    assert main(["db", "check", audited.url]) == 1
    assert main(["db", "migrate", audited.url]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_database_that_does_not_answer_is_status_5_and_the_password_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["db", "check", "postgresql://me:s3cret@127.0.0.1:1/x?password=s3cret"]) == 5
    said = capsys.readouterr()
    assert "database-away" in said.err
    assert "s3cret" not in said.err + said.out


def test_sql_prints_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "sql"]) == 0
    assert capsys.readouterr().out == schema.as_sql()


@pytest.mark.parametrize("address", ["mysql://x", "postgresql://a\nb", "/var/log/x"])
def test_what_is_no_address_is_a_mistake_of_usage(address: str) -> None:
    assert main(["db", "check", address]) == 2
