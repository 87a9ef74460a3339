"""One connection that several readers share."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from support.postgres_server import Database

from audit_emit._readers.postgres.connection import Connection, limit_what_is_unread
from audit_emit._settings.address import Address
from audit_emit.errors import DatabaseError

SERIES = "SELECT int8send(n) FROM generate_series($1::bigint, $2::bigint) AS n"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    made = Connection(Address(database.url)).begin()
    yield made
    made.end()


def numbers(connection: Connection, last: int) -> Iterator[int]:
    return (int.from_bytes(row[0] or b"") for row in connection.stream(SERIES, "1", str(last)))


def test_an_answer_comes_row_by_row(connection: Connection) -> None:
    assert list(numbers(connection, 1000)) == list(range(1, 1001))
    assert list(numbers(connection, 0)) == []
    assert list(connection.stream("SELECT NULL::text, ''::text")) == [[None, b""]]


def test_another_question_ends_an_answer(connection: Connection) -> None:
    first, second = numbers(connection, 100_000), numbers(connection, 5)
    assert next(first) == 1
    assert next(second) == 1
    assert list(first) == []
    assert list(second) == [2, 3, 4, 5]
    third = numbers(connection, 100_000)
    assert next(third) == 1
    assert connection.one("SELECT 7") == (7,)
    assert list(third) == []
    assert connection.all("SELECT 8") == [(8,)]


def test_an_answer_that_fails_in_the_middle_is_an_error(connection: Connection) -> None:
    failing = connection.stream("SELECT (10 / (5 - n))::text FROM generate_series(1, 9) AS n")
    with pytest.raises(DatabaseError, match="division by zero"):
        list(failing)
    assert connection.one("SELECT 7") == (7,)
    with pytest.raises(DatabaseError):
        next(connection.stream("SELECT no_such_column"))
    assert list(numbers(connection, 3)) == [1, 2, 3]


def test_a_connection_that_is_cut_in_the_middle_is_a_database_that_is_away(
    connection: Connection, database: Database
) -> None:
    answer = numbers(connection, 10_000_000)
    assert next(answer) == 1
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'audit_emit reader' AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseError) as error:
        list(answer)
    assert error.value.reason == "database-away"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the buffer stays as it is")
def test_a_server_on_this_machine_sends_little_ahead_but_more_than_one_segment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected = socket.create_connection(server.getsockname())
    with connected:
        limit_what_is_unread(connected.fileno())
        size = connected.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # With less than two TCP may stop between any two of them until a timer runs out.
    assert 2 * 65_536 <= size <= 4 * 65_536


def test_a_server_behind_a_socket_of_a_file_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        limit_what_is_unread(ours.fileno())
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before
