"""The database away, killed, cut off, failed over, behind a pooler: what is acknowledged stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cutting_proxy import CuttingProxy
from support.postgres_records import (
    assert_unforked,
    chains_of,
    draft,
    drafts,
    lines_of,
    only_chain,
    own_record,
)
from support.postgres_server import Database, Server, pgbouncer, server
from support.waiting import PATIENCE, until

from audit_emit import Emitter
from audit_emit._settings.address import Address
from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.driver import AWAY
from audit_emit._stores.postgres.sealing import Sealer
from audit_emit._verify.verify import verify_paths
from audit_emit.errors import AuditError, DatabaseError
from audit_emit.outbox import emit_in

_SPAWN = multiprocessing.get_context("spawn")


def chains(url: str, **settings: Any) -> Chains:
    return Chains(Address(url), service="shop", **settings)


@pytest.fixture
def proxy(audited: Database) -> Iterator[CuttingProxy]:
    made = CuttingProxy(audited.server.port)
    yield made
    made.close()


def _ids_are_there_once(database: Database, ids: Sequence[str | None]) -> None:
    there = Counter(i for (i,) in database.run("SELECT id::text FROM audit_emit.records"))
    assert there == Counter(ids)
    assert_unforked(lines_of(database))


@pytest.mark.parametrize("durability", ["always", "group", "os"])
def test_an_answer_that_is_lost_writes_nothing_twice(
    audited: Database, proxy: CuttingProxy, durability: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut after the commit and before its answer; psycopg logs nothing of it."""
    writer = chains(audited.as_user("the_writer", proxy.port), durability=durability)
    sent = [one.id for one in writer.append(drafts(2))]
    for _ in range(3):
        proxy.drop_answers = True
        done = writer.append(drafts(3))
        assert proxy.answered.is_set()
        proxy.answered.clear()
        assert len(done) == 3
        sent += [one.id for one in done]
    _ids_are_there_once(audited, sent)
    assert caplog.messages == []


def test_what_was_sent_is_asked_for_when_the_caller_comes_back(
    audited: Database, proxy: CuttingProxy
) -> None:
    writer = chains(audited.as_user("the_writer", proxy.port))
    writer.append([draft(number=1)])
    batch = [draft(number=2), draft(number=3)]
    proxy.drop_answers = proxy.refuse = True
    with pytest.raises(DatabaseError) as caught:
        writer.append(batch)
    assert caught.value.reason == AWAY
    assert len(lines_of(audited)) == 3
    proxy.refuse = False
    done = writer.append([*batch, draft(number=4)])
    assert [one.seq for one in done] == [2, 3, 4]
    _ids_are_there_once(audited, [f"019ed0b1-7c00-7000-8000-{n:012d}" for n in range(1, 5)])


def test_what_did_not_happen_is_sent_again(audited: Database, proxy: CuttingProxy) -> None:
    writer = chains(audited.as_user("the_writer", proxy.port))
    writer.append([draft(number=1)])
    proxy.refuse = True
    proxy.cut()
    with pytest.raises(DatabaseError):
        writer.append([draft(number=2)])
    proxy.refuse = False
    # Another replica is faster: the place that was meant for it is taken.
    chains(audited.as_user("the_writer")).append([draft(number=3)])
    (again,) = writer.append([draft(number=2)])
    assert again.seq == 3
    _ids_are_there_once(audited, [f"019ed0b1-7c00-7000-8000-{n:012d}" for n in (1, 2, 3)])


def test_a_connection_that_the_server_ended_is_made_anew(audited: Database) -> None:
    writer = chains(audited.as_user("the_writer"))
    writer.append(drafts(1))
    audited.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='the_writer'")
    (linked,) = writer.append(drafts(1))
    assert linked.seq == 2


def test_a_server_that_is_away_is_one_word_without_the_password() -> None:
    with pytest.raises(DatabaseError) as caught:
        chains("postgresql://shop:hunter2@127.0.0.1:1/x").append(drafts(1))
    assert caught.value.reason == AWAY
    assert "hunter2" not in str(caught.value)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Database]:
    """A database whose server asks for passwords."""
    with server() as made:
        database = _own_database(made, "shop")
        made.run("CREATE ROLE shop LOGIN PASSWORD 'hunter2' IN ROLE audit_emit_writer")
        (made.data / "pg_hba.conf").write_text(
            "host all postgres 127.0.0.1/32 trust\nhost shop all 127.0.0.1/32 scram-sha-256\n"
        )
        made.run("SELECT pg_reload_conf()")
        yield database


