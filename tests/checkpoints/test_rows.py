"""The chains of a database are signed, and what was cut off or written anew is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.postgres_records import assert_unforked, drafts, lines_of
from support.postgres_server import Database
from support.waiting import PATIENCE, until

from audit_emit import open_log
from audit_emit._checkpoints.notes import HANDOVER
from audit_emit._checkpoints.rows import RowsCheckpointer
from audit_emit._checkpoints.signer_state import state_of
from audit_emit._format.signed_note import Note
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main
from audit_emit.cli._signed_rows import Attempt, RowsSigner
from audit_emit.errors import DatabaseError
from audit_emit.log import KeyRing

KEY = "00" * 32
_ANY = "SET session_replication_role = replica; "


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", KEY)


@pytest.fixture
def filled(audited: Database) -> Database:
    writer = Chains(Address(audited.as_user("the_writer")), service="shop")
    writer.append(drafts(150))
    return audited


def append(database: Database, many: int) -> None:
    Chains(Address(database.as_user("the_writer")), service="shop").append(drafts(many))


def sign(database: Database, *options: str) -> int:
    return main(["checkpoint", database.as_user("the_writer"), *options])


def test_what_is_there_is_signed_and_the_chain_says_so(filled: Database) -> None:
    assert sign(filled) == 0
    assert len(lines_of(filled)) == 151
    assert '"audit.checkpoint"' in lines_of(filled)[-1]
    report = open_log(filled.as_user("the_reader"), keys=[KEY]).verify()
    assert report.exit_status == 0
    assert report.anchored_seq == 150


def test_what_came_since_is_signed_the_next_time(
    filled: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(filled) == 0
    assert sign(filled) == 0
    assert "nothing new" in capsys.readouterr().out
    append(filled, 7)
    assert sign(filled) == 0
    assert open_log(filled.as_user("the_reader"), keys=[KEY]).verify().anchored_seq == 158
    assert_unforked(lines_of(filled))


def test_each_chain_is_signed(filled: Database) -> None:
    writer = Chains(Address(filled.as_user("the_writer")), service="billing")
    writer.append(drafts(3, service="billing"))
    writer.append(drafts(3, service="billing"), "acme")
    assert sign(filled) == 0
    assert filled.run("SELECT count(*) FROM audit_emit.checkpoints") == [(3,)]
    found = verify_paths([filled.as_user("the_reader")])
    assert len(found) == 3


@pytest.mark.parametrize(
    "statement",
    [
        (
            "DELETE FROM audit_emit.records WHERE seq > 100; "
            "UPDATE audit_emit.heads SET seq = 100, "
            "hash = (SELECT hash FROM audit_emit.records WHERE seq = 100)"
        ),
        "UPDATE audit_emit.records SET line = replace(line, 'u-17', 'u-18') WHERE seq = 155",
        "UPDATE audit_emit.records SET user_id = 'mallory' WHERE seq = 155",
        "DELETE FROM audit_emit.records WHERE seq = 155",
    ],
)
def test_a_chain_that_was_changed_is_not_signed(filled: Database, statement: str) -> None:
    assert sign(filled) == 0
    append(filled, 20)
    filled.run(_ANY + statement)
    assert sign(filled) == 1
    assert filled.run("SELECT count(*) FROM audit_emit.checkpoints") == [(1,)]


def test_a_cut_end_is_seen_by_whoever_verifies(filled: Database) -> None:
    assert sign(filled) == 0
    filled.run(
        _ANY + "DELETE FROM audit_emit.records WHERE seq > 100; UPDATE audit_emit.heads SET "
        "seq = 100, hash = (SELECT hash FROM audit_emit.records WHERE seq = 100)"
    )
    report = open_log(filled.as_user("the_reader"), keys=[KEY]).verify()
    assert report.exit_status == 1
    assert "truncated" in report.counts


def test_a_lost_state_signs_nothing_until_it_is_told_to(filled: Database, tmp_path: Path) -> None:
    state = tmp_path / "signer" / "state"
    assert sign(filled, "--state", str(state)) == 0
    state.unlink()
    append(filled, 3)
    assert sign(filled, "--state", str(state)) == 1
    assert sign(filled, "--state", str(state), "--first") == 0


def test_watching_signs_as_the_chains_grow(filled: Database, tmp_path: Path) -> None:
    code = (
        "from audit_emit.cli import _signed_rows, main; _signed_rows.THRESHOLD = 5; "
        "raise SystemExit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "checkpoint", "--watch", filled.as_user("the_writer")],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
    )
    try:
        until(lambda: filled.run("SELECT count(*) FROM audit_emit.checkpoints") == [(1,)])
        append(filled, 6)
        until(lambda: filled.run("SELECT count(*) FROM audit_emit.checkpoints") == [(2,)])
        append(filled, 2)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert process.returncode == 0
    report = open_log(filled.as_user("the_reader"), keys=[KEY]).verify()
    assert report.exit_status == 0
    assert report.unanchored == 0


def _pem(path: Path) -> str:
    assert main(["keygen", "--out", str(path)]) == 0
    return str(path)


def test_every_chain_is_handed_over_to_another_key(
    filled: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who trusts the old key follows to the new one; what failed for a chain is done again."""
    writer = Chains(Address(filled.as_user("the_writer")), service="shop")
    writer.append(drafts(3), "acme")
    old, new = _pem(tmp_path / "old.pem"), _pem(tmp_path / "new.pem")
    assert sign(filled, "--key", old) == 0
    vkeys = re.findall(r"verifier key (\S+)", capsys.readouterr().out)
    assert len(vkeys) == 2
    append(filled, 3)
    tenant = filled.as_user("the_writer") + "#tenant=acme"
    assert main(["checkpoint", tenant, "--key", old, "--rotate-to", new]) == 0
    assert sign(filled, "--key", old, "--rotate-to", new) == 0, "one of them has it already"
    for one in filled.run("SELECT DISTINCT chain FROM audit_emit.checkpoints"):
        note = Note.from_bytes((Path(state_of(one[0])).parent / HANDOVER).read_bytes())
        assert len(note.signatures) == 2, "a witness that knows the old key can go on with it"
    assert sign(filled, "--key", old) == 2
    assert capsys.readouterr().err.count("put the newest key last") == 2
    append(filled, 3)
    assert sign(filled, "--key", new) == 0
    found = verify_paths([filled.as_user("the_reader")], Options(KeyRing.from_sources(vkeys)))
    assert [one.report.exit_status for one in found] == [0, 0]
    assert [one.report.unanchored for one in found] == [0, 0]


