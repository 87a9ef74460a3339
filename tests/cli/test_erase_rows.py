"""``audit-emit erase`` and ``--reveal`` about chains in PostgreSQL: the chain itself says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.postgres_server import Database

from audit_emit import Emitter, Subject, open_log
from audit_emit._core import keyring
from audit_emit.cli import main

MAIL = "someone@example.com"


@pytest.fixture
def where(audited: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with one chain for each of two workspaces, and u-17 in one of them."""
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    monkeypatch.setenv("AUDIT_EMIT_SUBJECT_KEYS", str(tmp_path / "subjects.keys"))
    address = audited.as_user("the_writer")
    emitter = Emitter(
        service="shop", store=address, jsonl="off", stdout=False, chain_by="workspace_id"
    )
    for workspace, subject in (("w-1", "u-17"), ("w-2", "u-18")):
        context = {"workspace_id": workspace, "user_id": subject}
        emitter.emit(context, "profile.updated", {"email": Subject(subject, MAIL)})
    assert emitter.flush(60)
    emitter.close()
    return address


def records(where: str, tenant: str, *types: str) -> list[dict[str, Any]]:
    return open_log(f"{where}#tenant={tenant}").query(*types)


def test_every_chain_at_the_address_says_that_the_key_is_gone(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = records(where, "w-1", "profile.updated")
    for again in (False, True):
        capsys.readouterr()
        assert main(["erase", "u-17", where, "--by", "dpo", "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)
        assert [one["recorded_now"] for one in said["logs"]] == ([] if again else [True, True])
    (one,), (other,) = (records(where, tenant, "audit.erased") for tenant in ("w-1", "w-2"))
    assert (one["user_id"], one["actor_kind"]) == ("dpo", "admin")
    assert one["fields"]["subject"] == before["user_id"]
    assert [record["fields"]["sealed_records"] for record in (one, other)] == [1, 0]
    for tenant in ("w-1", "w-2"):
        assert open_log(f"{where}#tenant={tenant}").verify().exit_status == 0


def test_a_dry_run_names_each_chain_and_changes_nothing(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = records(where, "w-1"), records(where, "w-2")
    assert main(["erase", "u-17", where, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["records"] for one in said["logs"]] == [1, 0]
    assert len({one["log"].rpartition("#chain=")[2] for one in said["logs"]}) == 2
    assert (records(where, "w-1"), records(where, "w-2")) == before


def test_where_no_chain_goes_on_nothing_is_destroyed(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", "u-17", f"{where}#service=other"]) == 3
    assert "no chain goes on in" in capsys.readouterr().err
    assert main(["erase", "u-17", f"{where}#tenant=w-1"]) == 0


def test_what_is_revealed_is_told_to_the_chain_first(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["query", f"{where}#tenant=w-1", "--actor", "u-17", "--reveal"]) == 0
    assert MAIL in capsys.readouterr().out
    (record,) = records(where, "w-1", "audit.revealed")
    assert record["fields"]["values"] == 1
    assert records(where, "w-2", "audit.revealed") == []