@pytest.mark.parametrize(
    ("user", "database", "reason"),
    [
        ("shop:hunter3", "shop", "database-login"),
        ("shop", "shop", "database-login"),
        ("nobody:hunter3", "shop", "database-login"),
        ("shop:hunter2", "elsewhere", "database-login"),  # pg_hba.conf has no entry
        ("postgres:hunter3", "elsewhere", "no-database"),
    ],
)
def test_why_a_server_takes_no_connection_is_one_word(
    guarded: Database, user: str, database: str, reason: str
) -> None:
    url = guarded.server.url(database, user)
    with pytest.raises(DatabaseError) as caught:
        chains(url).append(drafts(1))
    assert caught.value.reason == reason
    assert "hunter" not in str(caught.value)


def test_a_role_with_all_of_its_connections_in_use_is_told(guarded: Database) -> None:
    guarded.run("ALTER ROLE shop CONNECTION LIMIT 0")
    try:
        with pytest.raises(DatabaseError) as caught:
            chains(guarded.server.url("shop", "shop:hunter2")).append(drafts(1))
    finally:
        guarded.run("ALTER ROLE shop CONNECTION LIMIT -1")
    assert caught.value.reason == "too-many-connections"


def _emitted(url: str, **settings: Any) -> None:
    emitter = Emitter(service="shop", jsonl="off", stdout=False, **({"store": url} | settings))
    emitter.emit_strict(None, "order.placed", {"n": 1})
    assert emitter.close(PATIENCE)


def test_a_password_file_a_service_and_a_file_with_the_address_work(
    guarded: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = guarded.server.port
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{port}:shop:shop:hunter2\n")
    passwords.chmod(0o600)
    services = tmp_path / "services"
    services.write_text(
        f"[audit]\nhost=127.0.0.1\nport={port}\nuser=shop\ndbname=shop\npassword=hunter2\n"
    )
    address = tmp_path / "address"
    address.write_text(guarded.server.url("shop", "shop:hunter2"))
    with monkeypatch.context() as patched:
        patched.setenv("PGPASSFILE", str(passwords))
        _emitted(guarded.server.url("shop", "shop"))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    _emitted("postgresql://?service=audit")
    with monkeypatch.context() as patched:
        patched.setenv("PGSERVICE", "audit")
        _emitted("postgresql://")
    _emitted(f"postgresql+file://{address}")
    _emitted("", store=None, store_file=address)
    assert len(lines_of(guarded)) == 10


def test_a_full_disk_is_one_word_and_the_record_is_taken_later(audited: Database) -> None:
    audited.run(
        "CREATE FUNCTION audit_emit.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    audited.run(
        "CREATE TRIGGER full_disk BEFORE INSERT ON audit_emit.records "
        "FOR EACH ROW EXECUTE FUNCTION audit_emit.full()"
    )
    writer = chains(audited.as_user("the_writer"))
    batch = drafts(2)
    with pytest.raises(DatabaseError) as caught:
        writer.append(batch)
    assert caught.value.reason == "database-full"
    audited.run("DROP TRIGGER full_disk ON audit_emit.records")
    assert [one.seq for one in writer.append(batch)] == [1, 2]


def test_a_child_process_leaves_its_parents_connection_alone(audited: Database) -> None:
    writer = chains(audited.as_user("the_writer"))
    writer.append([draft(number=1)])
    pid = os.fork()
    if not pid:
        status = 1
        try:
            writer.append([draft(number=2)])
            writer.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    (linked,) = writer.append([draft(number=3)])
    assert linked.seq == 3
    assert_unforked(lines_of(audited))
    backends = audited.run(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'the_writer' AND datname = "
        "current_database() AND backend_start < query_start"
    )
    assert backends[0][0] <= 1


def test_a_pooler_in_transaction_mode_changes_nothing(audited: Database) -> None:
    with pgbouncer(audited.server) as port:
        writers = [
            chains(audited.as_user("the_writer", port), durability=each)
            for each in ("always", "group", "os")
        ]
        emitter = Emitter(service="shop", jsonl="off", stdout=False,
                          store=audited.as_user("the_writer", port))  # fmt: skip
        errors: list[BaseException] = []

        def work(writer: Chains) -> None:
            try:
                for _ in range(15):
                    writer.append(drafts(2))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=[writer]) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        for writer in writers:
            writer.close()
        with psycopg.connect(audited.as_user("the_writer", port), prepare_threshold=None) as other:
            # Nothing of a session is left to the next one.
            assert other.execute("SHOW synchronous_commit").fetchone() == ("on",)
            with other.transaction():
                emit_in(other, None, "order.placed", {}, emitter=emitter)
        sealer = Sealer(Address(audited.as_user("the_writer", port)), own=own_record)
        assert sealer.seal().records == 1
        sealer.close()
        emitter.emit(None, "order.placed", {})
        assert emitter.close(60)
        (found,) = verify_paths([audited.as_user("the_reader", port)])
    assert errors == []
    assert found.report.exit_status == 0
    lines = lines_of(audited)
    assert_unforked(lines)
    assert len(lines) == 93


