"""Keeps changes until the transaction that they were made in has committed.

A savepoint hands its changes up to what is around it, or drops them. A session that was joined to
a transaction of its connection has not committed anything when it says so: its changes wait for the
connection.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction

from audit_emit.integrations import _changes
from audit_emit.integrations._sqlalchemy_rows import FLUSHED, Tracked, quietly

__all__ = [
    "after_begin",
    "after_commit",
    "after_flush",
    "after_transaction_end",
    "engine_commits",
    "engine_rolls_back",
    "note",
    "savepoint_rolls_back",
]

Noted = list[tuple[Tracked, _changes.Change]]

_JOINED = "audit_emit.joined"
"""Where a connection keeps changes that wait for its own transaction."""


class _Waiting:
    """What one transaction of a session has changed."""

    __slots__ = ("changes", "committed", "connections")

    def __init__(self) -> None:
        self.changes: Noted = []
        self.committed = False
        self.connections: list[Connection] = []


_waiting: WeakKeyDictionary[SessionTransaction, _Waiting] = WeakKeyDictionary()


def _of(transaction: SessionTransaction) -> _Waiting:
    found = _waiting.get(transaction)
    if found is None:
        found = _waiting[transaction] = _Waiting()
    return found


def _current(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()


@quietly
def after_flush(session: Session, *_: Any) -> None:
    """Take over what a flush has changed."""
    note(session, session.info.pop(FLUSHED, []))


def note(session: Session, changes: Noted) -> None:
    """Keep changes for the commit, or put them into the outbox of the same database."""
    if not changes:
        return
    transaction = _current(session)
    outboxes: dict[int, Connection | None] = {}
    for tracked, change in changes:
        if id(tracked) not in outboxes:
            outboxes[id(tracked)] = _outbox(session, tracked)
        through = outboxes[id(tracked)]
        if through is not None:
            _changes.write_in(through, tracked.emitter, change)
        elif transaction is not None:
            _of(transaction).changes.append((tracked, change))


def _outbox(session: Session, tracked: Tracked) -> Connection | None:
    """The connection through which the records of a class go; ``None``: after the commit."""
    if tracked.outbox is False:
        return None
    connection = session.connection(bind_arguments={"mapper": tracked.model.__mapper__})
    raw = getattr(connection.connection, "driver_connection", None)
    wanted = tracked.outbox or _changes.keeps_outbox_in(raw, tracked.emitter)
    return connection if wanted else None


def after_begin(_: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Remember which connections a transaction uses."""
    _of(transaction).connections.append(connection)


def after_commit(session: Session) -> None:
    """Mark the transaction, which may be a savepoint, as committed."""
    transaction = _current(session)
    if transaction is not None and transaction in _waiting:
        _waiting[transaction].committed = True


@quietly
def after_transaction_end(_: Session, transaction: SessionTransaction) -> None:
    """Write the changes, hand them up, or drop them."""
    waiting = _waiting.pop(transaction, None)
    if waiting is None or not waiting.committed or not waiting.changes:
        return
    parent = transaction.parent
    if parent is not None:
        while parent.parent is not None and not parent.nested:
            parent = parent.parent
        _of(parent).changes.extend(waiting.changes)
        return
    for connection in waiting.connections:
        if not connection.closed and connection.in_transaction():
            savepoint = _savepoint(connection)
            joined = connection.info.setdefault(_JOINED, [])
            joined.append((savepoint, waiting.changes))
            return
    _write(waiting.changes)


def _write(changes: Noted) -> None:
    for tracked, change in changes:
        _changes.write(tracked.emitter, change)


def _savepoint(connection: Connection) -> str | None:
    nested = connection.get_nested_transaction()
    return getattr(nested, "_savepoint", None)


def engine_commits(connection: Connection) -> None:
    """A connection commits: so do the sessions that were joined to its transaction."""
    for _, changes in connection.info.pop(_JOINED, ()):
        _write(changes)


def engine_rolls_back(connection: Connection) -> None:
    """A connection rolls back: so do the sessions that were joined to its transaction."""
    connection.info.pop(_JOINED, None)


def savepoint_rolls_back(connection: Connection, name: str, _: Any) -> None:
    """The same for one savepoint of it."""
    joined = connection.info.get(_JOINED)
    if joined:
        connection.info[_JOINED] = [one for one in joined if one[0] != name]
