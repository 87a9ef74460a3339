"""Rows in the order of their numbers, from either end, whatever their numbers and sizes are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.postgres_records import draft, drafts, only_chain
from support.postgres_server import Database

from audit_emit._readers.postgres import pages
from audit_emit._readers.postgres.connection import Connection
from audit_emit._readers.postgres.pages import LAST, Page, Rows
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains

_SEQ = re.compile(rb'"seq":([0-9]+),"prev_hash":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"}\n')
MANY = 700


@pytest.fixture
def filled(audited: Database) -> Database:
    """A chain of 700 records, of which 100, 300 and 301 are long."""
    chains = Chains(Address(audited.as_user("the_writer")), service="shop")
    for begin in range(1, MANY + 1, 100):
        chains.append([draft(text="x" * (9000 if n in {100, 300, 301} else 1))
                       for n in range(begin, begin + 100)])  # fmt: skip
    chains.close()
    return audited


@pytest.fixture
def connection(filled: Database) -> Iterator[Connection]:
    made = Connection(Address(filled.as_user("the_reader"))).begin()
    yield made
    made.end()


@pytest.fixture(params=[7, 256])
def group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pages, "GROUP", request.param)
    return int(request.param)


def tampered(database: Database, statement: str) -> None:
    database.run("SET session_replication_role = replica; " + statement)


def rows_of(database: Database, connection: Connection, *, compare: bool = True) -> Rows:
    return Rows(connection, only_chain(database), compare=compare)


def numbers(found: Iterator[Page]) -> list[int]:
    return [int(seq) for page in found for seq in _SEQ.findall(page.lines)]


def backward(found: Iterator[Page]) -> list[int]:
    return [int(seq) for page in found for seq in reversed(_SEQ.findall(page.lines))]


@pytest.mark.parametrize("compare", [True, False])
def test_both_ways_give_every_record_once(
    filled: Database, connection: Connection, group: int, *, compare: bool
) -> None:
    rows = rows_of(filled, connection, compare=compare)
    every = list(range(1, MANY + 1))
    assert numbers(rows.forward(0, LAST)) == every
    assert backward(rows.backward(0, MANY, 50)) == every[::-1]
    assert numbers(rows.forward(298, 303)) == [299, 300, 301, 302, 303]
    assert backward(rows.backward(298, 303)) == [303, 302, 301, 300, 299]
    assert numbers(rows.forward(MANY, LAST)) == []
    assert [page.differences for page in rows.forward(0, LAST) if page.differences] == []


def test_two_readers_of_a_connection_do_not_disturb_each_other(
    filled: Database, connection: Connection, group: int
) -> None:
    rows = rows_of(filled, connection)
    ways = [rows.forward(0, LAST), rows.forward(0, LAST), rows.backward(0, MANY)]
    found: list[list[Page]] = [[], [], []]
    left = [0, 1, 2]
    while left:
        for at in list(left):
            page = next(ways[at], None)
            if page is None:
                left.remove(at)
            else:
                found[at].append(page)
    every = list(range(1, MANY + 1))
    assert numbers(iter(found[0])) == every
    assert numbers(iter(found[1])) == every
    assert backward(iter(found[2])) == every[::-1]


def test_numbers_far_apart_are_found_without_a_look_at_those_between(
    filled: Database, connection: Connection, group: int
) -> None:
    tampered(filled, f"UPDATE audit_emit.records SET seq = {LAST} WHERE seq = 600; "
                     "DELETE FROM audit_emit.records WHERE seq BETWEEN 5 AND 560")  # fmt: skip
    rows = rows_of(filled, connection)
    left = [*range(1, 5), *range(561, 600), *range(601, 701)]
    assert numbers(rows.forward(0, LAST)) == [*left, 600]
    assert backward(rows.backward(0, LAST)) == [*left, 600][::-1]


def test_a_number_that_is_there_more_often_than_a_group_is_large(
    filled: Database, connection: Connection, group: int
) -> None:
    tampered(
        filled,
        """
        INSERT INTO audit_emit.records SELECT chain, seq, sealed_on + n, hash, id, ts, event_type,
          workspace_id, user_id, correlation_id, line
        FROM audit_emit.records, generate_series(400, 799) AS n WHERE seq = 200""",
    )
    rows = rows_of(filled, connection)
    every = [*range(1, 200), *[200] * 401, *range(201, MANY + 1)]
    assert numbers(rows.forward(0, LAST)) == every
    assert backward(rows.backward(0, MANY)) == every[::-1]


def test_what_columns_say_otherwise_is_said_of_its_row_only(
    filled: Database, connection: Connection, group: int
) -> None:
    tampered(filled, "UPDATE audit_emit.records SET user_id = 'x' WHERE seq IN (5, 300)")
    rows = rows_of(filled, connection)
    found = [one for page in rows.forward(0, LAST) for one in page.differences]
    assert found == [
        "column user_id of row 5 says 'x', its line says 'u-17'",
        "column user_id of row 300 says 'x', its line says 'u-17'",
    ]
    assert numbers(rows.forward(0, LAST)) == list(range(1, MANY + 1))


def test_many_long_lines_are_no_large_page(filled: Database, connection: Connection) -> None:
    chains = Chains(Address(filled.as_user("the_writer")), service="shop")
    for _ in range(5):
        chains.append(drafts(1, text="x" * 900_000))
    chains.close()
    rows = rows_of(filled, connection)
    found = [len(page.lines) for page in rows.forward(0, LAST)]
    assert max(found) < 3 << 20
    assert numbers(rows.forward(0, LAST)) == list(range(1, MANY + 6))