def _append_until_killed(url: str, durability: str, said: str, number: int) -> None:
    """Append, and note in a file what was acknowledged."""
    writer = Chains(Address(url), service="shop", durability=durability)
    at = 0
    with open(said, "ab", buffering=0) as notes:
        while True:
            batch = [
                draft(number=at * 10 + n).replace("-8000-", f"-80{number}0-") for n in range(5)
            ]
            try:
                done = writer.append(batch)
            except DatabaseError:
                os._exit(0)
            notes.write("".join(f"{one.seq} {one.id}\n" for one in done).encode())
            at += 1


ROUNDS = int(os.environ.get("AUDIT_EMIT_TEST_ROUNDS") or 2)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that these tests kill."""
    with server() as made:
        yield made


def _own_database(made: Server, name: str) -> Database:
    made.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    made.run(f"CREATE DATABASE {name}")
    database = Database(made, name)
    schema.migrate(Address(database.url))
    return database


def _writers(
    database: Database, durability: str, tmp_path: Path, many: int = 2
) -> list[tuple[Any, Path]]:
    started = []
    for number in range(many):
        notes = tmp_path / f"acknowledged-{number}"
        arguments = (database.url, durability, str(notes), number)
        process = _SPAWN.Process(target=_append_until_killed, args=arguments)
        process.start()
        started.append((process, notes))
    for _, notes in started:
        until(lambda n=notes: n.exists() and n.stat().st_size > 2000)  # type: ignore[misc]
    return started


def _acknowledged(notes: Path) -> list[tuple[int, str]]:
    lines = notes.read_text().split("\n")[:-1]
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


@pytest.mark.parametrize("durability", ["always", "group"])
@pytest.mark.parametrize("_round", range(ROUNDS))
def test_kill_9_of_the_server_loses_nothing_acknowledged(
    mortal: Server, tmp_path: Path, durability: str, _round: int
) -> None:
    database = _own_database(mortal, "mortal")
    started = _writers(database, durability, tmp_path)
    mortal.kill()
    for process, _ in started:
        process.join(PATIENCE)
    mortal.start()
    lines = lines_of(database)
    assert_unforked(lines)
    there = dict(database.run("SELECT seq, id::text FROM audit_emit.records"))
    for _, notes in started:
        acknowledged = _acknowledged(notes)
        assert acknowledged
        assert [pair for pair in acknowledged if there.get(pair[0]) != pair[1]] == []
    assert database.run("SELECT seq FROM audit_emit.heads") == [(len(lines),)]


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_kill_9_of_the_server_breaks_no_chain_that_waits_for_nothing(
    mortal: Server, tmp_path: Path, _round: int
) -> None:
    database = _own_database(mortal, "mortal")
    started = _writers(database, "os", tmp_path)
    mortal.kill()
    for process, _ in started:
        process.join(PATIENCE)
    mortal.start()
    assert_unforked(lines_of(database))


@pytest.mark.parametrize("durability", ["always", "group", "os"])
@pytest.mark.parametrize("_round", range(ROUNDS))
def test_kill_9_of_writers_loses_nothing_acknowledged_and_holds_nobody_up(
    audited: Database, tmp_path: Path, durability: str, _round: int
) -> None:
    started = _writers(audited, durability, tmp_path)
    for process, _ in started:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(PATIENCE)
    survivor = chains(audited.as_user("the_writer"))
    survivor.append(drafts(3, workspace="later"))
    lines = lines_of(audited)
    assert_unforked(lines)
    there = dict(audited.run("SELECT seq, id::text FROM audit_emit.records"))
    for _, notes in started:
        assert [p for p in _acknowledged(notes) if there.get(p[0]) != p[1]] == []


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A server and its standby."""
    with server("wal_level=replica", "max_wal_senders=4") as primary:
        standby = Server(["wal_receiver_status_interval=1"])
        try:
            primary.copy_to(standby)
            standby.start()
            yield primary, standby
        finally:
            standby.remove()


