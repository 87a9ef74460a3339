"""One round of appending: link, send, and account for every answer, or for none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.heads import Heads, KnownChain
from audit_emit._stores.postgres.rows import APPEND, Head, Row, UnlinkedRow, arguments, link
from audit_emit._stores.postgres.session import FLUSH, Session
from audit_emit.errors import DatabaseError

__all__ = ["Outcome", "Round", "Waiting"]

_RACES = 4
"""Lost races after which the lock is asked for."""

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
        connection = session.connection
        sent: dict[str, tuple[list[Row], Any]] = {}
        session.warned = False
        try:
            with driver.pipelined(connection) as pipeline:
                for tenant, drafts in groups.items():
                    head = self._heads.known(tenant)
                    rows = link(drafts, head)
                    self._heads.of(tenant).unknown = (head.chain, rows)
                    if session.begins:
                        connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                    sent[tenant] = (rows, connection.execute(APPEND, self._arguments(head, rows)))
                    if session.begins:
                        connection.execute("COMMIT")
                    pipeline.sync()
                if self._durability == "group":
                    connection.execute(FLUSH)
                    pipeline.sync()
                answers = {tenant: cursor.fetchone() for tenant, (_, cursor) in sent.items()}
        except driver.load().Error as error:
            raise driver.failed(error, session.address, unknown=True) from None
        if session.warned:
            # The wait for a standby was cancelled, and the commit returned as if all were well.
            session.flush()
        return {
            tenant: self._answered(tenant, answers[tenant], rows)
            for tenant, (rows, _) in sent.items()
        }

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
                    if chain.head is not None and head.chain != chain.head.chain:
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
            return self.finished(chain, rows)
        if kind is None or kind == "ended":
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
