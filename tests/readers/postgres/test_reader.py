"""A chain in PostgreSQL, read and verified: what anybody changes in the database shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.postgres_records import draft, drafts, lines_of, only_chain
from support.postgres_server import Database
from support.waiting import PATIENCE, until

from audit_emit import Emitter, open_log
from audit_emit._query.question import Question
from audit_emit._query.search import ask_log, count_log
from audit_emit._readers.base import Block, Flaw
from audit_emit._readers.opening import open_readers
from audit_emit._readers.postgres import pages
from audit_emit._readers.postgres.reader import PostgresReader
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.findings import Report
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.cli import main
from audit_emit.errors import DatabaseError


def chains(database: Database, service: str = "shop") -> Chains:
    return Chains(Address(database.as_user("the_writer")), service=service)


def reader_of(database: Database, chosen: str = "") -> PostgresReader:
    (reader,) = open_readers([database.as_user("the_reader") + chosen])
    assert isinstance(reader, PostgresReader)
    return reader


@pytest.fixture
def filled(audited: Database) -> Database:
    """One chain of 300 records."""
    writer = chains(audited)
    for _ in range(3):
        writer.append(drafts(100))
    writer.close()
    return audited


@pytest.fixture(params=[7, 256])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Records of a group."""
    monkeypatch.setattr(pages, "GROUP", request.param)
    return int(request.param)


def verified(database: Database, **options: Any) -> Report:
    (found,) = verify_paths([database.as_user("the_reader")], Options(**options))
    return found.report


def data_of(blocks: Iterator[Block | Flaw] | Iterator[Block]) -> bytes:
    found = list(blocks)
    assert [block for block in found if isinstance(block, Flaw)] == []
    return b"".join(block.data for block in found if isinstance(block, Block))


def test_the_bytes_are_those_of_the_lines(filled: Database, page: int) -> None:
    text = "".join(f"{line}\n" for line in lines_of(filled)).encode()
    with reader_of(filled) as reader:
        assert data_of(reader.blocks()) == text
        offset = 0
        for block in reader.blocks():
            assert isinstance(block, Block)
            assert block.offset == offset
            offset += len(block.data)


def test_what_follows_a_head_is_all_that_came_after_it(filled: Database, page: int) -> None:
    lines = [f"{line}\n".encode() for line in lines_of(filled)]
    with reader_of(filled) as reader:
        bounds = reader.bounds()
        assert bounds.first is not None
        assert bounds.last is not None
        assert (bounds.first.seq, bounds.last.seq) == (1, 300)
        assert data_of(reader.since(bounds.first)) == b"".join(lines[1:])
        assert data_of(reader.since(bounds.last)) == b""
        with pytest.raises(LookupError):
            data_of(reader.since(bounds.last._replace(hash="0" * 64)))


def test_a_search_gives_the_newest_first(filled: Database) -> None:
    with reader_of(filled) as reader:
        assert reader.search(seq=17).__next__().data == f"{lines_of(filled)[16]}\n".encode()
        blocks = list(reader.search())
        assert len(blocks) == 2
        assert blocks[0].data.count(b"\n") == 50
        assert b"".join(block.data for block in reversed(blocks)) == data_of(reader.blocks())


def test_a_page_anywhere_is_found_by_its_key(filled: Database) -> None:
    lines = [f"{line}\n".encode() for line in lines_of(filled)]
    with reader_of(filled) as reader:
        assert next(reader.newest()).data == b"".join(lines[-50:])
        assert next(reader.newest(201)).data == b"".join(lines[150:200])
        assert b"".join(block.data for block in reversed(list(reader.newest(201)))) == b"".join(
            lines[:200]
        )
        assert list(reader.newest(1)) == []


def test_a_page_of_records_that_have_something(filled: Database) -> None:
    writer = chains(filled)
    writer.append([draft("secret.get", user=f"u-{n % 2}", number=n) for n in range(400)])
    writer.close()
    having = {"event_type": "secret.get", "user_id": "u-1"}
    with reader_of(filled) as reader:
        assert reader.count(having) == 200
        assert reader.count({}) == 700
        assert reader.count({"user_id": "nobody"}) == 0
        found = [json.loads(line)["seq"] for block in reader.newest(0, having)
                 for line in reversed(block.data.splitlines())]  # fmt: skip
        assert found == list(range(700, 300, -2))
        assert list(reader.newest(0, {"user_id": "nobody"})) == []


