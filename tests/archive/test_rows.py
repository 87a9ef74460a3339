"""A chain in PostgreSQL goes into the archive as ranges of rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import ORIGIN
from support.object_store import Store
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._archive.guard import note
from audit_emit._readers.postgres.pages import GROUP
from audit_emit._signing.trusted_keys import private_pem
from audit_emit.cli import main
from audit_emit.cli._archiving import worker_of
from audit_emit.cli._exit import Exit


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key.pem"
    path.write_text(private_pem(b"\7" * 32))
    path.chmod(0o600)
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = main([*args, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_signed_rows_go_up_in_ranges_and_come_back_as_a_log_that_verifies(
    audited: Database,
    store: Store,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY_FILE", key)
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", ORIGIN)
    monkeypatch.setenv("AUDIT_EMIT_ARCHIVE_BATCH_BYTES", "16384")
    where = audited.as_user("the_writer")
    emitter = Emitter(service="shop", store=where, jsonl="off", stdout=False)
    for number in range(2 * GROUP):  # rows come in groups, and a range ends behind one
        emitter.emit({"user_id": "u-17"}, "secret.set", {"n": number})
    assert emitter.flush(PATIENCE)
    assert main(["checkpoint", where]) == Exit.OK
    status, ran = told(capsys, "archive", "run", where)
    assert status == Exit.OK
    batches = ran["logs"][0]["archived"]
    assert len(batches) > 1
    assert batches[0]["first_seq"] == 1
    assert batches[-1]["last_seq"] >= 2 * GROUP
    status, again = told(capsys, "archive", "run", where)
    assert status == Exit.OK
    emitter.close()
    target = tmp_path / "restored"
    assert main(["archive", "restore", str(target)]) == Exit.OK
    assert main(["verify", str(target)]) == Exit.OK
    assert main(["verify", f"s3://{store.name}/audit"]) == Exit.OK
    assert main(["verify", where, f"s3://{store.name}/audit"]) == Exit.OK
    note(worker_of([where], "", f"s3://{store.name}/audit"), "2026-05-19", "denied")
    status, said = told(capsys, "archive", "status", where)
    assert said["worker"] == {"day": "2026-05-19", "failed": "denied"}
    assert (status, said["highest_archived_seq"]) == (
        Exit.OK,
        again["logs"][0]["highest_archived_seq"],
    )
