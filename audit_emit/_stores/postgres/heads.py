"""The heads of a service's chains as a writer knows them, and what to do where one lost records."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.rows import Head, Row, UnlinkedRow
from audit_emit._stores.postgres.session import Session

__all__ = ["SINK", "Heads", "KnownChain", "OwnRecord"]

SINK = "postgresql"
"""The name of this store in ``audit.gap``."""

_MOST_CHAINS = 10_000
_MOST_LATE = 8
_OPEN = "SELECT chain, seq, hash, ts, kind FROM audit_emit.open_chain(%s, %s, %s)"
_LOCK = "SELECT chain, seq, hash, ts, kind FROM audit_emit.lock_chain(%s, %s, %s)"
_END = "SELECT chain, seq, hash, ts, kind FROM audit_emit.end_chain(%s, %s, %s, %s)"
_HEAD = "SELECT chain, seq, hash, ts, kind FROM audit_emit.heads WHERE chain = %s"
_IS_THERE = "SELECT 1 FROM audit_emit.records WHERE chain = %s AND seq = %s AND hash = %s"
_IS_PRUNED = "SELECT 1 FROM audit_emit.heads WHERE chain = %s AND pruned_seq >= %s"

OwnRecord = Callable[[str, dict[str, Any]], str]
"""Makes the text of a record that the emitter writes about itself, up to its link."""


class KnownChain:
    """The state of one chain, of one service and tenant, as this process knows it.

    Attributes:
        head: the record to link to; ``None`` when it has to be read from the database.
        acknowledged: the last record that was confirmed to a caller.
        announced: whether this process has seen to its ``audit.started``.
        owed: records about the log itself that are not in the chain yet; they come first.
        unknown: what was sent, to which chain, and not answered yet.
        resolved: what of that turned out to be there, by id.
        late: what was not there when it was asked for, and may be yet: a server goes on with an
            append, which may wait for a lock, when its connection is cut.
    """

    __slots__ = ("acknowledged", "announced", "head", "late", "owed", "resolved", "unknown")

    def __init__(self) -> None:
        self.head: Head | None = None
        self.acknowledged: Head | None = None
        self.announced = False
        self.owed: list[UnlinkedRow] = []
        self.unknown: tuple[str, list[Row]] | None = None
        self.resolved: dict[str, Linked] = {}
        self.late: list[tuple[str, list[Row]]] = []


class Heads:
    """The chains of one service, by tenant.

    Args:
        session: where they are asked for.
        service: whose they are.
        own: see ``OwnRecord``; without it nothing is said about the log itself.
        started: the fields of this process's ``audit.started``, or ``None``.
    """

    def __init__(
        self,
        session: Session,
        service: str,
        own: OwnRecord | None,
        started: Callable[[], dict[str, Any] | None] | None,
    ) -> None:
        self._session = session
        self._service = service
        self._own = own
        self._started = started
        self._chains: OrderedDict[str, KnownChain] = OrderedDict()

    def of(self, tenant: str) -> KnownChain:
        """What is known of a chain."""
        chain = self._chains.get(tenant)
        if chain is None:
            chain = self._chains[tenant] = KnownChain()
            self._forget_idle()
        else:
            self._chains.move_to_end(tenant)
        return chain

    def known(self, tenant: str) -> Head:
        """The head of a chain that was opened before."""
        head = self.of(tenant).head
        assert head is not None  # noqa: S101 - whoever asks has opened it
        return head

    def peek(self, tenant: str) -> Head | None:
        """The head of a chain if it is known; other threads may call this, too."""
        chain = self._chains.get(tenant)
        return chain.head if chain is not None else None

    def ask_anew(self) -> None:
        """Ask for every head again: the server may be another one."""
        for chain in self._chains.values():
            chain.head = None

    def clear(self) -> None:
        """Forget everything in a forked child: the parent writes what it still has to."""
        self._chains.clear()

    def open(self, tenant: str, *, anew: bool = False) -> Head:
        """The head of a chain; if it must be asked for, it is compared with what was acknowledged.

        Raises:
            DatabaseError: it cannot be asked.
        """
        chain = self.of(tenant)
        if chain.head is not None and not anew:
            return chain.head
        try:
            head = Head.of(self._session.ask_committed(_OPEN, self._service, tenant, _new_id()))
            chain.head = self._compared(chain, head)
            if chain.late:
                self._look_again(chain, chain.head)
        except driver.load().Error as error:
            raise driver.failed(error, self._session.address) from None
        return chain.head

    def lock(self, tenant: str) -> Head:
        """The head of a chain that nobody else moves before this transaction is over."""
        return Head.of(self._session.ask(_LOCK, self._service, tenant, _new_id()))

    def announce(self, chain: KnownChain, tenant: str) -> None:
        """Queue ``audit.started`` for the service's own chain, and for each that begins here."""
        if chain.announced or self._started is None or self._own is None:
            return
        chain.announced = True
        fields = self._started() if not tenant or not self.known(tenant).seq else None
        if fields is not None:
            self._owe(chain, "audit.started", fields)

    def resolve(self, *, durable: bool) -> None:
        """Ask for what was sent when no answer came; what is there was appended.

        Args:
            durable: whether that must be synced before it counts.
        """
        flushed = not durable
        for chain in self._chains.values():
            if chain.unknown is None:
                continue
            name, rows = chain.unknown
            last = rows[-1]
            if self._session.ask(_IS_THERE, name, last.seq, bytes.fromhex(last.hash)) is not None:
                if not flushed:
                    self._session.flush()
                    flushed = True
                chain.resolved.update((row.copies.id or "", row.linked(name)) for row in rows)
                chain.acknowledged = Head(name, last.seq, last.hash, last.copies.ts)
            elif all(late[-1].hash != last.hash for _, late in chain.late):
                chain.late = [*chain.late[1 - _MOST_LATE :], chain.unknown]
            chain.unknown = None

    def _look_again(self, chain: KnownChain, head: Head) -> None:
        """Ask again for appends that may have come late, after the head was asked for.

        Each can only happen while its chain ends where it links to, and then keeps another one from
        that place: so what is not there and links elsewhere never will be.
        """
        may_be_yet = []
        for name, rows in chain.late:
            last = rows[-1]
            if self._session.ask(_IS_THERE, name, last.seq, bytes.fromhex(last.hash)) is not None:
                self._session.flush()
                chain.resolved.update((row.copies.id or "", row.linked(name)) for row in rows)
            elif (name, rows[0].seq - 1, rows[0].prev) == head[:3]:
                may_be_yet.append((name, rows))
        chain.late = may_be_yet

    def _compared(self, chain: KnownChain, head: Head) -> Head:
        """The head to go on from: another chain's, where this one lost what was acknowledged."""
        known = chain.acknowledged
        if known is None or not known.seq or known[:3] == head[:3] or self._has(known):
            return head
        left = head if head.chain == known.chain else None
        if left is None:
            row = self._session.ask(_HEAD, known.chain)
            left = Head.of(row) if row is not None else Head(known.chain, 0, known.hash)
        else:
            ended = self._session.ask_committed(
                _END, head.chain, head.seq, bytes.fromhex(head.hash), _new_id()
            )
            head = Head.of(ended)
        self._owe_loss(chain, known, left)
        chain.acknowledged = None
        return head

    def _has(self, known: Head) -> bool:
        """Whether the database has a record; one that was pruned counts as there."""
        digest = bytes.fromhex(known.hash)
        return bool(
            self._session.ask(_IS_THERE, known.chain, known.seq, digest)
            or self._session.ask(_IS_PRUNED, known.chain, known.seq)
        )

    def _owe_loss(self, chain: KnownChain, known: Head, left: Head) -> None:
        fields = {
            "lost": max(known.seq - left.seq, 1),
            "first_ts": left.ts,
            "last_ts": known.ts,
            "reason": "lost-tail",
            "sink": SINK,
            "chain": known.chain,
            "after_seq": min(left.seq, known.seq),
            "last_seq": known.seq,
        }
        self._owe(chain, "audit.gap", fields)

    def _owe(self, chain: KnownChain, event_type: str, fields: dict[str, Any]) -> None:
        if self._own is not None:
            chain.owed.append(UnlinkedRow.of(self._own(event_type, fields), own=True))

    def _forget_idle(self) -> None:
        """Chains that were not used for long are asked for anew."""
        while len(self._chains) > _MOST_CHAINS:
            tenant, chain = next(iter(self._chains.items()))
            if chain.unknown is not None or chain.owed or chain.late:
                self._chains.move_to_end(tenant)
                return
            del self._chains[tenant]


def _new_id() -> str:
    return secrets.token_hex(8)
