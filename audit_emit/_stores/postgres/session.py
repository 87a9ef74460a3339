"""The connection of one writer: made when it is needed, and looked at before it is used."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver, schema
from audit_emit.errors import DatabaseError

__all__ = ["FLUSH", "Session"]

FLUSH = "SELECT audit_emit.flush_appends()"
"""A transaction that makes the server sync all commits before it."""

_DAY = 86_400.0
_PARTITIONS = "SELECT audit_emit.ensure_partitions()"


class Session:
    """A connection that is made anew when it is gone. Not for several threads at once.

    Args:
        address: of the database.
        name: what the database shows of this connection.
        renewed: called when there is a new connection, which may be one to another server.

    Attributes:
        connection: the one there is; ``None`` before the first use.
        warned: whether the server has warned of something since this was set to false. The one
            warning that matters is that it does not wait for a synchronous standby any longer.
        begins: whether what writes needs a transaction that names its isolation, as the default of
            this database is another one.
    """

    def __init__(self, address: Address, name: str, renewed: Callable[[], object]) -> None:
        self.address = address
        self._name = name
        self._renewed = renewed
        self.connection: Any = None
        self.warned = False
        self.begins = False
        self._pid = os.getpid()
        self._partitions_at = 0.0

    def ready(self) -> None:
        """Connect if necessary.

        Raises:
            DatabaseError: there is none.
        """
        if self.connection is None or self.connection.closed:
            self._connect()
        if time.monotonic() > self._partitions_at:
            self.connection.execute(_PARTITIONS)
            self._partitions_at = time.monotonic() + _DAY

    def ask(self, query: str, *values: Any) -> Any:
        """The first row of an answer; ``None`` when there is none."""
        return self.connection.execute(query, values).fetchone()

    def ask_committed(self, query: str, *values: Any) -> Any:
        """The first row of the answer of a function that writes, in a transaction of its own.

        That reads what others commit. With another isolation (the default of this database) it
        would be refused whenever a second process is as quick.
        """
        if not self.begins:
            return self.ask(query, *values)
        with self.connection.transaction():
            return self.ask(query, *values)

    def flush(self) -> None:
        """Have the server sync all that was committed so far, and replicate it if it is to.

        Raises:
            DatabaseError: the wait for a synchronous standby was cancelled.
        """
        self.warned = False
        self.connection.execute(FLUSH)
        if self.warned:
            raise DatabaseError(
                "not-replicated",
                "the wait for a synchronous standby was cancelled: what was appended may be lost",
                unknown=True,
            )

    def drop(self) -> None:
        """Close the connection; the next use opens another one."""
        connection, self.connection = self.connection, None
        if connection is not None and os.getpid() == self._pid:
            driver.close(connection)

    def is_inherited(self) -> bool:
        """Whether this is a forked child, and the connection is its parent's."""
        return os.getpid() != self._pid

    def after_fork(self) -> None:
        """Leave the connection to the parent."""
        if self.connection is not None:
            driver.leave(self.connection)
        self.connection = None
        self._pid = os.getpid()

    def _connect(self) -> None:
        self.drop()
        connection = driver.connect(self.address, name=self._name, on_notice=self._noticed)
        self.connection = connection
        found = schema.state(connection)
        if not found.applied:
            # The first one ever here: what is missing is created, if this role may.
            schema.migrate(self.address)
        else:
            schema.refuse_unfit(found, self.address)
        isolation = connection.execute("SHOW default_transaction_isolation").fetchone()
        self.begins = isolation != ("read committed",)
        self._renewed()

    def _noticed(self, notice: Any) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warned = True
