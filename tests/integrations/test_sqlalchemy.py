"""SQLAlchemy: which changes are recorded, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, create_engine, delete, event, insert, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from support.postgres_server import Database
from support.requirements import package

import audit_emit
from audit_emit import bind
from audit_emit.errors import ConfigError
from audit_emit.integrations.sqlalchemy import track


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    invoices: Mapped[list[Invoice]] = relationship(
        back_populates="owner", cascade="all, delete-orphan"
    )


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    amount: Mapped[int] = mapped_column(default=0)
    password: Mapped[str] = mapped_column(default="")
    unwatched: Mapped[int] = mapped_column(default=0)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="invoices")


class Reread(Base):
    __tablename__ = "reread"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(default=0)


track(Invoice, fields=["number", "amount", "password", "owner_id"])
track(Reread, before="query")


@pytest.fixture
def engine(records: Any, tmp_path: Path) -> Iterator[Any]:
    made = create_engine(f"sqlite:///{tmp_path}/shop.db")
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Any) -> Iterator[Session]:
    with Session(engine, expire_on_commit=False) as session:
        session.add(Invoice(id=1, number="A", amount=1))
        session.commit()
        yield session


def changes(records: Any, event_type: str = "model.updated") -> list[dict[str, Any]]:
    return [one["fields"]["changes"] for one in records(event_type)]


def change(number: int) -> dict[str, Any]:
    return {"amount": {"before": number - 1, "after": number}}


def test_a_new_row_is_recorded_once_it_is_committed(engine: Any, records: Any) -> None:
    with Session(engine) as session, bind(user_id="u-1"):
        session.add(Invoice(number="A", amount=3))
        session.flush()
        assert records() == []
        session.commit()
    (record,) = records()
    assert (record["event_type"], record["user_id"]) == ("model.created", "u-1")
    assert record["fields"]["model"] == "Invoice"
    assert record["fields"]["pk"] == 1
    assert record["fields"]["changes"]["amount"] == {"after": 3}


def test_a_changed_row_has_before_and_after_of_what_changed(session: Session, records: Any) -> None:
    invoice = session.get_one(Invoice, 1)
    invoice.amount = 2
    invoice.unwatched = 9
    session.commit()
    assert changes(records) == [change(2)]


def test_a_change_that_is_taken_back_is_none(session: Session, records: Any) -> None:
    invoice = session.get_one(Invoice, 1)
    invoice.amount = 2
    invoice.amount = 1
    session.commit()
    assert changes(records) == []


def test_a_flush_makes_no_query_of_ours(session: Session, engine: Any, records: Any) -> None:
    statements: list[str] = []
    invoice = session.get_one(Invoice, 1)
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    invoice.amount = 2
    session.commit()
    assert [one.split()[0] for one in statements] == ["UPDATE"]


def test_a_secret_is_redacted_by_the_name_of_its_attribute(session: Session, records: Any) -> None:
    session.get_one(Invoice, 1).password = "open sesame"
    session.commit()
    session.delete(session.get_one(Invoice, 1))
    session.commit()
    assert "open sesame" not in str(records())


def test_nothing_is_recorded_of_a_transaction_that_is_rolled_back(
    session: Session, records: Any
) -> None:
    session.get_one(Invoice, 1).amount = 2
    session.flush()
    session.execute(update(Invoice).values(amount=7))
    session.rollback()
    session.get_one(Invoice, 1).amount = 3
    session.flush()
    session.close()
    assert changes(records) == []


def test_a_savepoint_that_is_rolled_back_takes_its_changes_with_it(
    session: Session, records: Any
) -> None:
    invoice = session.get_one(Invoice, 1)
    with session.begin_nested() as savepoint:
        invoice.amount = 5
        session.flush()
        savepoint.rollback()
    with session.begin_nested():
        session.refresh(invoice)
        invoice.amount = 2
    assert changes(records) == []
    session.commit()
    assert changes(records) == [change(2)]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("mode", ["conditional_savepoint", "create_savepoint", "control_fully"])
def test_a_joined_session_waits_for_its_connection(
    session: Session, engine: Any, records: Any, mode: Any, commits: bool
) -> None:
    session.close()
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode=mode) as joined:
            joined.get_one(Invoice, 1).amount = 2
            joined.commit()
        if mode != "control_fully":
            assert changes(records) == []
            (transaction.commit if commits else transaction.rollback)()
    expected = [change(2)] if commits or mode == "control_fully" else []
    assert changes(records) == expected


def test_a_value_that_nobody_has_loaded_is_unknown(engine: Any, records: Any) -> None:
    with Session(engine) as session:
        session.add(Invoice(id=1, number="A", amount=1))
        session.commit()
        invoice = session.get_one(Invoice, 1)
        session.expire(invoice)
        invoice.amount = 2
        session.commit()
    assert changes(records) == [{"amount": {"before": "?", "after": 2}}]


def test_a_value_that_nobody_has_loaded_is_read_when_asked(engine: Any, records: Any) -> None:
    with Session(engine) as session:
        rows = [Reread(id=number, amount=1) for number in range(3)]
        session.add_all(rows)
        session.commit()
        for row in rows:
            row.amount = 2
        session.commit()
    assert changes(records) == [change(2)] * 3


def test_an_expression_is_unsure(session: Session, records: Any) -> None:
    session.get_one(Invoice, 1).amount = Invoice.amount + 1
    session.commit()
    (record,) = records("model.updated")
    assert record["fields"]["unsure"] is True


def test_a_relation_is_recorded_by_its_column(session: Session, records: Any) -> None:
    session.get_one(Invoice, 1).owner = Owner(id=7, name="x")
    session.commit()
    assert changes(records) == [{"owner_id": {"before": None, "after": 7}}]


def test_an_orphan_that_is_deleted_is_recorded(session: Session, records: Any) -> None:
    owner = Owner(id=7, name="x", invoices=[session.get_one(Invoice, 1)])
    session.add(owner)
    session.commit()
    owner.invoices.clear()
    session.commit()
    assert changes(records, "model.deleted")[0]["number"] == {"before": "A"}


def test_an_update_is_recorded_row_by_row(session: Session, records: Any) -> None:
    session.add(Invoice(id=2, number="B", amount=5))
    session.commit()
    session.execute(update(Invoice).where(Invoice.number != "C").values(amount=Invoice.amount + 1))
    session.commit()
    assert changes(records) == [change(2), change(6)]


def test_an_update_by_keys_is_recorded_row_by_row(session: Session, records: Any) -> None:
    session.execute(update(Invoice), [{"id": 1, "amount": 2}])
    session.commit()
    assert changes(records) == [change(2)]


def test_a_delete_is_recorded_row_by_row(session: Session, records: Any) -> None:
    session.execute(delete(Invoice).where(Invoice.id == 1))
    session.commit()
    assert changes(records, "model.deleted")[0]["amount"] == {"before": 1}


@pytest.mark.parametrize(
    "add",
    [
        lambda session: session.execute(insert(Invoice), [{"number": "B", "amount": 2}]),
        lambda session: session.execute(insert(Invoice).values(number="B", amount=2)),
        lambda session: session.execute(insert(Invoice).values([{"number": "B", "amount": 2}])),
    ],
)
def test_an_insert_is_recorded(session: Session, records: Any, add: Any) -> None:
    add(session)
    session.commit()
    expected = {"number": {"after": "B"}, "amount": {"after": 2}}
    assert changes(records, "model.created")[1] == expected


def test_an_update_of_more_rows_than_are_recorded_singly_has_their_number(
    session: Session, records: Any
) -> None:
    rows = [{"number": str(number)} for number in range(1001)]
    session.execute(insert(Invoice), rows)
    session.execute(update(Invoice).values(amount=2))
    session.commit()
    assert [one["fields"].get("rows") for one in records()] == [None, 1001, 1002]


def test_the_legacy_bulk_methods_are_refused_for_a_tracked_class(session: Session) -> None:
    with pytest.raises(ConfigError, match="Invoice is tracked"):
        session.bulk_save_objects([Invoice(number="B")])
    with pytest.raises(ConfigError, match="Invoice is tracked"):
        session.bulk_insert_mappings(Invoice.__mapper__, [{"number": "B"}])
    with pytest.raises(ConfigError, match="Invoice is tracked"):
        session.bulk_update_mappings(Invoice.__mapper__, [{"id": 1, "amount": 2}])
    session.bulk_save_objects([Owner(name="x")])


def test_an_async_session_is_seen(records: Any, tmp_path: Path) -> None:
    package("aiosqlite")

    async def drive() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/async.db")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine, expire_on_commit=False) as session:
            invoice = Invoice(number="A", amount=1)
            session.add(invoice)
            await session.commit()
            invoice.amount = 2
            await session.commit()
            await session.execute(update(Invoice).values(amount=3))
            await session.commit()
        await engine.dispose()

    with bind(user_id="u-1"):
        asyncio.run(drive())
    assert changes(records) == [change(2), change(3)]
    assert {one["user_id"] for one in records()} == {"u-1"}


@pytest.mark.parametrize("commits", [True, False])
def test_where_the_chain_is_in_the_same_database_the_record_is_in_the_transaction(
    audited: Database, commits: bool
) -> None:
    audited.run("GRANT CREATE ON SCHEMA public TO the_writer")
    address = audited.as_user("the_writer")
    audit_emit.configure(service="shop", store=address, jsonl="off", stdout=False)
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Invoice(number="A"))
        session.flush()
        waiting = "SELECT count(*) FROM audit_emit.outbox WHERE unlinked LIKE '%model.created%'"
        assert audited.run(waiting) == [(0,)]
        (session.commit if commits else session.rollback)()
    engine.dispose()
    assert audited.run(waiting) == [(int(commits),)]
    audit_emit.configure(jsonl="off", stdout=False)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Invoice, {}),
        (dict, {}),
        (Owner, {"fields": ["nam"]}),
        (Owner, {"fields": ["invoices"]}),
        (Owner, {"before": "guessed"}),
    ],
)
def test_what_cannot_be_tracked_is_refused(model: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        track(model, **options)
