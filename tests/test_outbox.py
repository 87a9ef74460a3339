"""The record in the transaction of the change: there if and only if the change is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa_asyncio
from support.postgres_records import assert_unforked, draft, drafts, lines_of, own_record
from support.postgres_server import Database
from support.program import PROGRAM
from support.waiting import PATIENCE, until

from audit_emit import Emitter, bind
from audit_emit._settings.address import Address
from audit_emit._stores.postgres.rows import BATCH
from audit_emit._stores.postgres.sealing import Sealer, events_of
from audit_emit._verify.verify import verify_paths
from audit_emit.cli import main
from audit_emit.errors import AuditError, DatabaseError
from audit_emit.outbox import aemit_in, emit_in, start_sealer


@pytest.fixture
def emitter() -> Iterator[Emitter]:
    made = Emitter(service="shop", jsonl="off", stdout=False)
    yield made
    made.close()


@pytest.fixture
def shop(audited: Database) -> Database:
    """A database with a table of the application, which is a writer."""
    audited.run("CREATE TABLE public.orders (number int)")
    audited.run("GRANT ALL ON public.orders TO the_writer")
    return audited


def _alchemy(database: Database, user: str = "the_writer") -> str:
    return database.as_user(user).replace("postgresql://", "postgresql+psycopg://")


# A change and its record, through each kind of connection; each commits if told so.

_ORDER = "INSERT INTO public.orders VALUES (1)"


def _psycopg(database: Database, emitter: Emitter, *, commit: bool) -> None:
    with psycopg.connect(database.as_user("the_writer")) as connection:
        connection.execute(_ORDER)
        emit_in(connection, None, "order.placed", {"number": 1}, emitter=emitter)
        (connection.commit if commit else connection.rollback)()


def _cursor(database: Database, emitter: Emitter, *, commit: bool) -> None:
    with psycopg.connect(database.as_user("the_writer")) as connection:
        cursor = connection.cursor()
        cursor.execute(_ORDER)
        emit_in(cursor, None, "order.placed", {"number": 1}, emitter=emitter)
        (connection.commit if commit else connection.rollback)()


def _psycopg_async(database: Database, emitter: Emitter, *, commit: bool) -> None:
    async def work() -> None:
        connection = await psycopg.AsyncConnection.connect(database.as_user("the_writer"))
        async with connection:
            await connection.execute(_ORDER)
            await aemit_in(connection, None, "order.placed", {"number": 1}, emitter=emitter)
            await (connection.commit if commit else connection.rollback)()

    asyncio.run(work())


@contextmanager
def _engine(database: Database) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(_alchemy(database))
    yield engine
    engine.dispose()


def _sa_connection(database: Database, emitter: Emitter, *, commit: bool) -> None:
    with _engine(database) as engine, engine.connect() as connection:
        connection.execute(sqlalchemy.text(_ORDER))
        emit_in(connection, None, "order.placed", {"number": 1}, emitter=emitter)
        (connection.commit if commit else connection.rollback)()


def _sa_session(database: Database, emitter: Emitter, *, commit: bool) -> None:
    with _engine(database) as engine, orm.Session(engine) as session:
        session.execute(sqlalchemy.text(_ORDER))
        emit_in(session, None, "order.placed", {"number": 1}, emitter=emitter)
        (session.commit if commit else session.rollback)()


def _sa_scoped(database: Database, emitter: Emitter, *, commit: bool) -> None:
    with _engine(database) as engine:
        session = orm.scoped_session(orm.sessionmaker(engine))
        session.execute(sqlalchemy.text(_ORDER))
        emit_in(session, None, "order.placed", {"number": 1}, emitter=emitter)
        (session.commit if commit else session.rollback)()
        session.remove()


def _sa_async(kind: str) -> Callable[..., None]:
    def run(database: Database, emitter: Emitter, *, commit: bool) -> None:
        async def work() -> None:
            engine = sa_asyncio.create_async_engine(_alchemy(database))
            made: Any = sa_asyncio.AsyncSession(engine) if kind == "session" else engine.connect()
            async with made as one:
                await one.execute(sqlalchemy.text(_ORDER))
                await aemit_in(one, None, "order.placed", {"number": 1}, emitter=emitter)
                await (one.commit if commit else one.rollback)()
            await engine.dispose()

        asyncio.run(work())

    return run


def _django(database: Database, emitter: Emitter, *, commit: bool) -> None:
    """In a process of its own: Django is configured once."""
    code = """
