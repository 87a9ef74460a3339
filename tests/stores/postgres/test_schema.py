"""The migrations: which run, which are refused, what each role may do afterwards."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from support.postgres_records import assert_unforked, drafts, lines_of
from support.postgres_server import Database, programs
from support.waiting import PATIENCE, until

from audit_emit import open_log
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.rows import Head, UnlinkedRow, link
from audit_emit.errors import DatabaseError


def _state(database: Database) -> schema.State:
    return schema.look(Address(database.url))


def test_an_empty_database_has_everything_pending(database: Database) -> None:
    found = _state(database)
    assert found.applied == 0
    assert [m.number for m in found.pending] == [m.number for m in schema.migrations()]


def test_migrations_run_once_and_leave_nothing_pending(database: Database) -> None:
    assert schema.migrate(Address(database.url)) == list(schema.migrations())
    assert schema.migrate(Address(database.url)) == []
    assert _state(database).is_current


def test_two_that_migrate_at_once_do_each_migration_once(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: schema.migrate(Address(database.url)), range(4)))
    assert sorted(len(each) for each in done) == [0, 0, 0, len(schema.migrations())]


@pytest.mark.parametrize("first", [m.number for m in schema.migrations()])
def test_each_migration_can_be_brought_up_to_date(database: Database, first: int) -> None:
    schema.migrate(Address(database.url), until=first)
    schema.migrate(Address(database.url))
    assert _state(database).is_current


OLD_APPEND = """SELECT appended FROM audit_emit.append(
    %b, %b::bigint, %b, false, %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[])"""
"""What writers of a build before migration 7 call."""


def _append_as_before(database: Database, many: int) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        opened = connection.execute(
            "SELECT chain, seq, hash, ts, kind FROM audit_emit.open_chain('shop', '', %s)",
            ["0123456789abcdef"],
        ).fetchone()
        assert opened is not None
        head = Head.of(opened)
        rows = link([UnlinkedRow.of(text) for text in drafts(many)], head)
        lines = [row.line[:-1] for row in rows]
        hashes = [bytes.fromhex(row.hash) for row in rows]
        copies = map(list, zip(*(row.copies for row in rows), strict=True))
        values = [head.chain, head.seq, bytes.fromhex(head.hash), lines, hashes, *copies]
        assert connection.execute(OLD_APPEND, values).fetchone() == (True,)


@pytest.mark.parametrize("first", [m.number for m in schema.migrations() if m.number >= 3])
def test_a_chain_of_an_older_schema_goes_on_in_the_newest(database: Database, first: int) -> None:
    """What was appended through the function of that schema stays, and what follows links to it.

    A replica of the build before, which does not know of the new schema, appends meanwhile.
    """
    schema.migrate(Address(database.url), until=first)
    _append_as_before(database, 3)
    before = lines_of(database)
    schema.migrate(Address(database.url))
    writer = Chains(Address(database.url), service="shop")
    assert [one.seq for one in writer.append(drafts(2))] == [4, 5]
    _append_as_before(database, 2)
    assert [one.seq for one in writer.append(drafts(1))] == [8]
    writer.close()
    assert lines_of(database)[:3] == before
    assert_unforked(lines_of(database))
    assert open_log(database.url).verify().exit_status == 0


@pytest.mark.parametrize("first", [m.number for m in schema.migrations()][:-1])
def test_a_schema_that_was_brought_up_to_date_is_that_of_a_new_database(
    database: Database, audited: Database, first: int
) -> None:
    schema.migrate(Address(database.url), until=first)
    schema.migrate(Address(database.url))
    assert _dumped(database) == _dumped(audited)


def _dumped(database: Database) -> list[str]:
    done = subprocess.run(
        # A month may begin between the making of the two: their partitions are left out.
        [f"{programs()}/pg_dump", "-s", "-n", "audit_emit", "-T", "audit_emit.records_2*",
         database.url],
        capture_output=True, check=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    # pg_dump begins and ends with a word that is another one each time.
    return [line for line in done.stdout.splitlines() if "restrict " not in line]


def test_a_migration_that_somebody_changed_is_told_and_nothing_is_run(database: Database) -> None:
    schema.migrate(Address(database.url), until=2)
    database.run("UPDATE audit_emit.migrations SET sha256 = repeat('0', 64) WHERE number = 1")
    assert [m.number for m in _state(database).differing] == [1]
    with pytest.raises(DatabaseError) as caught:
        schema.migrate(Address(database.url))
    assert caught.value.reason == "migrations-differ"
    assert _state(database).applied == 2


def test_a_newer_database_is_said_to_be_newer(database: Database) -> None:
    schema.migrate(Address(database.url))
    database.run("INSERT INTO audit_emit.migrations VALUES (99, 'later', repeat('0', 64))")
    found = _state(database)
    assert found.unknown == [99]
    assert found.is_current


def test_the_script_does_what_the_command_does(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(schema.as_sql().encode())
    assert _state(database).is_current
    assert schema.migrate(Address(database.url)) == []


@pytest.mark.parametrize("way", ["command", "script"])
def test_a_path_of_the_database_lends_the_schema_no_function_of_somebody_else(
    database: Database, way: str
) -> None:
    database.run(
        "CREATE SCHEMA other; "
        "CREATE FUNCTION other.now() RETURNS timestamptz "
        "LANGUAGE sql AS 'SELECT pg_catalog.now()'; "
        "DO $$ BEGIN EXECUTE format("
        "'ALTER DATABASE %I SET search_path = other, pg_catalog', current_database()); END $$"
    )
    if way == "command":
        schema.migrate(Address(database.url))
    else:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(schema.as_sql().encode())
    database.run("DROP FUNCTION other.now()")  # refused while a default of a column calls it
    assert _state(database).is_current


def test_everything_belongs_to_a_role_that_nobody_logs_in_as(audited: Database) -> None:
    owners = audited.run(
        "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'audit_emit' UNION "
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc "
        "WHERE pronamespace = 'audit_emit'::regnamespace"
    )
    assert owners == [("audit_emit_owner",)]


_REFUSED = [
    f"{verb} audit_emit.{table}{rest}"
    for table in ("records", "records_rest", "heads", "checkpoints", "migrations", "outbox")
    for verb, rest in [
        ("DELETE FROM", ""),
        ("TRUNCATE", ""),
        ("UPDATE", " SET " + ("name = ''" if table == "migrations" else "service = ''"
         if table in {"heads", "outbox"} else "line = ''")),
    ]
]  # fmt: skip


@pytest.mark.parametrize("statement", _REFUSED)
@pytest.mark.parametrize("user", ["the_writer", "the_reader", "the_pruner"])
def test_no_role_changes_what_is_there(audited: Database, user: str, statement: str) -> None:
    with (
        psycopg.connect(audited.as_user(user)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        f"{verb} audit_emit.{table}{rest}"
        for table in ("records", "records_rest", "checkpoints")
        for verb, rest in [
            ("DELETE FROM", ""),
            ("TRUNCATE", ""),
            ("UPDATE", " SET line = ''"),
        ]
    ]
    + ["DELETE FROM audit_emit.heads", "TRUNCATE audit_emit.heads"],
)
def test_not_even_the_owner_changes_what_is_there_by_mistake(
    audited: Database, statement: str
) -> None:
    with psycopg.connect(audited.url) as connection:
        connection.execute("SET ROLE audit_emit_owner")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only appended to"):
            connection.execute(statement.encode())


def test_not_even_the_owner_moves_a_head_backward_by_mistake(audited: Database) -> None:
    writer = Chains(Address(audited.as_user("the_writer")), service="shop")
    writer.append(drafts(3))
    writer.close()
    other = "decode(repeat('11', 32), 'hex')"
    backward = ["seq = 2", f"hash = {other}", "pruned_seq = -1", "chain = '0000000000000000'",
                "service = 'x'", "tenant = 'x'"]  # fmt: skip
    before = audited.run("SELECT * FROM audit_emit.heads")
    with psycopg.connect(audited.url, autocommit=True) as connection:
        connection.execute("SET ROLE audit_emit_owner")
        for change in backward:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only moves forward"):
                connection.execute(f"UPDATE audit_emit.heads SET {change}".encode())
        assert audited.run("SELECT * FROM audit_emit.heads") == before
        connection.execute("UPDATE audit_emit.heads SET kind = 'ended'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only moves forward"):
            connection.execute("UPDATE audit_emit.heads SET kind = 'live'")
        connection.execute(f"UPDATE audit_emit.heads SET seq = 4, hash = {other}".encode())


def test_a_partition_that_is_made_later_is_guarded_too(audited: Database) -> None:
    audited.run("SELECT audit_emit.ensure_partitions(12)")
    unguarded = audited.run(
        "SELECT c.oid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'audit_emit.records'::regclass AND NOT EXISTS "
        "(SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'no_change')"
    )
    assert unguarded == []
    (partitions,) = audited.run(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_emit.records'::regclass"
    )
    # One more when a month has begun since the schema was made.
    assert partitions in {(14,), (15,)}


def test_two_that_make_the_partitions_at_once_do_not_hinder_each_other(audited: Database) -> None:
    (newest,) = audited.run("SELECT max(name) FROM audit_emit.months()")
    audited.run(f"ALTER TABLE audit_emit.records DETACH PARTITION audit_emit.{newest[0]}")
    audited.run(f"DROP TABLE audit_emit.{newest[0]}")
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' "
        f"AND database = (SELECT oid FROM pg_database WHERE datname = '{audited.name}')"
    )
    ensure = "SELECT audit_emit.ensure_partitions(4)"
    with (
        psycopg.connect(audited.as_user("the_writer")) as first,
        psycopg.connect(audited.as_user("the_writer"), autocommit=True) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute(ensure)
        other = pool.submit(lambda: second.execute(ensure).fetchone())
        until(lambda: audited.run(waiting) == [(1,)])
        first.commit()
        assert other.result(PATIENCE) == (0,)


def test_months_are_found_whatever_the_style_of_dates(audited: Database) -> None:
    found = audited.run("SELECT name FROM audit_emit.months()")
    audited.run(f"ALTER DATABASE {audited.name} SET datestyle = 'German'")
    assert audited.run("SELECT name FROM audit_emit.months()") == found


def test_a_reader_may_not_append(audited: Database) -> None:
    with (
        psycopg.connect(audited.as_user("the_reader")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT audit_emit.open_chain('s', '', '0123456789abcdef')")
