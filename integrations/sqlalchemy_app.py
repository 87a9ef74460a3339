"""Accounts on SQLAlchemy: each change of a row, once it is committed.

pip install 'audit-emit[sqlalchemy]'
python sqlalchemy_app.py sqlite:///accounts.db
"""

from __future__ import annotations

import sys

from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from audit_emit import bind
from audit_emit.integrations.sqlalchemy import track


class Base(DeclarativeBase):
    """The classes of this service."""


class Account(Base):
    """What is tracked."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    balance: Mapped[int] = mapped_column(default=0)
    password: Mapped[str] = mapped_column(default="")


track(Account)


def transfer(session: Session, source: int, target: int, amount: int) -> None:
    """Move an amount; what is overdrawn is rolled back, and leaves no record."""
    payer, payee = session.get_one(Account, source), session.get_one(Account, target)
    payer.balance -= amount
    payee.balance += amount
    if payer.balance < 0:
        session.rollback()
        raise ValueError("overdrawn")
    session.commit()


def main(address: str) -> None:
    """Open two accounts, transfer, and pay interest."""
    engine = create_engine(address)
    Base.metadata.create_all(engine)
    with Session(engine) as session, bind(user_id="teller-4"):
        session.add_all(
            [
                Account(id=1, owner="ann", balance=100, password="never shown"),  # noqa: S106 - no secret
                Account(id=2, owner="ben"),
            ]
        )
        session.commit()
        transfer(session, 1, 2, 30)
        try:
            transfer(session, 1, 2, 3000)
        except ValueError:
            print("overdrawn", file=sys.stderr)  # noqa: T201 - a program says what it did
    with Session(engine) as session, bind(user_id="interest", actor_kind="cron"):
        session.execute(update(Account).values(balance=Account.balance + 1))
        session.commit()
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
