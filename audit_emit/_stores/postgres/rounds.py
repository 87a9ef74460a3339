"""One round of appending: link, send, and account for every answer, or for none."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.heads import Heads, KnownChain
from audit_emit._stores.postgres.rows import APPEND, Head, Row, UnlinkedRow, arguments, link
from audit_emit._stores.postgres.session import FLUSH, Session
from audit_emit.errors import DatabaseError

__all__ = ["Outcome", "Round", "Waiting"]

_RACES = 4
"""After how many lost races the lock is taken."""

_SHARED_SECONDS = 60.0
"""Seconds after a lost race for which other writers are assumed to wait for the chain's lock."""

Outcome = list[Linked] | DatabaseError
"""What became of the drafts of one tenant."""

Waiting = dict[str, list[UnlinkedRow]]
"""Drafts by tenant."""


class Round:
    """Appends to the chains of one service.

    Args:
        session: there is a connection whenever a method is called.
        heads: what is known of the chains.
        durability: see ``Chains``.
    """

    def __init__(self, session: Session, heads: Heads, durability: str) -> None:
        self._session = session
        self._heads = heads
        self._durability = durability
        self._shared_until = 0.0

    def append_waiting(self, waiting: Waiting, done: dict[str, Outcome]) -> None:
        """Append until nothing waits.

        Args:
            waiting: drafts by tenant; those of a tenant leave it together.
            done: where the records of each tenant go then.

        Raises:
            DatabaseError: no answer came; what was sent is remembered as unknown.
        """
        races = 0
        while waiting:
            linked = {}
            for tenant in list(waiting):
                chain = self._heads.of(tenant)
                self._heads.open(tenant)
                self._heads.announce(chain, tenant)
                rest = [
                    one for one in (*chain.owed, *waiting[tenant])
                    if one.copies.id not in chain.resolved
                ]  # fmt: skip
                if rest:
                    linked[tenant] = rest
                else:
                    done[tenant] = self.finished(chain, [])
                    del waiting[tenant]
            races += 1
            append = self._append_locked if races > _RACES else self._swap
            for tenant, outcome in append(linked).items():
                if outcome is not None:
                    done[tenant] = outcome
                    del waiting[tenant]

    def _swap(self, groups: Waiting) -> dict[str, list[Linked] | None]:
        """Append each group if its chain's head is still the known one; ``None`` where it is not.

        Raises:
            DatabaseError: no answer came; what was sent is remembered as unknown.
        """
        if not groups:
            return {}
        session = self._session
        sent: dict[str, list[Row]] = {}
        for tenant, drafts in groups.items():
            head = self._heads.known(tenant)
            sent[tenant] = rows = link(drafts, head)
            self._heads.of(tenant).unknown = (head.chain, rows)
        session.warned = False
        try:
            answers = self._sent_alone(sent) if self._is_alone(sent) else self._piped(sent)
        except driver.load().Error as error:
            raise driver.failed(error, session.address, unknown=True) from None
        if session.warned:
            # The wait for a standby was cancelled, and the commit returned as if all were well.
            session.flush()
        return {
            tenant: self._answered(tenant, answers[tenant], rows) for tenant, rows in sent.items()
        }

    def _is_alone(self, sent: dict[str, list[Row]]) -> bool:
        """Whether one statement that is synced by its own commit is as good.

        It takes half as much of both sides as an append and a sync after it, but its chain is
        locked for as long as the sync takes, which matters where another writer waits for it.
        """
        is_shared = self._durability == "group" and monotonic() < self._shared_until
        return len(sent) == 1 and not is_shared and not self._session.begins

    def _sent_alone(self, sent: dict[str, list[Row]]) -> dict[str, Any]:
        """The answer of the append to one chain."""
        ((tenant, rows),) = sent.items()
        values = arguments(self._heads.known(tenant), rows, is_async=self._durability == "os")
        return {tenant: self._session.ask(APPEND, *values)}

    def _piped(self, sent: dict[str, list[Row]]) -> dict[str, Any]:
        """The answers of appends to several chains, each in a transaction of its own."""
        session = self._session
        connection = session.connection
        cursors: dict[str, Any] = {}
        with driver.pipelined(connection) as pipeline:
            for tenant, rows in sent.items():
                if session.begins:
                    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                values = self._arguments(self._heads.known(tenant), rows)
                cursors[tenant] = connection.execute(APPEND, values)
                if session.begins:
                    connection.execute("COMMIT")
                pipeline.sync()
            if self._durability == "group":
                connection.execute(FLUSH)
                pipeline.sync()
            return {tenant: cursor.fetchone() for tenant, cursor in cursors.items()}

    def _append_locked(self, groups: Waiting) -> dict[str, list[Linked] | None]:
        """Append each group under its chain's lock: nobody can be faster there.

        Raises:
            DatabaseError: see ``_swap``.
        """
        session = self._session
        done: dict[str, list[Linked] | None] = {}
        for tenant, drafts in groups.items():
            chain = self._heads.of(tenant)
            session.warned = False
            try:
                with session.connection.transaction():
                    head = self._heads.lock(tenant)
                    is_other = chain.head is not None and head.chain != chain.head.chain
                    if is_other or (chain.late and head[:3] != (chain.head or head)[:3]):
                        chain.head = None
                        done[tenant] = None
                        continue
                    chain.head, rows = head, link(drafts, head)
                    chain.unknown = (head.chain, rows)
                    answer = session.ask(APPEND, *self._arguments(head, rows))
                if self._durability == "group":
                    session.connection.execute(FLUSH)
            except driver.load().Error as error:
                unknown = chain.unknown is not None
                raise driver.failed(error, session.address, unknown=unknown) from None
            if session.warned:
                session.flush()
            done[tenant] = self._answered(tenant, answer, rows)
        return done

    def _arguments(self, head: Head, rows: list[Row]) -> list[Any]:
        return arguments(head, rows, is_async=self._durability != "always")

    def _answered(self, tenant: str, answer: Sequence[Any], rows: list[Row]) -> list[Linked] | None:
        appended, kind, seq, digest, ts = answer
        chain = self._heads.of(tenant)
        chain.unknown = None
        if appended:
            chain.owed.clear()
            chain.late.clear()
            return self.finished(chain, rows)
        self._shared_until = monotonic() + _SHARED_SECONDS
        if kind is None or kind == "ended" or chain.late:
            chain.head = None
        else:
            chain.head = Head(self._heads.known(tenant).chain, seq, bytes(digest).hex(), ts, kind)
        return None

    def finished(self, chain: KnownChain, rows: list[Row]) -> list[Linked]:
        """The records of one call, and the head they leave."""
        head = chain.head
        assert head is not None  # noqa: S101 - it was asked for before
        before, chain.resolved = chain.resolved, {}
        chain.owed = [one for one in chain.owed if one.copies.id not in before]
        if rows:
            last = rows[-1]
            chain.head = Head(head.chain, last.seq, last.hash, last.copies.ts)
        chain.acknowledged = chain.head
        return [*before.values(), *(row.linked(head.chain) for row in rows)]
