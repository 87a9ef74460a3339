"""Four processes append to one chain at once: the ways that fork it, and ours, which does not."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from support.postgres_records import assert_unforked, drafts, lines_of
from support.postgres_server import Database
from support.waiting import PATIENCE, until

from audit_emit._settings.address import Address
from audit_emit._stores.postgres.chains import Chains

PROCESSES = 4
APPENDS = 25
_SPAWN = multiprocessing.get_context("spawn")
_TAIL = "SELECT seq, hash FROM naive ORDER BY seq DESC LIMIT 1"


_LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


def _in_processes(work: Callable[..., Any], *arguments: Any, many: int = PROCESSES) -> None:
    barrier = _SPAWN.Barrier(many)
    started = [_SPAWN.Process(target=work, args=(barrier, *arguments, n)) for n in range(many)]
    for process in started:
        process.start()
    for process in started:
        process.join(PATIENCE)
        assert process.exitcode == 0


def _naive(barrier: Any, url: str, way: str, level: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT 1")
        barrier.wait(PATIENCE)
        for at in range(APPENDS):
            _append_naively(connection, way, level, f"{number}-{at}")


def _append_naively(connection: Any, way: str, level: str, mine: str) -> None:
    insert = (
        "INSERT INTO naive (seq, hash, prev_hash) SELECT coalesce(max(t.seq), 0) + 1, %s, "
        "coalesce((array_agg(t.hash))[1], '') FROM"
    )
    newest = _TAIL
    if way == "tail by the time of the record":
        newest = "SELECT seq, hash FROM naive ORDER BY created_at DESC, hash LIMIT 1"
    for _ in range(1000):
        try:
            if way == "session lock given back before the commit":
                connection.execute("SELECT pg_advisory_lock(1)")
            connection.execute(f"BEGIN ISOLATION LEVEL {level}")
            if way == "lock and tail in one statement":
                connection.execute(
                    f"WITH held AS (SELECT pg_advisory_xact_lock(1)) {insert} held "
                    f"LEFT JOIN ({_TAIL}) t ON true",
                    [mine],
                )
            else:
                if way in {"advisory lock", "tail by the time of the record"}:
                    connection.execute("SELECT pg_advisory_xact_lock(1)")
                tail = f"({newest}{' FOR UPDATE' if way == 'tail for update' else ''}) t"
                connection.execute(f"{insert} {tail}", [mine])
            if way == "session lock given back before the commit":
                connection.execute("SELECT pg_advisory_unlock(1)")
            connection.execute("COMMIT")
        except psycopg.errors.SerializationFailure:
            connection.execute("ROLLBACK")
        else:
            return


@pytest.mark.parametrize(
    ("way", "level"),
    [
        ("no lock", "READ COMMITTED"),
        ("no lock", "REPEATABLE READ"),
        ("tail for update", "READ COMMITTED"),
        ("tail for update", "REPEATABLE READ"),
        ("advisory lock", "REPEATABLE READ"),
        ("lock and tail in one statement", "READ COMMITTED"),
        ("tail by the time of the record", "READ COMMITTED"),
        ("session lock given back before the commit", "READ COMMITTED"),
        ("session lock given back before the commit", "REPEATABLE READ"),
    ],
)
def test_the_obvious_ways_fork(audited: Database, way: str, level: str) -> None:
    """Each is a way in which chains are built elsewhere; this is why ours is another one."""
    # Luck decides when; ours must never, and has no second chance.
    assert any(_forks(audited, way, level) for _ in range(5)), f"{way} did not fork"


def test_an_advisory_lock_forks_nothing_where_each_statement_has_a_snapshot(
    audited: Database,
) -> None:
    """The test above can tell what forks from what does not."""
    assert not _forks(audited, "advisory lock", "READ COMMITTED")


def _forks(database: Database, way: str, level: str) -> list[tuple[Any, ...]]:
    """The records to which more than one links."""
    database.run(
        "DROP TABLE IF EXISTS naive; CREATE TABLE naive (seq bigint, hash text, prev_hash text, "
        "created_at timestamptz DEFAULT now())"
    )
    _in_processes(_naive, database.url, way, level)
    return database.run("SELECT prev_hash, count(*) FROM naive GROUP BY 1 HAVING count(*) > 1")


def _ours(barrier: Any, url: str, durability: str, number: int) -> None:
    writer = Chains(Address(url), service="shop", durability=durability)
    writer.head()
    barrier.wait(PATIENCE)
    seen = Counter[str | None]()
    for at in range(APPENDS):
        batch = drafts(1 + at % 3, number=None, user=f"{number}-{at}")
        batch = [one.replace("-8000-", f"-80{number}0-") for one in batch]
        seen.update(linked.id for linked in writer.append(batch))
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("durability", ["always", "group", "os"])
def test_ours_forks_in_no_durability(audited: Database, durability: str) -> None:
    _in_processes(_ours, audited.as_user("the_writer"), durability)
    _all_are_there_once(audited)


def test_ours_does_not_fork_with_eight_processes(audited: Database) -> None:
    _in_processes(_ours, audited.as_user("the_writer"), "os", many=8)
    _all_are_there_once(audited, many=8)


@pytest.mark.parametrize("level", _LEVELS)
def test_ours_forks_in_no_isolation(audited: Database, level: str) -> None:
    audited.run(f"ALTER DATABASE {audited.name} SET default_transaction_isolation = '{level}'")
    _in_processes(_ours, audited.as_user("the_writer"), "group")
    _all_are_there_once(audited)


@pytest.mark.parametrize("level", _LEVELS)
def test_a_chain_that_another_process_opens_at_this_moment_is_waited_for(
    audited: Database, level: str
) -> None:
    """The first query of two new processes: one inserts the chain, and the other one meets it."""
    audited.run(f"ALTER DATABASE {audited.name} SET default_transaction_isolation = '{level}'")
    writer = Chains(Address(audited.as_user("the_writer")), service="shop")
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(writer.head()))
    waits = (
        "SELECT 1 FROM pg_stat_activity "
        "WHERE application_name = 'audit_emit' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(audited.as_user("the_writer")) as other:
        other.execute("SELECT audit_emit.open_chain('shop', '', '0123456789abcdef')")
        asking.start()
        until(lambda: audited.run(waits))
        other.commit()
        asking.join()
    assert [head.chain for head in found] == ["0123456789abcdef"]
    writer.close()


def _by_hand(barrier: Any, url: str, level: str, number: int) -> None:
    """The functions of the schema, called in a transaction of another isolation."""
    from audit_emit._stores.postgres.rows import APPEND, Head, UnlinkedRow, arguments, link

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT audit_emit.open_chain('shop', '', '0123456789abcdef')")
        barrier.wait(PATIENCE)
        for at in range(APPENDS):
            text = drafts(1, user=f"{number}-{at}")[0].replace("-8000-", f"-80{number}0-")
            appended = False
            while not appended:
                try:
                    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
                    found = connection.execute(
                        "SELECT chain, seq, hash, ts, kind FROM audit_emit.heads"
                    ).fetchone()
                    assert found is not None
                    head = Head.of(found)
                    values = arguments(head, link([UnlinkedRow.of(text)], head), is_async=True)
                    answer = connection.execute(APPEND, values).fetchone()
                    assert answer is not None
                    connection.execute("COMMIT")
                    appended = answer[0]
                except psycopg.errors.SerializationFailure:
                    connection.execute("ROLLBACK")


@pytest.mark.parametrize("level", _LEVELS)
def test_the_functions_fork_in_no_isolation(audited: Database, level: str) -> None:
    _in_processes(_by_hand, audited.as_user("the_writer"), level)
    _all_are_there_once(audited, each=APPENDS)


def _all_are_there_once(database: Database, each: int = 0, many: int = PROCESSES) -> None:
    lines = lines_of(database)
    assert_unforked(lines)
    ids = Counter(identity for (identity,) in database.run("SELECT id FROM audit_emit.records"))
    assert set(ids.values()) == {1}
    each = each or sum(1 + at % 3 for at in range(APPENDS))
    assert len(lines) == many * each
