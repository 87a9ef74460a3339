"""Rows that are archived leave the database, and both are read as one log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import ORIGIN
from support.console_client import client, console
from support.fake_loki import LokiServer
from support.object_store import Store
from support.old_rows import FREELY, append, make_older
from support.postgres_server import Database

from audit_emit import open_log
from audit_emit._objects.bucket import Bucket, Version
from audit_emit._signing.trusted_keys import private_pem
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

OLD, NEW = 150, 30


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "key.pem"
    path.write_text(private_pem(b"\7" * 32))
    path.chmod(0o600)
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY_FILE", str(path))
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", ORIGIN)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AUDIT_EMIT_ARCHIVE_BATCH_BYTES", "16384")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = main([*args, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def archived(audited: Database, store: Store, key: str) -> Database:
    """Old rows and new ones, signed and archived; the batches end within the months."""
    del store, key
    append(audited, OLD)
    make_older(audited)
    append(audited, NEW)
    writer = audited.as_user("the_writer")
    assert main(["checkpoint", writer]) == Exit.OK
    assert main(["archive", "run", writer]) == Exit.OK
    assert main(["checkpoint", writer]) == Exit.OK
    return audited


def prune(capsys: pytest.CaptureFixture[str], database: Database, *more: str) -> tuple[int, Any]:
    return told(capsys, "archive", "prune", database.as_user("the_pruner"), *more)


def seqs(capsys: pytest.CaptureFixture[str], *args: str) -> list[int]:
    capsys.readouterr()
    assert main([*args, "--format", "jsonl"]) == Exit.OK
    return [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]


def test_months_that_are_archived_go_and_the_rest_is_one_log_with_the_archive(
    archived: Database,
    store: Store,
    key: str,
    fake_loki: LokiServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader, where = archived.as_user("the_reader"), f"s3://{store.name}/audit"
    status, would = prune(capsys, archived, "--dry-run")
    assert (status, would["months"]) == (Exit.OK, ["records_202001"])
    status, did = prune(capsys, archived)
    assert (status, did["months"], did["dropped"]) == (Exit.OK, ["records_202001"], True)
    (part,) = did["chains"]
    begin = part["last_seq"] + 1
    assert did["highest_proved_seq"][part["chain"]] >= part["last_seq"]
    assert told(capsys, "verify", reader)[1]["first_seq"] == begin
    status, report = told(capsys, "verify", reader, where)
    assert (status, report["first_seq"]) == (Exit.OK, 1)
    assert report["archive"]["oldest_hot_seq"] == begin
    highest = report["archive"]["highest_archived_seq"]
    assert highest >= begin, "a batch has rows of both sides"
    whole = list(range(1, report["last_seq"] + 1))
    assert seqs(capsys, "query", reader, where) == whole
    assert seqs(capsys, "query", "--where", "seq=3", reader, where) == [3]
    assert seqs(capsys, "query", "--where", f"seq={begin}", reader, where) == [begin]
    assert sorted(seqs(capsys, "tail", "-n", "1000", reader, where)) == whole
    asked = client(console(reader, archive=where))
    page = asked.get("/api/audit/events?limit=200").json()["records"]
    assert [one["seq"] for one in page] == whole[::-1]
    assert open_log(reader, archive=where).verify().first_seq == 1
    for number in ("2", str(begin)):
        assert main(["prove", number, reader, where]) == Exit.OK
        proof = tmp_path / "proof"
        proof.write_text(capsys.readouterr().out)
        assert main(["verify-proof", str(proof), "--key", key]) == Exit.OK
        capsys.readouterr()
    compared = ["reconcile", "--loki", fake_loki.url, "--service", "shop", "--grace", "0s"]
    assert told(capsys, *compared, reader, where)[1]["counts"]["missing-in-loki"] == len(whole)
    append(archived, 5)
    writer = archived.as_user("the_writer")
    assert main(["checkpoint", writer]) == Exit.OK
    status, ran = told(capsys, "archive", "run", writer)
    assert (status, ran["logs"][0]["archived"][0]["first_seq"]) == (Exit.OK, highest + 1)
    assert told(capsys, "verify", "--from-seq", str(begin + 3), reader, where)[0] == Exit.OK
    assert main(["verify", reader, where]) == Exit.OK


def _lost(database: Database, store: Store) -> None:
    del database
    key = next(one for one in store.names() if one.endswith(".jsonl.zst"))
    (found,) = store.client.list_object_versions(Bucket=store.name, Prefix=f"audit/{key}")[
        "Versions"
    ]
    store.delete(key, VersionId=found["VersionId"])


def _of_nobody(database: Database, store: Store) -> None:
    """All manifests are by another key."""
    for key in store.names():
        if key.endswith(".manifest.json"):
            text = store.get(key).replace(b'"signature":"', b'"signature":"AAAA')
            store.delete_for_good(key)
            store.replace(key, text)


def _another_chain(database: Database, store: Store) -> None:
    del store
    database.run(
        FREELY
        + "INSERT INTO audit_emit.heads (chain, service, kind, seq, hash, ts) "
        + "SELECT 'ffffffffffffffff', 'till', 'ended', 1, hash, ts FROM audit_emit.heads; "
        + "INSERT INTO audit_emit.records SELECT 'ffffffffffffffff', seq, sealed_on, hash, id, ts, "
        + "event_type, workspace_id, user_id, correlation_id, line FROM audit_emit.records "
        + "WHERE seq = 1"
    )


@pytest.mark.parametrize(
    ("change", "status"),
    [(_lost, Exit.FINDINGS), (_of_nobody, Exit.OK), (_another_chain, Exit.OK)],
)
def test_a_month_that_the_archive_does_not_have_stays(
    archived: Database,
    store: Store,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Database, Store], None],
    status: Exit,
) -> None:
    change(archived, store)
    found, did = prune(capsys, archived)
    assert (found, did["months"]) == (status, [])
    assert archived.run("SELECT count(*) FROM audit_emit.records WHERE seq = 2") == [(1,)]


def test_rows_that_were_deleted_by_hand_are_excused_by_the_archive_alone(
    archived: Database, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    archived.run(f"{FREELY} DELETE FROM audit_emit.records WHERE seq < 100")
    reader, where = archived.as_user("the_reader"), f"s3://{store.name}/audit"
    assert main(["verify", reader]) == Exit.FINDINGS
    assert main(["verify", reader, where]) == Exit.OK
    archived.run(f"{FREELY} DELETE FROM audit_emit.records WHERE seq = 120")
    assert main(["verify", reader, where]) == Exit.FINDINGS


def test_a_chain_is_archived_on_whose_rows_begin_just_behind_what_is_archived(
    audited: Database, store: Store, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del store, key
    writer = audited.as_user("the_writer")
    append(audited, OLD)
    assert main(["checkpoint", writer]) == Exit.OK
    last = told(capsys, "archive", "run", writer)[1]["logs"][0]["highest_archived_seq"]
    make_older(audited, last)
    append(audited, NEW)
    assert main(["checkpoint", writer]) == Exit.OK
    assert prune(capsys, audited)[1]["chains"][0]["last_seq"] == last
    status, ran = told(capsys, "archive", "run", writer)
    assert status == Exit.OK
    assert ran["logs"][0]["archived"][0]["first_seq"] == last + 1


def test_the_names_in_the_archive_are_asked_for_once_however_many_chains_have_old_rows(
    audited: Database,
    store: Store,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del store, key
    for service in ("shop", "till", "stock"):
        append(audited, NEW, service)
    writer = audited.as_user("the_writer")
    assert main(["checkpoint", writer]) == Exit.OK
    assert main(["archive", "run", writer]) == Exit.OK
    make_older(audited)
    append(audited, NEW)
    assert main(["checkpoint", writer]) == Exit.OK
    versions, asked = Bucket.versions, []

    def spied(bucket: Bucket, below: str = "") -> Iterator[Version]:
        asked.append(below)
        return versions(bucket, below)

    monkeypatch.setattr(Bucket, "versions", spied)
    status, would = prune(capsys, audited, "--dry-run")
    assert (status, len(would["highest_proved_seq"])) == (Exit.OK, 3)
    assert all(would["highest_proved_seq"].values())
    assert asked.count("") == 1


def test_a_chain_that_has_ended_is_archived_and_goes(
    archived: Database, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    archived.run(f"{FREELY} UPDATE audit_emit.heads SET kind = 'ended'")
    append(archived, 3)
    writer = archived.as_user("the_writer")
    status, ran = told(capsys, "archive", "run", writer)
    assert [one["late"][:8] for one in ran["logs"]] == ["record 1", ""], "nobody signs the new one"
    assert main(["checkpoint", writer]) == Exit.OK
    status, ran = told(capsys, "archive", "run", writer)
    assert (status, len(ran["logs"])) == (Exit.OK, 2)
    assert prune(capsys, archived)[1]["months"] == ["records_202001"]
