"""The direct store: the chains of a service in PostgreSQL, as one ``ChainStore``."""

from __future__ import annotations

import threading
from time import monotonic

from audit_emit._format.record import Head, ns_of
from audit_emit._settings.address import Address
from audit_emit._stores.base import (
    SYNC_SECONDS,
    Draft,
    Lent,
    Linked,
    Loss,
    StoreHealth,
    Traits,
)
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.heads import SINK
from audit_emit._stores.postgres.rounds import Waiting
from audit_emit._stores.postgres.rows import UnlinkedRow
from audit_emit.errors import DatabaseError, SinkError

__all__ = ["PostgresStore"]

_MOST_AHEAD = 10_000
"""Of drafts whose callers have given up, nobody asks again."""


class PostgresStore:
    """The chains of one service; see ``ChainStore`` for its methods.

    An append takes as long as the network and the server do. When it returns, its records are as
    durable as ``durability`` says.

    Args:
        address: of a role that has ``audit_emit_writer``. Nothing connects before the first record.
        service: the name in every record.
        durability: see ``Chains``.
        chain_by: ``workspace_id`` for a chain for each workspace; empty for one.

    Raises:
        ConfigError: psycopg is missing, or cannot read the address.
    """

    traits: Traits = Traits(immediate=False)
    sink: str = SINK

    def __init__(
        self, address: Address, *, service: str, durability: str, chain_by: str = ""
    ) -> None:
        driver.check(address)
        self.address: Address = address
        self._service = service
        self._how = durability
        self._by_workspace = chain_by == "workspace_id"

    def attach(self, lent: Lent) -> None:
        """Belong to an emitter."""
        self._lent = lent
        self._chains = Chains(
            self.address,
            service=self._service,
            durability=self._how,
            own=lambda event_type, fields: lent.own(event_type, fields).prefix,
            started=lent.started,
        )
        self._begin()

    def _begin(self) -> None:
        """Start with nothing appended."""
        self._records: list[Linked] = []
        """In a chain, and not returned yet."""
        self._ahead: dict[str, None] = {}
        """Ids of drafts that are in their chain, and have not left the list of their caller yet: an
        append that was not answered may turn out to have happened while other drafts are given."""
        self._newest: Linked | None = None
        self._written = self._own = 0
        self._has_said = False
        # Re-entrant only so that a signal handler in the middle of a call is recognised.
        self._lock = threading.RLock()
        self._inside = False

    @property
    def unreturned(self) -> bool:
        """Whether there are records that an append of no drafts would return."""
        return bool(self._records)

    def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        """Link and append records; see ``ChainStore.append``."""
        self._enter(deadline - monotonic() if deadline else SYNC_SECONDS)
        try:
            if drafts and drafts[0].process is not self._lent.clock.process:
                raise SinkError("forked", self._taken())
            if drafts:
                self._append_all(drafts)
            return self._taken()
        finally:
            self._leave()

    def _append_all(self, drafts: list[Draft]) -> None:
        waiting: Waiting = {}
        given = {draft.id for draft in drafts}
        left = [draft for draft in drafts if draft.id not in self._ahead]
        for row in UnlinkedRow.each([one.prefix for one in left], [one.own for one in left]):
            waiting.setdefault(self._tenant(row), []).append(row)
        failed: DatabaseError | None = None
        for outcome in self._chains.append_each(waiting).values():
            if isinstance(outcome, DatabaseError):
                failed = failed or outcome
            else:
                there = (one.id for one in outcome if not one.own or one.id in given)
                self._ahead.update(dict.fromkeys(there))
                self._count(outcome)
        for at in reversed(range(len(drafts))):
            identity = drafts[at].id
            if identity in self._ahead:
                del drafts[at]
                del self._ahead[identity]
        while len(self._ahead) > _MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        if failed is not None:
            raise SinkError(failed.reason, self._taken(), self._said(failed))

    def _count(self, records: list[Linked]) -> None:
        self._records += records
        self._written += len(records)
        self._own += sum(one.own for one in records)
        if records:
            self._newest = records[-1]
        if not self._has_said:
            self._has_said = True
            self._lent.said()

    def _said(self, error: DatabaseError) -> str:
        return str(error).removeprefix(f"{self.address.shown}: ")

    def _tenant(self, row: UnlinkedRow) -> str:
        return (row.copies.workspace_id or "") if self._by_workspace else ""

    def _taken(self) -> list[Linked]:
        records, self._records = self._records, []
        return records

    def sync(self, seconds: float = SYNC_SECONDS) -> bool:
        """Whether all is durable: what was appended already is, but with the durability ``os``."""
        if self._how != "os":
            return True
        self._enter(seconds)
        try:
            self._chains.sync()
        except DatabaseError as error:
            raise SinkError(error.reason, detail=self._said(error)) from error
        finally:
            self._leave()
        return True

    def head(self) -> Head | None:
        """The record that was appended last, or the end of the chain that was found."""
        newest = self._newest
        if newest is not None:
            return Head(newest.chain, newest.seq, newest.hash, newest.line[7:37].decode())
        found = self._chains.known_head()
        return Head(*found[:4]) if found is not None and found.seq else None

    def health(self) -> StoreHealth:
        """Its state, as of the last append: the server is not asked."""
        head = self.head()
        return StoreHealth(
            written=self._written,
            own=self._own,
            last_ns=ns_of(head.ts) if head is not None else 0,
            chain=head.chain if head is not None else "",
            seq=head.seq if head is not None else 0,
            place=self.address.shown,
            durability=self._how,
        )

    def leave_word(self, losses: list[Loss]) -> bool:  # noqa: ARG002 - the same for all
        """Leave nothing: a database has no place for it but the chain."""
        return False

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a call, and a signal handler asks."""
        return self._inside and bool(self._lock._is_owned())  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells

    def heal(self) -> None:
        """Give back a lock that an interrupt left behind between taking and using it."""
        if not self._inside and self._lock._is_owned():  # type: ignore[attr-defined] # noqa: SLF001
            self._lock.release()

    def close(self, seconds: float = SYNC_SECONDS) -> bool:
        """Close the connection; an append opens another one."""
        try:
            self._enter(seconds)
        except SinkError:
            return False
        try:
            self._chains.close()
        finally:
            self._leave()
        return True

    def after_fork(self) -> None:
        """Start anew in a forked child: connection and records belong to the parent."""
        self._chains.after_fork()
        self._begin()

    def _enter(self, seconds: float) -> None:
        lock = self._lock
        if not lock.acquire(timeout=max(seconds, 0.0)):
            raise SinkError("lock-timeout")
        if self._inside:
            lock.release()
            raise SinkError("re-entrant")
        self._inside = True

    def _leave(self) -> None:
        if self._lock._is_owned():  # type: ignore[attr-defined] # noqa: SLF001 - not after a fork by a signal handler
            self._inside = False
            self._lock.release()