def _caught_up(primary: Server) -> Callable[[], bool]:
    return lambda: (
        primary.run(
            "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
        )
        == [(1,)]
    )


def _leave_behind(standby: Server) -> None:
    """From here on the standby gets nothing."""
    standby.run("ALTER SYSTEM SET primary_conninfo = ''")
    standby.run("SELECT pg_reload_conf()")
    until(lambda: standby.run("SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)])


def test_a_standby_that_was_behind_ends_the_chain_and_begins_another(
    pair: tuple[Server, Server],
) -> None:
    primary, standby = pair
    database = _own_database(primary, "shop")
    proxy = CuttingProxy(primary.port)
    try:
        settings: Any = {"own": own_record, "started": lambda: {"pid": 1}}
        writer = chains(primary.url("shop", port=proxy.port), **settings)
        other = chains(primary.url("shop", port=proxy.port), **settings)
        writer.append(drafts(49))
        other.append(drafts(1))
        until(_caught_up(primary))
        _leave_behind(standby)
        writer.append(drafts(90))
        other.append(drafts(10))
        first = only_chain(database)
        primary.stop(signal.SIGQUIT)
        standby.promote()
        proxy.to(standby.port)

        done = writer.append([draft(number=900_001)])
        assert [b"audit.gap" in one.line for one in done] == [True, False]
        assert [one.seq for one in done] == [1, 2]
        later = other.append([draft(number=900_002)])
    finally:
        proxy.close()
    after = Database(standby, "shop")
    assert [kind for _, kind in chains_of(after)] == ["ended", "live"]
    (_, _), (second, _) = chains_of(after)
    assert_unforked(lines_of(after, first))
    assert_unforked(lines_of(after, second))
    gaps = [line for line in lines_of(after, second) if "audit.gap" in line]
    # Each declares what was acknowledged to it: 142 and 152 were, and 52 are left.
    assert [f'"lost":{lost},' in gap for lost, gap in zip((90, 100), gaps, strict=True)] == [
        True, True,
    ]  # fmt: skip
    assert all('"reason":"lost-tail"' in gap and first in gap for gap in gaps)
    assert [one.chain for one in later] == [second, second]


def test_an_emitter_declares_what_a_failover_lost(pair: tuple[Server, Server]) -> None:
    primary, standby = pair
    _own_database(primary, "shop")
    proxy = CuttingProxy(primary.port)
    try:
        emitter = Emitter(service="shop", jsonl="off", stdout=False,
                          store=primary.url("shop", port=proxy.port))  # fmt: skip
        for number in range(20):
            emitter.emit(None, "order.placed", {"n": number})
        assert emitter.flush(PATIENCE)
        until(_caught_up(primary))
        _leave_behind(standby)
        for number in range(20, 30):
            emitter.emit(None, "order.placed", {"n": number})
        assert emitter.flush(PATIENCE)
        primary.stop(signal.SIGQUIT)
        standby.promote()
        proxy.to(standby.port)
        receipt = emitter.emit_strict(None, "order.placed", {"n": 30})
        assert emitter.health()["status"] == "ok"
        assert emitter.close(PATIENCE)
    finally:
        proxy.close()
    after = Database(standby, "shop")
    (first, ended), (second, live) = chains_of(after)
    assert (ended, live) == ("ended", "live")
    assert receipt.chain == second
    (gap,) = [line for line in lines_of(after, second) if "audit.gap" in line]
    assert '"lost":10,' in gap
    assert first in gap
    assert len(lines_of(after, first)) == 21


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_emitter_loses_nothing_while_the_server_is_restarted(mortal: Server, how: str) -> None:
    database = _own_database(mortal, "mortal")
    emitter = Emitter(service="shop", jsonl="off", stdout=False, store=database.url)
    receipts = [emitter.emit_strict(None, "order.placed", {"n": 0})]
    stop = threading.Event()
    emitted = [0]

    def emit() -> None:
        while not stop.wait(0.002):
            emitter.emit(None, "order.placed", {"n": emitted[0]})
            emitted[0] += 1

    emitting = threading.Thread(target=emit)
    emitting.start()
    until(lambda: emitted[0] > 50)
    if how == "killed":
        mortal.kill()
    else:
        mortal.stop()
    until(lambda: emitter.health()["status"] == "failing")
    with pytest.raises(AuditError):
        emitter.emit_strict(None, "order.placed", {"n": -1})
    mortal.start()
    until(lambda: emitter.health()["status"] == "ok")
    receipts.append(emitter.emit_strict(None, "order.placed", {"n": 0}))
    stop.set()
    emitting.join()
    assert emitter.close(PATIENCE)
    lines = lines_of(database)
    assert_unforked(lines)
    assert all(receipt.id in lines[receipt.seq - 1] for receipt in receipts)
    assert len(lines) == 1 + len(receipts) + emitted[0]


def test_a_server_that_hangs_holds_up_nobody_for_long(audited: Database) -> None:
    emitter = Emitter(service="shop", jsonl="off", stdout=False, store=audited.url)
    emitter.emit_strict(None, "order.placed", {"n": 0})
    ((backend,),) = audited.run(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'audit_emit' "
        "AND datname = current_database()"
    )
    os.kill(backend, signal.SIGSTOP)
    try:
        for number in range(1, 50):
            emitter.emit(None, "order.placed", {"n": number})
        assert not emitter.flush(0.2)
        assert not emitter.close(0.2)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert emitter.close(PATIENCE)
    assert len(lines_of(audited)) == 51


@pytest.mark.parametrize("durability", ["always", "group"])
def test_a_wait_for_a_standby_that_is_cancelled_is_no_success(
    pair: tuple[Server, Server], durability: str
) -> None:
    primary, standby = pair
    database = _own_database(primary, "shop")
    primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.run("SELECT pg_reload_conf()")
    writer = chains(database.url, durability=durability)
    writer.append(drafts(1))
    standby.stop()
    outcome: list[Any] = []
    batch = drafts(1)

    def work() -> None:
        try:
            outcome.append(writer.append(batch))
        except DatabaseError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE wait_event = 'SyncRep' AND application_name = 'audit_emit'"
    )

    def has_given_up() -> bool:
        primary.run(cancel)
        return not thread.is_alive()

    until(has_given_up)
    (error,) = outcome
    assert isinstance(error, DatabaseError)
    assert error.reason == "not-replicated"
    standby.start()
    # It is there, and is acknowledged once the standby has it.
    (linked,) = writer.append(batch)
    assert linked.seq == 2
    assert len(lines_of(database)) == 2


def test_an_append_that_happens_after_its_connection_was_cut_is_not_sent_again(
    audited: Database, proxy: CuttingProxy
) -> None:
    writer = Chains(Address(audited.as_user("the_writer", proxy.port)), service="shop")
    writer.append(drafts(1))
    done: list[list[Linked]] = []
    late = drafts(2)
    audited.run("ALTER FUNCTION audit_emit.append_bodies RESET lock_timeout")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(audited.url) as keeper:
        keeper.execute("SELECT audit_emit.lock_chain('shop', '', 'aaaaaaaaaaaaaaaa')")
        thread = threading.Thread(target=lambda: done.append(writer.append(late)))
        thread.start()
        until(lambda: audited.run(waiting) == [(1,)])
        proxy.cut()
        until(lambda: audited.run(waiting) == [(2,)])
    thread.join(PATIENCE)
    ((records, different),) = audited.run(
        "SELECT count(*), count(DISTINCT id) FROM audit_emit.records"
    )
    assert (records, different) == (3, 3)
    assert [one.seq for one in done[0]] == [2, 3]
    writer.close()
    assert_unforked(lines_of(audited))
