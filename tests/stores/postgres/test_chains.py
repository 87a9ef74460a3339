"""Appending to a chain: order, links, what is said of itself, and what the roles allow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.postgres_records import assert_unforked, chains_of, draft, drafts, lines_of, own_record
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit._format.record import head_of
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit.errors import DatabaseError

VECTORS = Path(__file__).parent.parent.parent / "vectors"


def chains(database: Database, user: str = "the_writer", **settings: Any) -> Chains:
    return Chains(Address(database.as_user(user)), service="shop", **settings)


@pytest.fixture(params=["always", "group", "os"])
def writer(audited: Database, request: pytest.FixtureRequest) -> Iterator[Chains]:
    made = chains(audited, durability=request.param)
    yield made
    made.close()


def test_records_are_linked_in_their_order(writer: Chains, audited: Database) -> None:
    first = writer.append(drafts(3))
    second = writer.append(drafts(200))
    assert [one.seq for one in (*first, *second)] == list(range(1, 204))
    lines = lines_of(audited)
    assert [one.line.decode() for one in (*first, *second)] == [f"{line}\n" for line in lines]
    assert_unforked(lines)


def test_what_is_given_back_says_where_each_record_is(writer: Chains) -> None:
    (linked,) = writer.append([draft(number=7)])
    head = head_of(linked.line[:-1])
    assert head is not None
    assert (linked.chain, linked.seq, linked.hash) == (head.chain, head.seq, head.hash)
    assert linked.id == "019ed0b1-7c00-7000-8000-000000000007"
    assert writer.head()[:3] == head[:3]


def test_two_writers_of_one_service_share_one_chain(audited: Database) -> None:
    one, other = chains(audited), chains(audited)
    for _ in range(5):
        one.append(drafts(2))
        other.append(drafts(3))
    assert_unforked(lines_of(audited))
    assert one.head() == other.head()


def test_each_tenant_has_a_chain_of_its_own(writer: Chains, audited: Database) -> None:
    done = writer.append_each({"acme": drafts(2), "umbrella": drafts(3), "": drafts(1)})
    assert {tenant: len(each) for tenant, each in done.items() if isinstance(each, list)} == {
        "acme": 2, "umbrella": 3, "": 1,
    }  # fmt: skip
    for chain, _ in chains_of(audited):
        assert_unforked(lines_of(audited, chain))
    assert len(chains_of(audited)) == 3


def test_two_records_of_one_instant_get_two_times(writer: Chains, audited: Database) -> None:
    same = [draft(ns=1_779_220_800_123_456_789) for _ in range(3)]
    writer.append(same[:2])
    writer.append(same[2:])
    assert_unforked(lines_of(audited))
    times = [line[7:37] for line in lines_of(audited)]
    assert all(one != other for one, other in pairwise(times))


def test_the_columns_are_copies_of_the_line(audited: Database) -> None:
    chains(audited).append([draft(number=12, user="ü\0", workspace="w" * 3000)])
    ((identity, user, workspace, kind),) = audited.run(
        "SELECT id::text, user_id, workspace_id, event_type FROM audit_emit.records"
    )
    assert identity == "019ed0b1-7c00-7000-8000-000000000012"
    assert user == "ü\ufffd"
    assert workspace == "w" * 1024
    assert kind == "secret.set"


def test_a_process_says_once_that_it_has_begun(audited: Database) -> None:
    writer = chains(audited, own=own_record, started=lambda: {"pid": 1})
    done = writer.append(drafts(1))
    assert [b"audit.started" in one.line for one in done] == [True, False]
    assert len(writer.append(drafts(1))) == 1
    other = chains(audited, own=own_record, started=lambda: {"pid": 2})
    assert len(other.append(drafts(1))) == 2
    assert_unforked(lines_of(audited))


def test_golden_vectors_give_the_very_bytes(audited: Database) -> None:
    """What another writer wrote comes out of the database as it was."""
    text = (VECTORS / "five-records.jsonl").read_text(encoding="utf-8")
    expected = text.splitlines()
    head = head_of(expected[0].encode())
    assert head is not None
    audited.run(
        f"SELECT audit_emit.open_chain('shop', '', '{head.chain}')"
    )  # the chain of the vectors
    chains(audited).append([line[: line.rindex(',"chain":"')] for line in expected])
    assert lines_of(audited) == expected


def test_the_first_start_creates_what_is_missing_if_the_role_may(database: Database) -> None:
    writer = Chains(Address(database.url), service="shop")
    assert [one.seq for one in writer.append(drafts(2))] == [1, 2]


def test_a_role_that_may_not_is_told_so(audited: Database, database: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        Chains(Address(database.as_user("the_writer")), service="shop").append(drafts(1))
    assert caught.value.reason == "not-permitted"


def test_an_older_schema_is_told(database: Database) -> None:
    from audit_emit._stores.postgres import schema

    schema.migrate(Address(database.url), until=2)
    with pytest.raises(DatabaseError) as caught:
        Chains(Address(database.url), service="shop").append(drafts(1))
    assert caught.value.reason == "schema-behind"


def test_a_database_of_another_encoding_is_refused(audited: Database) -> None:
    server = audited.server
    server.run(f"CREATE DATABASE {audited.name}l TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(DatabaseError) as caught:
            Chains(Address(server.url(f"{audited.name}l")), service="shop").append(drafts(1))
        assert caught.value.reason == "not-utf8"
    finally:
        server.run(f"DROP DATABASE {audited.name}l")


@pytest.mark.parametrize(
    "level", ["read committed", "repeatable read", "serializable", "read uncommitted"]
)
def test_the_isolation_that_the_database_asks_for_forks_nothing(
    audited: Database, level: str
) -> None:
    audited.run(f"ALTER DATABASE {audited.name} SET default_transaction_isolation = '{level}'")
    one, other = chains(audited), chains(audited)
    for _ in range(3):
        one.append(drafts(2))
        other.append(drafts(2))
    assert_unforked(lines_of(audited))


def test_a_database_that_syncs_nothing_by_default_syncs_what_is_promised(
    audited: Database,
) -> None:
    audited.run(f"ALTER DATABASE {audited.name} SET synchronous_commit = 'off'")
    audited.run(
        "CREATE FUNCTION audit_emit.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_notify('x', current_setting('synchronous_commit')); RETURN NULL; END $$"
    )
    audited.run(
        "CREATE TRIGGER note AFTER INSERT ON audit_emit.records EXECUTE FUNCTION audit_emit.note()"
    )
    import psycopg

    with psycopg.connect(audited.url, autocommit=True) as listener:
        listener.execute("LISTEN x")
        chains(audited, durability="always").append(drafts(1))
        alone, other = chains(audited), chains(audited)
        alone.append(drafts(1))
        other.append(drafts(1))
        alone.append(drafts(1))  # finds that it is not alone: its sync comes after the commit
        seen = [note.payload for note in listener.notifies(timeout=PATIENCE, stop_after=4)]
    assert seen == ["on", "on", "on", "off"]


def test_lines_that_do_not_link_are_refused_by_the_database(audited: Database) -> None:
    from audit_emit._stores.postgres.rows import APPEND, UnlinkedRow, arguments, link

    writer = chains(audited)
    head = writer.head()
    rows = link([UnlinkedRow.of(one) for one in drafts(3)], head)
    wrong = {
        "another seq": [rows[1]],
        "out of order": [rows[0], rows[2]],
        "a hash that is not the line's": [rows[0]._replace(hash="0" * 64)],
        "two lines in one": [rows[0]._replace(line=rows[0].line.replace(",", ",\n", 1))],
        "another chain": [r._replace(line=r.line.replace(head.chain, "0" * 16)) for r in rows[:1]],
    }
    import psycopg

    with psycopg.connect(audited.as_user("the_writer"), autocommit=True) as connection:
        for what, each in wrong.items():
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(APPEND, arguments(head, each, is_async=False))
            assert lines_of(audited) == [], what
    writer.append(drafts(1))


def test_a_line_of_a_megabyte_goes_in(audited: Database) -> None:
    (linked,) = chains(audited).append([draft(text="x" * 1_000_000)])
    assert lines_of(audited) == [linked.line.decode()[:-1]]