def test_a_key_that_cannot_follow_is_told_before_anything_is_signed(
    filled: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = _pem(tmp_path / "old.pem")
    assert sign(filled, "--key", old, "--rotate-to", old) == 2
    assert "the same" in capsys.readouterr().err
    assert sign(filled, "--key", old, "--rotate-to", str(tmp_path / "none")) == 2
    assert filled.run("SELECT count(*) FROM audit_emit.checkpoints") == [(0,)]


def test_the_newest_checkpoint_is_printed_as_a_note(
    filled: Database, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    key = _pem(tmp_path / "key.pem")
    capsysbinary.readouterr()
    assert sign(filled, "--key", key, "--note") == 0
    made = capsysbinary.readouterr().out
    assert made.split(b"\n")[1] == b"150"
    assert sign(filled, "--key", key, "--note") == 0
    assert capsysbinary.readouterr().out == made


def test_who_watches_looks_only_at_chains_that_have_grown_over_one_connection(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    run = RowsCheckpointer.run

    def noted(self: RowsCheckpointer, *arguments: Any, **due: Any) -> Any:
        looked.append(1)
        return run(self, *arguments, **due)

    monkeypatch.setattr(RowsCheckpointer, "run", noted)
    signer = RowsSigner(filled.as_user("the_writer"), [], None, state="", first=False)
    due: list[Attempt] = [("threshold", {"at_least": 5}), ("interval", {"not_within": 300.0})]
    assert [one.made is not None for one in signer.sign(due, grown=True)] == [True]
    assert [one.made for one in signer.sign(due, grown=True)] == [None], "it has the checkpoint now"
    before = len(looked)
    assert signer.sign(due, grown=True) == []
    assert len(looked) == before
    append(filled, 6)
    assert [one.made is not None for one in signer.sign(due, grown=True)] == [True]
    filled.run(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE application_name = 'audit_emit reader' AND datname = current_database()"
    )
    with pytest.raises(DatabaseError):
        signer.sign(due, grown=True)
    assert [one.status for one in signer.sign(due, grown=True)] == [0]
    signer.close()
