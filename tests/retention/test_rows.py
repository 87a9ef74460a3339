"""Removing months of a database: which leave, what is said of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.old_rows import FREELY, append, make_older
from support.postgres_server import Database
from support.prunable_log import KEY as KEY_OF_LOG
from support.prunable_log import OTHER, PrunableLog

from audit_emit import open_log
from audit_emit._checkpoints.consistency import prove_consistency
from audit_emit._facade.database import state_of
from audit_emit._format.removal import fields_of
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._verify.findings import Kind
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main

KEY = "6b" * 32
RING = KeyRing([HmacKey(b"k" * 32)])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def sign(database: Database) -> None:
    assert main(["checkpoint", database.as_user("the_writer")]) == 0


@pytest.fixture
def old(audited: Database) -> Database:
    """150 old records and 30 new ones, all signed."""
    append(audited, 150)
    sign(audited)
    make_older(audited)
    append(audited, 30)
    sign(audited)
    return audited


def prune(database: Database, *options: str) -> int:
    return main(["db", "prune", database.as_user("the_pruner"), "--older-than", "90d", *options])


def only(database: Database) -> str:
    (found,) = database.run("SELECT chain FROM audit_emit.heads")
    return str(found[0])


def tables(database: Database) -> set[str]:
    found = database.run(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'audit_emit' AND c.relname LIKE 'records\\_2020%' AND c.relkind = 'r'"
    )
    return {name for (name,) in found}


def test_a_month_leaves_and_the_chain_says_so(
    old: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert prune(old, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["months"] == ["records_202001"]
    assert [(one["last_seq"], one["signed"]) for one in said["chains"]] == [(151, True)]
    log = open_log(old.as_user("the_reader"), keys=[KEY])
    report = log.verify()
    assert (report.exit_status, report.counts) == (0, {Kind.PRUNED: 1})
    assert report.first_seq == 152
    assert report.unanchored == 0
    begins = log.beginning()
    assert (begins.oldest_seq, begins.removed and begins.removed.last_seq) == (152, 151)
    assert tables(old) == {"records_202001"}


def test_with_drop_the_rows_are_gone(old: Database) -> None:
    assert prune(old, "--drop") == 0
    assert tables(old) == set()
    assert open_log(old.as_user("the_reader"), keys=[KEY]).verify().exit_status == 0


def test_a_rehearsal_changes_nothing(old: Database) -> None:
    before = old.run("SELECT count(*), max(seq) FROM audit_emit.records")
    assert prune(old, "--dry-run") == 0
    assert old.run("SELECT count(*), max(seq) FROM audit_emit.records") == before


def test_the_chain_goes_on_is_signed_and_proved(old: Database) -> None:
    assert prune(old) == 0
    append(old, 5)
    sign(old)
    log = open_log(old.as_user("the_reader"), keys=[KEY])
    assert log.verify().exit_status == 0
    assert log.prove(160).judge(RING).verdict == "ok"
    with pytest.raises(LookupError, match="was removed"):
        log.prove(150)
    with open_reader(old.as_user("the_reader")) as reader:
        assert prove_consistency(reader, 181, log.verify().anchored_seq, RING).holds()


def test_a_signer_that_lost_its_state_begins_behind_what_is_gone(old: Database) -> None:
    assert prune(old) == 0
    Path(state_of(only(old))).unlink()
    append(old, 1)
    assert main(["checkpoint", old.as_user("the_writer"), "--first"]) == 0
    assert open_log(old.as_user("the_reader"), keys=[KEY]).verify().exit_status == 0


def test_twice_is_once(old: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(old) == 0
    capsys.readouterr()
    assert prune(old) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_a_month_that_was_detached_by_hand_is_missing(old: Database) -> None:
    old.run("ALTER TABLE audit_emit.records DETACH PARTITION audit_emit.records_202001")
    report = open_log(old.as_user("the_reader"), keys=[KEY]).verify()
    assert report.exit_status == 1
    assert Kind.MISSING_SEGMENT in report.counts or Kind.SEQUENCE_GAP in report.counts


def _unsigned(database: Database) -> None:
    database.run(FREELY + "DELETE FROM audit_emit.checkpoints")


def _held(database: Database) -> None:
    held = ["archive", "hold", "case-7", database.as_user("the_writer")]
    assert main([*held, "--first-seq", "10", "--last-seq", "20"]) == 0


def _another_chain(database: Database) -> None:
    database.run(
        FREELY
        + "INSERT INTO audit_emit.records SELECT 'ffffffffffffffff', seq, sealed_on, hash, id, ts, "
        + "event_type, workspace_id, user_id, correlation_id, line FROM audit_emit.records "
        + "WHERE seq = 1"
    )


def _mixed(database: Database) -> None:
    database.run(
        FREELY + "UPDATE audit_emit.records SET sealed_on = (now() AT TIME ZONE 'UTC')::date "
        "WHERE seq = 100"
    )


@pytest.mark.parametrize("change", [_unsigned, _held, _another_chain, _mixed])
def test_a_month_that_may_not_leave_stays(
    old: Database, change: Callable[[Database], None], capsys: pytest.CaptureFixture[str]
) -> None:
    change(old)
    assert prune(old) == 0
    assert "nothing to remove" in capsys.readouterr().out
    assert old.run("SELECT count(*) FROM audit_emit.months() WHERE name = 'records_202001'") == [
        (1,)
    ]


def test_a_month_leaves_when_its_hold_was_released(
    old: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    _held(old)
    assert main(["archive", "release", "case-7", old.as_user("the_writer")]) == 0
    sign(old)
    assert prune(old) == 0
    assert "nothing to remove" not in capsys.readouterr().out


def test_of_a_chain_that_was_tampered_with_nothing_goes(old: Database) -> None:
    old.run(
        FREELY
        + "UPDATE audit_emit.records SET line = replace(line, 'u-17', 'u-18') WHERE seq = 170"
    )
    assert prune(old) == 1
    assert tables(old) == {"records_202001"}


def test_another_key_removes_nothing(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", f"{KEY} {'6f' * 32}")
    assert prune(old) == 2


@pytest.mark.parametrize("user", ["the_writer", "the_reader"])
def test_only_the_pruner_may(old: Database, user: str) -> None:
    assert main(["db", "prune", old.as_user(user), "--older-than", "90d"]) == 5


def test_a_chain_that_has_ended_is_removed_and_signed_too(old: Database) -> None:
    ended = only(old)
    old.run(FREELY + "UPDATE audit_emit.heads SET kind = 'ended'")
    append(old, 3)
    assert prune(old) == 0
    where = f"{old.as_user('the_reader')}#chain={ended}"
    (found,) = verify_paths([where], Options(ring=RING))
    assert (found.report.exit_status, found.report.unanchored) == (0, 0)
    assert old.run("SELECT count(*) FROM audit_emit.records WHERE event_type = 'audit.pruned'") == [
        (1,)
    ]


def test_writers_go_on_meanwhile(old: Database) -> None:
    append(old, 50, "billing")
    sign(old)
    assert prune(old) == 0
    append(old, 50, "billing")
    append(old, 50)
    found = verify_paths([old.as_user("the_reader")], Options(ring=RING))
    assert [one.report.exit_status for one in found] == [0, 0]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT audit_emit.remove_months(ARRAY['records_202001'], true)",
        "SELECT audit_emit.remove_months(ARRAY['records_rest'], true)",
        "SELECT audit_emit.remove_months(ARRAY['heads'], true)",
        "SELECT audit_emit.append_removal(chain, 150, hash, '{}', hash, NULL, '') FROM h",
        "SELECT audit_emit.append_removal(chain, 150, hash, NULL, hash, NULL, '') FROM h",
        "SELECT audit_emit.append_removal(chain, 9999, hash, NULL, hash, NULL, '') FROM h",
        "DROP TABLE audit_emit.records_202001",
        "DELETE FROM audit_emit.records",
    ],
)
def test_the_role_alone_removes_nothing(old: Database, statement: str) -> None:
    import psycopg

    query = statement.replace("FROM h", "FROM audit_emit.heads").encode()
    with (
        psycopg.connect(old.as_user("the_pruner"), autocommit=True) as connection,
        pytest.raises(psycopg.Error),
    ):
        connection.execute(query)
    assert old.run("SELECT count(*) FROM audit_emit.records WHERE seq = 1") == [(1,)]


def test_a_database_that_is_away_is_status_5() -> None:
    where = "postgresql://127.0.0.1:1/none"
    assert main(["db", "prune", where, "--older-than", "90d"]) == 5


@pytest.mark.parametrize(("key", "status"), [(KEY_OF_LOG, 0), (OTHER, 1)])
def test_rows_that_were_shipped_leave_where_a_key_that_is_given_removed_them_from_their_file(
    audited: Database, tmp_path: Path, key: HmacKey, status: int
) -> None:
    log = PrunableLog(tmp_path / "log", records=300, part=100, ring=KeyRing([key]))
    removal = log.prune(-1, rehearse=True).removal
    assert removal is not None
    log.append("audit.pruned", fields_of(removal))
    log.sign()
    assert main(["ship", "--to", audited.as_user("the_writer"), str(log.path)]) == 0
    make_older(audited, removal.last_seq)
    assert prune(audited) == status
    left = audited.run("SELECT min(seq) FROM audit_emit.records")
    assert left == [(1 if status else removal.last_seq + 1,)]