import sys, django
from django.conf import settings
port, name, commit = sys.argv[1:]
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql",
    "HOST": "127.0.0.1", "PORT": port, "NAME": name, "USER": "the_writer"}})
django.setup()
from django.db import connection, transaction
from audit_emit import configure
from audit_emit.outbox import emit_in
configure(service="shop", jsonl="off", stdout=False)
with transaction.atomic():
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO public.orders VALUES (1)")
    emit_in(connection, None, "order.placed", {"number": 1})
    if commit != "True":
        transaction.set_rollback(True)
"""
    subprocess.run(
        [sys.executable, "-c", code, str(database.server.port), database.name, str(commit)],
        check=True,
        timeout=PATIENCE,
    )


WAYS: dict[str, Callable[..., None]] = {
    "psycopg": _psycopg,
    "psycopg cursor": _cursor,
    "psycopg async": _psycopg_async,
    "SQLAlchemy connection": _sa_connection,
    "SQLAlchemy session": _sa_session,
    "SQLAlchemy scoped session": _sa_scoped,
    "SQLAlchemy async session": _sa_async("session"),
    "SQLAlchemy async connection": _sa_async("connection"),
    "Django": _django,
}


def seal(database: Database, **settings: Any) -> Sealer:
    return Sealer(Address(database.as_user("the_writer")), own=own_record, **settings)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("commit", [True, False])
def test_the_record_is_there_if_and_only_if_the_change_is(
    shop: Database, emitter: Emitter, way: str, commit: bool
) -> None:
    WAYS[way](shop, emitter, commit=commit)
    assert shop.run("SELECT count(*) FROM public.orders") == [(int(commit),)]
    sealer = seal(shop)
    assert sealer.seal().records == int(commit)
    sealer.close()
    assert shop.run("SELECT count(*) FROM audit_emit.outbox") == [(0,)]
    if commit:
        (line,) = lines_of(shop)
        assert json.loads(line)["fields"] == {"number": 1}
        assert_unforked([line])


def test_the_receipt_has_the_id_that_the_record_keeps(shop: Database, emitter: Emitter) -> None:
    with psycopg.connect(shop.as_user("the_writer")) as connection, bind(user_id="u-9"):
        receipt = emit_in(connection, None, "order.placed", {}, emitter=emitter)
    assert not hasattr(receipt, "seq")
    seal(shop).seal()
    ((identity, user),) = shop.run("SELECT id::text, user_id FROM audit_emit.records")
    assert (identity, user) == (receipt.id, "u-9")


def test_the_row_goes_to_the_chain_of_its_workspace(shop: Database) -> None:
    emitter = Emitter(service="shop", jsonl="off", stdout=False, chain_by="workspace_id")
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        receipt = emit_in(connection, {"workspace_id": "acme"}, "order.placed", {}, emitter=emitter)
    emitter.close()
    assert receipt.tenant == "acme"
    seal(shop).seal()
    assert shop.run("SELECT tenant FROM audit_emit.heads") == [("acme",)]


def test_a_pipeline_takes_the_record_with_the_change(shop: Database, emitter: Emitter) -> None:
    with psycopg.connect(shop.as_user("the_writer")) as connection, connection.pipeline():
        receipt = emit_in(connection, None, "order.placed", {}, emitter=emitter)
    seal(shop).seal()
    assert shop.run("SELECT id::text FROM audit_emit.records") == [(receipt.id,)]


def test_a_secret_is_not_even_in_the_outbox(shop: Database, emitter: Emitter) -> None:
    secret = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        emit_in(connection, None, "secret.set", {"value": secret, "note": secret}, emitter=emitter)
    ((text,),) = shop.run("SELECT unlinked FROM audit_emit.outbox")
    assert secret not in text


def test_what_cannot_be_recorded_is_raised(shop: Database, emitter: Emitter) -> None:
    with psycopg.connect(shop.as_user("the_reader")) as connection:
        with pytest.raises(AuditError) as caught:
            emit_in(connection, None, "order.placed", {}, emitter=emitter)
        assert caught.value.reason == "not-permitted"
        assert caught.value.event_id
        connection.rollback()
        with pytest.raises(AuditError) as caught:
            emit_in(connection, None, "Not A Type", {}, emitter=emitter)
        assert caught.value.reason == "invalid-event-type"
    engine = sqlalchemy.create_engine(_alchemy(shop, "the_reader"))
    with orm.Session(engine) as session, pytest.raises(AuditError) as caught:
        emit_in(session, None, "order.placed", {}, emitter=emitter)
    engine.dispose()
    assert caught.value.reason == "not-permitted"


@pytest.mark.parametrize("connection", [None, object(), sqlalchemy.create_engine("sqlite://")])
def test_what_is_no_connection_is_told(emitter: Emitter, connection: object) -> None:
    with pytest.raises(AuditError) as caught:
        emit_in(connection, None, "order.placed", {}, emitter=emitter)
    assert caught.value.reason == "invalid-connection"


def test_an_awaited_connection_is_told_of_the_other_function(
    shop: Database, emitter: Emitter
) -> None:
    async def work() -> None:
        connection = await psycopg.AsyncConnection.connect(shop.as_user("the_writer"))
        async with connection:
            with pytest.raises(AuditError, match="await aemit_in"):
                emit_in(connection, None, "order.placed", {}, emitter=emitter)

    asyncio.run(work())


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="see prepare_exit"
)
def test_a_sealer_is_prepared_for_the_end_of_a_process_without_descriptors(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from audit_emit import configure\n"
        "from audit_emit.outbox import start_sealer\n"
        "configure(service='shop', jsonl='off', stdout=False)\n"
        f"sealer = start_sealer('postgresql://u@/shop?host={tmp_path}')\n"  # nobody answers there
        "assert 'libgcc_s' in Path('/proc/self/maps').read_text()\n"
        "assert sealer.stop()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_any_number_of_sealers_seal_each_row_once(shop: Database, emitter: Emitter) -> None:
    ids = []
    with psycopg.connect(shop.as_user("the_writer"), autocommit=True) as connection:
        for number in range(300):
            receipt = emit_in(connection, None, "order.placed", {"n": number}, emitter=emitter)
            ids.append(receipt.id)
    sealers = [start_sealer(shop.as_user("the_writer"), emitter=emitter) for _ in range(3)]
    until(lambda: shop.run("SELECT count(*) FROM audit_emit.records") == [(300,)])
    for sealer in sealers:
        assert sealer.stop()
        assert sealer.fault is None
    assert_unforked(lines_of(shop))
    found = shop.run("SELECT id::text FROM audit_emit.records ORDER BY seq")
    assert [identity for (identity,) in found] == ids


def test_a_sealed_chain_and_a_directly_written_one_are_the_same(
    shop: Database, emitter: Emitter
) -> None:
    from audit_emit._stores.postgres.chains import Chains

    writer = Chains(Address(shop.as_user("the_writer")), service="shop")
    writer.append([draft()])
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        emit_in(connection, None, "order.placed", {}, emitter=emitter)
    shown: list[bytes] = []
    seal(shop, show=shown.append).seal()
    writer.append([draft()])
    lines = lines_of(shop)
    assert len(lines) == 3
    assert_unforked(lines)
    assert shown == [f"{lines[1]}\n".encode()]


_FORGED = [
    "x" * 60,
    draft("audit.gap", lost=0),
    draft("audit.key_rotated"),
    draft("Not A Type"),
    draft(service="another"),
    draft() + ',"chain":"0000000000000000"',
    draft() + ',"more":"x"',
    draft().replace('"id":"', '"id":"x'),
    draft().replace('"id":"', rf'"id":"{UUID(int=0)}\n'),
    draft().replace("{", "[", 1),
    draft() + "\n",
    # By its place it would be about the log itself, by its name of the application.
    draft("audit.gap") + ',"event_type":"order.placed"',
    draft("audit.gap").replace('"fields":{}', '"fields":{},"event_type":"order.placed"'),
    draft().replace('"v":1', '"v":2'),
    draft().replace('"workspace_id":"acme"', '"workspace_id":7'),
    draft().replace('"v":1,', "").replace('"fields"', '"v":1,"fields"'),
]


@pytest.mark.parametrize("trace", ["", ',"trace_id":"1"', ',"span_id":"2"'])
def test_a_row_with_a_part_of_a_trace_is_an_event(trace: str) -> None:
    text = draft(note='"},"v":1,"id":"\\', more={"v": 1, "id": "x", "service": "y"}) + trace
    assert [row.prefix for row in events_of([text], "shop")] == [text]


@pytest.mark.parametrize("text", _FORGED)
def test_a_row_that_is_no_event_is_declared_as_lost(
    shop: Database, emitter: Emitter, text: str
) -> None:
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        connection.execute(
            "INSERT INTO audit_emit.outbox (service, unlinked) VALUES ('shop', %s)", [text]
        )
        emit_in(connection, None, "order.placed", {}, emitter=emitter)
    done = seal(shop).seal()
    assert (done.records, done.refused) == (2, 1)
    good, gap = map(json.loads, lines_of(shop))
    assert good["event_type"] == "order.placed"
    assert (gap["event_type"], gap["fields"]["reason"]) == ("audit.gap", "malformed-outbox")
    (found,) = verify_paths([shop.as_user("the_reader")])
    assert found.report.exit_status == 4
    assert "declared-gap" in found.report.counts


@pytest.mark.parametrize("ts", ["x" * 30, r"2026-05-19T20:00:00.123456789\u005a"])
def test_two_events_with_one_time_that_is_none_are_declared_as_lost(
    shop: Database, ts: str
) -> None:
    forged = '{"ts":"' + ts + draft()[len('{"ts":"') + 30 :]
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit_emit.outbox (service, unlinked) VALUES ('shop', %s)", [[forged]] * 2
        )
    assert seal(shop).seal().refused == 2


def test_a_chain_that_somebody_keeps_locked_holds_up_no_sealing_of_others(shop: Database) -> None:
    emitter = Emitter(service="shop", jsonl="off", stdout=False, chain_by="workspace_id")
    with psycopg.connect(shop.as_user("the_writer"), autocommit=True) as connection:
        for workspace in ("a-held", "good"):
            emit_in(connection, {"workspace_id": workspace}, "order.placed", {}, emitter=emitter)
    emitter.close()
    sealer = seal(shop)
    with psycopg.connect(shop.as_user("the_writer")) as keeper:
        keeper.execute("SELECT audit_emit.lock_chain('shop', 'a-held', 'aaaaaaaaaaaaaaaa')")
        done = sealer.seal()
    assert (done.records, [one.reason for one in done.errors]) == (1, ["chain-locked"])
    assert seal(shop).seal().records == 1
    assert [one.report.exit_status for one in verify_paths([shop.as_user("the_reader")])] == [0, 0]


def test_a_chain_that_takes_nothing_holds_up_no_other_one(
    shop: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    emitter = Emitter(service="shop", jsonl="off", stdout=False, chain_by="workspace_id")
    with psycopg.connect(shop.as_user("the_writer"), autocommit=True) as connection:
        for workspace in ("a-bad", "good"):
            emit_in(connection, {"workspace_id": workspace}, "order.placed", {}, emitter=emitter)
    emitter.close()
    sealed = "SELECT workspace_id FROM audit_emit.records ORDER BY 1"
    shop.run(
        "CREATE FUNCTION audit_emit.refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.workspace_id = 'a-bad' THEN RAISE EXCEPTION 'not this one'; "
        "END IF; RETURN NEW; END $$"
    )
    shop.run(
        "CREATE TRIGGER refuses BEFORE INSERT ON audit_emit.records "
        "FOR EACH ROW EXECUTE FUNCTION audit_emit.refuse_it()"
    )
    assert main(["seal", shop.as_user("the_writer")]) == 5
    assert "not this one" in capsys.readouterr().err
    sealer = seal(shop)
    sealer.seal()
    assert sealer.fault is not None
    assert shop.run(sealed) == [("good",)]
    shop.run("DROP TRIGGER refuses ON audit_emit.records")
    assert main(["seal", shop.as_user("the_writer")]) == 0
    assert shop.run(sealed) == [("a-bad",), ("good",)]
    sealer.seal()
    assert sealer.fault is None, "another sealer has sealed it"
    sealer.close()


def test_kill_9_of_a_sealer_loses_and_doubles_nothing(shop: Database, emitter: Emitter) -> None:
    stop = threading.Event()
    ids: list[str] = []

    def fill() -> None:
        with psycopg.connect(shop.as_user("the_writer"), autocommit=True) as connection:
            while not stop.is_set():
                ids.append(emit_in(connection, None, "order.placed", {}, emitter=emitter).id)

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        for _ in range(3):
            before = shop.run("SELECT count(*) FROM audit_emit.records")[0][0]
            process = subprocess.Popen(
                [*PROGRAM, "seal", "--follow", shop.as_user("the_writer")],
                stderr=subprocess.DEVNULL,
            )
            until(
                lambda n=before: shop.run("SELECT count(*) FROM audit_emit.records")[0][0] > n  # type: ignore[misc]
            )
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
    finally:
        stop.set()
        filling.join()
    assert main(["seal", shop.as_user("the_writer")]) == 0
    found = shop.run("SELECT id::text FROM audit_emit.records ORDER BY seq")
    assert sorted(identity for (identity,) in found) == sorted(ids)
    assert_unforked(lines_of(shop))


def test_the_command_goes_on_until_it_is_told_to_end(
    shop: Database, emitter: Emitter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [*PROGRAM, "seal", "--follow", "--lines",
             shop.as_user("the_writer")], stdout=file,
        )  # fmt: skip
    try:
        with psycopg.connect(shop.as_user("the_writer")) as connection:
            emit_in(connection, None, "order.placed", {}, emitter=emitter)
        until(lambda: out.stat().st_size > 0)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert process.returncode == 0
    assert out.read_text() == f"audit: {lines_of(shop)[0]}\n"


def test_a_sealer_says_how_long_the_oldest_has_waited(shop: Database, emitter: Emitter) -> None:
    sealer = seal(shop)
    assert sealer.lag() == 0
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        emit_in(connection, None, "order.placed", {}, emitter=emitter)
    assert sealer.lag() > 0
    sealer.seal()
    assert sealer.lag() == 0


def test_more_than_a_batch_is_gone_on_with_at_once(shop: Database) -> None:
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit_emit.outbox (service, unlinked) VALUES ('shop', %s)",
            [(text,) for text in drafts(BATCH + 1)],
        )
    sealer = seal(shop)
    rounds = [sealer.seal() for _ in range(3)]
    assert [(done.records, done.more) for done in rounds] == [(BATCH, True), (1, False), (0, False)]


def test_a_sealer_without_a_database_says_so(emitter: Emitter) -> None:
    with pytest.raises(DatabaseError):
        Sealer(Address("postgresql://me@127.0.0.1:1/x"), own=own_record).seal()
    assert main(["seal", "postgresql://me@127.0.0.1:1/x"]) == 5


def test_rows_that_somebody_holds_are_not_asked_for_again_and_again(shop: Database) -> None:
    with psycopg.connect(shop.as_user("the_writer")) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit_emit.outbox (service, unlinked) VALUES ('shop', %s)",
            [(text,) for text in drafts(BATCH + 1)],
        )
    with psycopg.connect(shop.url) as holder:
        holder.execute("SELECT FROM audit_emit.outbox FOR UPDATE")
        sealer = seal(shop)
        done = sealer.seal()
        assert (done.records, done.more) == (0, False)
        holder.rollback()
    assert sealer.seal().more
    sealer.close()


def test_a_forked_child_that_ends_leaves_the_connection_to_its_parent(shop: Database) -> None:
    sealer = seal(shop)
    assert sealer.lag() == 0
    child = os.fork()
    if not child:
        with suppress(BaseException):
            assert sealer.lag() == 0, "with one of its own"
            del sealer  # as an interpreter that ends does
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert sealer.lag() == 0
    sealer.close()