def test_a_record_whose_user_is_no_text_is_not_passed_over(filled: Database) -> None:
    text = draft().replace('"user_id":"u-17"', '"user_id":17')
    chains(filled).append([text])
    with reader_of(filled) as reader:
        assert reader.count({"user_id": "17"}) is None
        assert b'"user_id":17' in next(reader.newest(0, {"user_id": "17"})).data


@pytest.mark.parametrize("question", [Question(), Question(types=("secret.set",))])
def test_the_newest_are_found_without_reading_the_chain(
    filled: Database, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    block = PostgresReader.newest

    def counted(self: PostgresReader, *arguments: Any) -> Iterator[Block]:
        for one in block(self, *arguments):
            asked.append(one.data.count(b"\n"))
            yield one

    monkeypatch.setattr(PostgresReader, "newest", counted)
    where = filled.as_user("the_reader")
    expected = [line.encode() for line in lines_of(filled)[-5:]]
    assert ask_log(question, where, 5).lines == expected
    assert sum(asked) < 150


def test_columns_are_counted_by_the_database(filled: Database) -> None:
    where = filled.as_user("the_reader")
    assert count_log(Question(types=("secret.set",)), where) == 300
    assert count_log(Question(types=("secret.*",)), where) == 300
    assert count_log(Question(types=("secret.get",)), where) == 0


def test_an_index_finds_the_records_of_a_type(filled: Database) -> None:
    chains(filled).append([draft("secret.get")])
    filled.run("ANALYZE audit_emit.records")
    query = pages._HAVING.format(having=" AND r.event_type = $4", size=50)
    for at, value in enumerate([only_chain(filled), "900", "-infinity", "secret.get"], 1):
        query = query.replace(f"${at}", f"'{value}'")
    plan = "\n".join(row for (row,) in filled.run(f"EXPLAIN {query}"))
    assert "chain_event_type_seq_idx" in plan


def test_it_ends_with_the_last_record_of_a_time(audited: Database) -> None:
    writer = chains(audited)
    second = 10**9
    # The clock of the third was ahead.
    writer.append([draft(ns=1_779_220_800 * second + n * second) for n in (1, 2, 9, 3, 8)])
    lines = lines_of(audited)
    with reader_of(audited) as reader:
        found = data_of(reader.blocks(until=lines[3][7:37]))
    assert found == "".join(f"{line}\n" for line in lines[:4]).encode()


def test_lines_of_a_megabyte_are_read_page_by_page(audited: Database) -> None:
    writer = chains(audited)
    for _ in range(12):
        writer.append([draft(text="x" * 900_000)])
    text = "".join(f"{line}\n" for line in lines_of(audited)).encode()
    with reader_of(audited) as reader:
        assert data_of(reader.blocks()) == text
        assert max(len(block.data) for block in reader.blocks() if isinstance(block, Block)) < 2**20
    assert verified(audited).exit_status == 0


def test_a_whole_chain_is_good(filled: Database, page: int) -> None:
    report = verified(filled)
    assert report.exit_status == 0
    assert (report.records, report.last_seq) == (300, 300)


def test_records_that_the_copies_cannot_hold_are_good(audited: Database) -> None:
    chains(audited).append(
        [draft(user="a\0b"), draft(user="\ud800"), draft(workspace="w" * 3000), draft(user="ü\n")]
    )
    assert verified(audited).exit_status == 0


def test_each_chain_of_a_database_is_verified(audited: Database) -> None:
    writer = chains(audited)
    writer.append_each({"acme": drafts(2), "umbrella": drafts(2)})
    chains(audited, "billing").append(drafts(1, service="billing"))
    url = audited.as_user("the_reader")
    assert len(verify_paths([url])) == 3
    assert len(verify_paths([f"{url}#service=shop"])) == 2
    assert len(verify_paths([f"{url}#service=shop&tenant=acme"])) == 1
    with pytest.raises(FileNotFoundError):
        verify_paths([f"{url}#service=nobody"])


# What somebody who may do everything does to the tables, and how it is told.

_ANY = "SET session_replication_role = replica; "
_TAMPERED = {
    "a line is changed": ("UPDATE records SET line = replace(line, 'u-17', 'u-18') WHERE seq = 5",
                          "event-hash-mismatch"),
    "a line is changed and its hash, too": (
        ("UPDATE records SET line = replace(line, 'secret.set', 'secret.get'), hash = sha256('x') "
        "WHERE seq = 5"), "event-hash-mismatch"),
    "a record is deleted": ("DELETE FROM records WHERE seq = 5", "sequence-gap"),
    "the beginning is deleted": ("DELETE FROM records WHERE seq < 5", "missing-segment"),
    "the end is deleted": ("DELETE FROM records WHERE seq > 295", "missing-segment"),
    "everything is deleted": ("DELETE FROM records", "missing-segment"),
    "the end is deleted, and the head set back to it": (
        "DELETE FROM records WHERE seq > 295; UPDATE heads SET seq = 295", "malformed-line"),
    "the head is set back": ("UPDATE heads SET seq = 200", "malformed-line"),
    "the head has another hash": ("UPDATE heads SET hash = sha256('x')", "malformed-line"),
    "the head is deleted": ("DELETE FROM heads", "missing-segment"),
    "two records change places": (
        ("UPDATE records SET seq = seq + 9000 WHERE seq IN (5, 6); "
        "UPDATE records SET seq = 9011 - seq WHERE seq > 9000"),
        "malformed-line"),
    "a record is there twice": (
        ("INSERT INTO records SELECT chain, seq, sealed_on + 400, hash, id, ts, event_type, "
        "workspace_id, user_id, correlation_id, line FROM records WHERE seq = 5"),
        "sequence-duplicate"),
    "a line is two": (("UPDATE records SET line = replace(line, ',\"fields', E',\\n\"fields') "
                      "WHERE seq = 5"), "malformed-line"),
    **{
        f"the column {name} is changed": (f"UPDATE records SET {name} = {value} WHERE seq = 5",
                                          "malformed-line")
        for name, value in [
            ("user_id", "'x'"), ("user_id", "NULL"), ("workspace_id", "'x'"), ("ts", "'x'"),
            ("event_type", "'x.y'"), ("correlation_id", "''"), ("id", "gen_random_uuid()"),
            ("id", "NULL"), ("hash", "sha256('x')"), ("seq", "5000"), ("user_id", "E'u-17\\x1f'"),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("what", _TAMPERED)
def test_what_a_superuser_changes_is_found(filled: Database, what: str) -> None:
    statements, kind = _TAMPERED[what]
    for table in ("records", "heads"):
        statements = re.sub(rf"\b(UPDATE|FROM|INTO) {table}\b", rf"\1 audit_emit.{table}",
                            statements)  # fmt: skip
    _as_somebody_who_may_do_everything(filled, statements)
    report = verified(filled)
    assert report.exit_status == 1
    assert kind in report.counts


@pytest.mark.parametrize("what", [
    "a line is changed", "the column user_id is changed", "the head is set back",
    "a record is deleted", "everything is deleted",
])  # fmt: skip
def test_what_the_owner_changes_is_found(filled: Database, what: str) -> None:
    """Not a superuser: who owns the tables takes the triggers away, which nothing prevents."""
    statements, kind = _TAMPERED[what]
    for table in ("records", "heads"):
        statements = re.sub(rf"\b(UPDATE|FROM) {table}\b", rf"\1 audit_emit.{table}", statements)
    with psycopg.connect(filled.url) as connection:
        connection.execute("SET ROLE audit_emit_owner")
        connection.execute("ALTER TABLE audit_emit.heads DISABLE TRIGGER USER")
        connection.execute("ALTER TABLE audit_emit.records DISABLE TRIGGER USER")
        for (name,) in connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'audit_emit.records'::regclass"
        ).fetchall():
            connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER".encode())
        connection.execute(statements.encode())
    report = verified(filled)
    assert report.exit_status == 1
    assert kind in report.counts


def test_a_truncation_is_found(filled: Database) -> None:
    _as_somebody_who_may_do_everything(filled, "TRUNCATE audit_emit.records")
    assert "missing-segment" in verified(filled).counts


def _as_somebody_who_may_do_everything(database: Database, statements: str) -> None:
    database.run(_ANY + statements)


def test_a_cut_end_with_a_head_to_match_is_seen_by_who_noted_the_head(filled: Database) -> None:
    noted = {300: json.loads(lines_of(filled)[-1])["hash"]}
    _as_somebody_who_may_do_everything(
        filled,
        "DELETE FROM audit_emit.records WHERE seq > 295; UPDATE audit_emit.heads SET seq = 295, "
        "hash = (SELECT hash FROM audit_emit.records WHERE seq = 295)",
    )
    assert verified(filled).exit_status == 0
    report = verified(filled, heads=noted)
    assert report.exit_status == 1
    assert "truncated" in report.counts


def test_records_of_a_chain_without_a_head_are_found(filled: Database) -> None:
    _as_somebody_who_may_do_everything(
        filled, "UPDATE audit_emit.heads SET chain = repeat('0', 16)"
    )
    found = verify_paths([filled.as_user("the_reader")])
    assert len(found) == 2
    assert {one.report.exit_status for one in found} == {1, 3} or all(
        one.report.exit_status == 1 for one in found
    )


def test_what_is_appended_meanwhile_is_no_finding(filled: Database) -> None:
    with reader_of(filled) as reader:
        blocks = reader.blocks()
        next(blocks)
        chains(filled).append(drafts(3))
        assert [block for block in blocks if isinstance(block, Flaw)] == []


def test_the_command_verifies_a_database(
    filled: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    url = filled.as_user("the_reader")
    assert main(["verify", url]) == 0
    assert f"{url}#chain={only_chain(filled)}" in capsys.readouterr().out
    assert main(["verify", "--from-seq", "100", f"{url}#service=shop"]) == 0
    _as_somebody_who_may_do_everything(
        filled, "UPDATE audit_emit.records SET user_id = 'x' WHERE seq = 5"
    )
    assert main(["verify", url]) == 1
    assert "column user_id of row 5" in capsys.readouterr().out


def test_a_database_that_does_not_answer_is_status_5(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "postgresql://me:hunter2@127.0.0.1:1/x"]) == 5
    assert "hunter2" not in capsys.readouterr().err
    with pytest.raises(DatabaseError):
        open_log("postgresql://me:hunter2@127.0.0.1:1/x").verify()


@pytest.mark.parametrize("command", ["verify", "query"])
def test_a_chain_that_is_not_there_is_said_not_to_be(
    filled: Database, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = filled.as_user("the_reader:hunter2")
    assert main([command, f"{url}#service=none"]) == 3
    said = capsys.readouterr().err
    assert f"there is no such chain in {filled.as_user('the_reader')}" in said
    assert "hunter2" not in said


def test_query_and_the_facade_answer_as_they_do_of_files(
    filled: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    chains(filled).append([draft("secret.deleted", user="mallory")])
    url = filled.as_user("the_reader")
    assert main(["query", "--actor", "mallory", "--format", "jsonl", url]) == 0
    (found_line,) = capsys.readouterr().out.splitlines()
    assert found_line == lines_of(filled)[-1]
    assert main(["export", "--format", "jsonl", url]) == 0
    assert capsys.readouterr().out.split("\n") == [*lines_of(filled), ""]
    log = open_log(url)
    assert [one["seq"] for one in log.records()] == list(range(1, 302))
    (found,) = log.query("secret.deleted")
    assert found["user_id"] == "mallory"
    assert log.verify().exit_status == 0
    head = log.head()
    assert head is not None
    assert head.seq == 301


def test_tail_shows_the_newest_of_all_chains(
    filled: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    chains(filled, "billing").append([draft("bill.sent", service="billing", number=900_000)])
    assert main(["tail", "-n", "2", "--format", "jsonl", filled.as_user("the_reader")]) == 0
    shown = [json.loads(line)["service"] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["shop", "billing"]


def test_tail_goes_on_as_records_come_also_of_chains_that_begin(
    filled: Database, tmp_path: Path
) -> None:
    code = "from audit_emit.cli import _sources, main; _sources.LOOK_SECONDS = 0; main()"
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "tail", "-f", "-n", "1", "--format", "jsonl",
             filled.as_user("the_reader")], stdout=file,
        )  # fmt: skip
    try:
        until(lambda: out.read_text().count("\n") == 1)
        chains(filled).append([draft(number=900_001)])
        chains(filled, "billing").append([draft("bill.sent", service="billing")])
        until(lambda: out.read_text().count("\n") == 3)
    finally:
        process.terminate()
        process.wait(PATIENCE)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["service"], one["seq"]) for one in found[:2]] == [("shop", 300), ("shop", 301)]
    assert found[2]["service"] == "billing"


def test_prove_proves_a_record_of_a_signed_chain(
    audited: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", "00" * 32)
    emitter = Emitter(service="shop", jsonl=str(tmp_path / "log" / "audit.jsonl"), stdout=False)
    for number in range(20):
        emitter.emit(None, "order.placed", {"number": number})
    emitter.close()
    assert main(["ship", str(tmp_path / "log"), "--to", audited.as_user("the_writer")]) == 0
    proof = tmp_path / "proof"
    assert main(["prove", "3", audited.as_user("the_reader"), "--out", str(proof)]) == 0
    assert main(["verify-proof", str(proof)]) == 0
    assert open_log(audited.as_user("the_reader")).checkpoint() is not None
