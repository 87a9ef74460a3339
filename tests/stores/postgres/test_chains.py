"""Appending to a chain: order, links, what is said of itself, and what the roles allow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.postgres_records import assert_unforked, chains_of, draft, drafts, lines_of, own_record
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit._format.chain import ZERO
from audit_emit._format.record import head_of
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.rows import APPEND, UnlinkedRow, arguments, link
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


@pytest.mark.parametrize("held", ["lock_chain", "UPDATE"])
def test_who_keeps_the_lock_of_a_chain_holds_up_no_other_one(
    writer: Chains, audited: Database, held: str
) -> None:
    writer.append_each({"acme": drafts(1), "umbrella": drafts(1)})
    late = drafts(2)
    with psycopg.connect(audited.url) as keeper:
        if held == "UPDATE":
            keeper.execute("UPDATE audit_emit.heads SET kind = kind WHERE tenant = 'acme'")
        else:
            keeper.execute("SELECT audit_emit.lock_chain('shop', 'acme', 'aaaaaaaaaaaaaaaa')")
        for _ in range(2):  # the second time the one that is locked is not even tried
            done = writer.append_each({"acme": late, "umbrella": drafts(1)})
            assert isinstance(done["umbrella"], list)
            assert isinstance(done["acme"], DatabaseError)
            assert done["acme"].reason == "chain-locked"
        assert done.keys() == writer.append_each({"acme": [], "umbrella": []}).keys()
    writer.append_each({"acme": late})
    assert sorted(len(lines_of(audited, chain)) for chain, _ in chains_of(audited)) == [3, 3]
    for chain, _ in chains_of(audited):
        assert_unforked(lines_of(audited, chain))


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
    with psycopg.connect(audited.url, autocommit=True) as listener:
        listener.execute("LISTEN x")
        chains(audited, durability="always").append(drafts(1))
        alone, other = chains(audited), chains(audited)
        alone.append(drafts(1))
        other.append(drafts(1))
        alone.append(drafts(1))  # finds that it is not alone: its sync comes after the commit
        seen = [note.payload for note in listener.notifies(timeout=PATIENCE, stop_after=4)]
    assert seen == ["on", "on", "on", "off"]


def test_what_is_no_batch_of_records_is_refused_by_the_database(audited: Database) -> None:
    writer = chains(audited)
    head = writer.head()
    rows = link([UnlinkedRow.of(one) for one in drafts(3)], head)
    good = arguments(head, rows, is_async=False)
    wrong = {
        "no line": [*good[:4], "", b"", "", "\x1e", "\x1d"],
        "a hash too few": [*good[:5], good[5][:-32], *good[6:]],
        "half a hash more": [*good[:5], good[5] + b"half", *good[6:]],
        "two lines in one": [*good[:4], good[4].replace(",", ",\n", 1), *good[5:]],
        "a copy too few": [*good[:6], good[6].rpartition("\x1e")[0], *good[7:]],
        "no head": [*good[:2], None, *good[3:]],
    }
    with psycopg.connect(audited.as_user("the_writer"), autocommit=True) as connection:
        for what, values in wrong.items():
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(APPEND, values)
            assert lines_of(audited) == [], what
        for other in (head._replace(seq=1), head._replace(hash="1" * 64)):
            values = arguments(other, rows, is_async=False)
            answer = connection.execute(APPEND, values).fetchone()
            assert answer is not None
            assert answer[:3] == (False, "live", 0)
    writer.append(drafts(1))


def test_the_link_is_the_databases_whatever_a_writer_sends(audited: Database) -> None:
    """A line always ends in the place that it has; a wrong hash is for the verifier to find."""
    writer = chains(audited)
    head = writer.head()
    forged = ',"chain":"0000000000000000","seq":99,"prev_hash":"","hash":""'
    row = link([UnlinkedRow.of(draft())], head)[0]
    row = row._replace(body=row.body + forged, hash="1" * 64)
    with psycopg.connect(audited.as_user("the_writer"), autocommit=True) as connection:
        connection.execute(APPEND, arguments(head, [row], is_async=False))
    place = f'"chain":"{head.chain}","seq":1,"prev_hash":"{ZERO}","hash":"{"1" * 64}"}}'
    assert lines_of(audited) == [f"{row.body},{place}"]


def test_a_line_of_less_than_a_mebibyte_goes_in_and_no_longer_one(audited: Database) -> None:
    writer = chains(audited)
    (short,) = writer.append(drafts(1))
    text = draft(text="")
    room = (1 << 20) - 1 - len(text) - (len(short.line) - short.line.index(b',"chain":"') - 1)
    longest = draft(text="x" * room)
    (linked,) = writer.append([longest])
    assert len(linked.line[:-1]) == (1 << 20) - 1
    assert lines_of(audited)[1] == linked.line.decode()[:-1]
    with pytest.raises(DatabaseError) as caught:
        writer.append([draft(text="x" * (room + 1))])
    assert caught.value.reason == "not-linked"
