"""Appending to chains in PostgreSQL: one connection, no threads, every outcome accounted for.

The rules of this file:

1. A record counts as appended when the database said so, and, unless the durability is ``os``,
   when its log was synced after it.
2. An append whose answer did not come may have happened. It is asked for, by its place and its
   hash, before anything of it is sent again.
3. Who finds that the chain lost what was acknowledged here (a standby was promoted that did not
   have it) ends the chain, begins another one, and declares the loss in it. No chain forks.
4. Drafts are linked here and swapped in if the head is still the one they link to; who loses the
   race several times asks for the lock.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver, schema
from audit_emit._stores.postgres.rows import (
    APPEND,
    BATCH,
    Draft,
    Head,
    Row,
    arguments,
    link,
)
from audit_emit.errors import DatabaseError

SINK = "postgresql"
_RACES = 4
"""Lost races after which the lock is asked for."""

_MOST_CHAINS = 10_000
_DAY = 86_400.0
_FLUSH = "SELECT audit_emit.flush_appends()"
_OPEN = "SELECT chain, seq, hash, ts, kind FROM audit_emit.open_chain(%s, %s, %s)"
_LOCK = "SELECT chain, seq, hash, ts, kind FROM audit_emit.lock_chain(%s, %s, %s)"
_END = "SELECT chain, seq, hash, ts, kind FROM audit_emit.end_chain(%s, %s, %s, %s)"
_HEAD = "SELECT chain, seq, hash, ts, kind FROM audit_emit.heads WHERE chain = %s"
_IS_THERE = "SELECT 1 FROM audit_emit.records WHERE chain = %s AND seq = %s AND hash = %s"
_IS_PRUNED = "SELECT 1 FROM audit_emit.heads WHERE chain = %s AND pruned_seq >= %s"

OwnRecord = Callable[[str, dict[str, Any]], str]
"""Makes the text of a record that the emitter writes about itself, up to its link."""


class Linked(NamedTuple):
    """A record that is in the chain: its line with the newline, its id, its place and its hash."""

    line: bytes
    id: str | None
    chain: str
    seq: int
    hash: str


class _Chain:
    """What this process knows of one chain, of one service and tenant."""

    __slots__ = ("acknowledged", "announced", "head", "owed", "resolved", "unknown")

    def __init__(self) -> None:
        self.head: Head | None = None
        """What to link to; ``None``: it is to be asked for."""
        self.acknowledged: Head | None = None
        self.announced = False
        self.owed: list[Draft] = []
        """Records about the log itself that are not in it yet; they come before all others."""
        self.unknown: tuple[str, list[Row]] | None = None
        """What was sent, to which chain, when no answer came."""
        self.resolved: dict[str | None, Linked] = {}
        """Of those, what turned out to be there."""


class Chains:
    """The chains of one service; a chain for each tenant that is named.

    Nothing connects before the first call. Not for several threads at once.

    Args:
        address: of a role that has ``audit_emit_writer``.
        service: the name in every record.
        durability: ``always`` (each commit is waited for), ``group`` (the commits of one call are
            synced together before it returns), or ``os`` (nothing is waited for).
        own: see ``OwnRecord``; without it nothing is said about the log itself.
        started: the fields of this process's ``audit.started``, or ``None``.
        name: what the database shows of this connection.
    """

    def __init__(
        self,
        address: Address,
        *,
        service: str,
        durability: str = "group",
        own: OwnRecord | None = None,
        started: Callable[[], dict[str, Any] | None] | None = None,
        name: str = "audit_emit",
    ) -> None:
        self.address = address
        self.service = service
        self.durability = durability
        self._own = own
        self._started = started
        self._name = name
        self._connection: Any = None
        self._pid = os.getpid()
        self._chains: OrderedDict[str, _Chain] = OrderedDict()
        self._warned = False
        self._partitions_at = 0.0
        self._begins = False
        """Whether appends need a transaction that names its isolation."""

    # What others call.

    def append(self, drafts: Iterable[str | Draft], tenant: str = "") -> list[Linked]:
        """Append records to one chain, in their order.

        Args:
            drafts: their text up to member 11, without the closing brace; ``BATCH`` at most.
            tenant: which chain of the service.

        Returns:
            What is in the chain now, in its order: also records about the log itself, and what an
            earlier call had sent whose answer did not come (the ids say which is which).

        Raises:
            DatabaseError: not all of it is in the chain, as far as is known. The same drafts may
                be given again: none of them is appended twice.
        """
        done = self.append_each({tenant: list(drafts)})[tenant]
        if isinstance(done, DatabaseError):
            raise done
        return done

    def append_each(
        self, groups: Mapping[str, Sequence[str | Draft]]
    ) -> dict[str, list[Linked] | DatabaseError]:
        """Append to several chains in one round trip, each in a transaction of its own.

        Args:
            groups: drafts by tenant, as in ``append``.

        Returns:
            For each tenant what ``append`` returns or raises.
        """
        waiting = {
            tenant: [one if isinstance(one, Draft) else Draft.of(one) for one in drafts]
            for tenant, drafts in groups.items()
        }
        done: dict[str, list[Linked] | DatabaseError] = {}
        tried_again = False
        while waiting:
            try:
                self._append_waiting(waiting, done)
            except DatabaseError as error:
                self._drop()
                if error.reason == driver.AWAY and not tried_again:
                    # The connection may have been dead for hours; the server need not be.
                    tried_again = True
                    continue
                done |= dict.fromkeys(waiting, error)
                break
        return done

    def seal(
        self, tenant: str, take: Callable[[Any, str, int], tuple[list[Draft], int]], most: int
    ) -> tuple[list[Linked], int]:
        """Append what ``take`` takes out of elsewhere in the database, in one transaction with it.

        Args:
            tenant: of the chain.
            take: given the connection, the tenant and ``most``: the drafts, and a number that is
                given back.
            most: records to take.

        Returns:
            What was appended, and that number.

        Raises:
            DatabaseError: nothing was, or all of it, and ``take`` takes nothing of it again.
        """
        psycopg = driver.load()
        chain = self._chain(tenant)
        try:
            self._ready()
            self._open(tenant, anew=True)
            with self._connection.transaction():
                chain.head = Head.of(self._ask(_LOCK, self.service, tenant, _new_id()))
                drafts, number = take(self._connection, tenant, most)
                rows = link([*chain.owed, *drafts], chain.head)
                if rows:
                    self._ask(APPEND, *arguments(chain.head, rows, is_async=False))
        except psycopg.Error as error:
            self._drop()
            raise driver.failed(error, self.address, unknown=True) from None
        except DatabaseError:
            self._drop()
            raise
        chain.owed.clear()
        return self._finished(chain, rows), number

    def sync(self) -> None:
        """Make everything appended so far durable.

        Raises:
            DatabaseError: it may not be.
        """
        self._guarded(self._flush)

    def head(self, tenant: str = "") -> Head:
        """The newest record of a chain, as the database has it now.

        Raises:
            DatabaseError: it cannot be asked.
        """
        head: Head = self._guarded(lambda: self._open(tenant, anew=True))
        return head

    def close(self) -> None:
        """Give the connection back; the next call makes another one."""
        self._drop()

    def after_fork(self) -> None:
        """Begin a life of one's own in a forked child: the connection is the parent's."""
        if self._connection is not None:
            driver.leave(self._connection)
        self._connection = None
        self._pid = os.getpid()
        self._chains.clear()

    def __del__(self) -> None:
        try:
            self._drop()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    # One round.

    def _append_waiting(
        self, waiting: dict[str, list[Draft]], done: dict[str, list[Linked] | DatabaseError]
    ) -> None:
        """Append until nothing waits; what is done moves from one mapping to the other."""
        self._ready()
        races = 0
        while waiting:
            linked = {}
            for tenant in list(waiting):
                chain = self._chain(tenant)
                self._open(tenant)
                self._announce(chain, tenant)
                rest = self._left(chain, waiting[tenant])
                if rest:
                    linked[tenant] = rest
                else:
                    done[tenant] = self._finished(chain, [])
                    del waiting[tenant]
            races += 1
            rounds = self._locked if races > _RACES else self._swapped
            for tenant, outcome in rounds(linked).items():
                if outcome is not None:
                    done[tenant] = outcome
                    del waiting[tenant]

    def _left(self, chain: _Chain, drafts: list[Draft]) -> list[Draft]:
        """What of the drafts is to be sent, after what is owed."""
        there = {identity for identity in chain.resolved if identity is not None}
        return [one for one in (*chain.owed, *drafts) if one.copies.id not in there]

    def _announce(self, chain: _Chain, tenant: str) -> None:
        """Owe ``audit.started`` to the service's own chain, and to each that begins here."""
        if chain.announced or self._started is None or self._own is None:
            return
        chain.announced = True
        fields = self._started() if not tenant or not self._known(tenant).seq else None
        if fields is not None:
            chain.owed.append(Draft.of(self._own("audit.started", fields)))

    def _swapped(
        self, groups: Mapping[str, list[Draft]]
    ) -> dict[str, list[Linked] | DatabaseError | None]:
        """Append each group if its chain's head is still the known one; ``None`` where it is not.

        Raises:
            DatabaseError: no answer came; what was sent is remembered as unknown.
        """
        if not groups:
            return {}
        psycopg = driver.load()
        is_async = self.durability != "always"
        connection = self._connection
        sent: dict[str, tuple[Head, list[Row], Any]] = {}
        self._warned = False
        try:
            with connection.pipeline() as pipeline:
                for tenant, drafts in groups.items():
                    head = self._known(tenant)
                    rows = link(drafts, head)
                    if self._begins:
                        connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                    cursor = connection.execute(APPEND, arguments(head, rows, is_async=is_async))
                    if self._begins:
                        connection.execute("COMMIT")
                    sent[tenant] = (head, rows, cursor)
                    pipeline.sync()
                if self.durability == "group":
                    connection.execute(_FLUSH)
                    pipeline.sync()
                answers = {tenant: cursor.fetchone() for tenant, (_, _, cursor) in sent.items()}
        except psycopg.Error as error:
            for tenant, (head, rows, _) in sent.items():
                self._chain(tenant).unknown = (head.chain, rows)
            raise driver.failed(error, self.address, unknown=True) from None
        if self._warned:
            self._flush_again(sent)
        return {
            tenant: self._answered(tenant, answers[tenant], rows)
            for tenant, (_, rows, _) in sent.items()
        }

    def _answered(self, tenant: str, answer: Sequence[Any], rows: list[Row]) -> list[Linked] | None:
        appended, kind, seq, digest, ts = answer
        chain = self._chain(tenant)
        if appended:
            chain.owed.clear()
            return self._finished(chain, rows)
        if kind is None or kind == "ended":
            chain.head = None
        else:
            chain.head = Head(self._known(tenant).chain, seq, bytes(digest).hex(), ts, kind)
        return None

    def _finished(self, chain: _Chain, rows: list[Row]) -> list[Linked]:
        """The records of one call, and the head they leave."""
        head = chain.head
        assert head is not None  # noqa: S101 - it was asked for before
        before = list(chain.resolved.values())
        resolved_ids = set(chain.resolved)
        chain.owed = [one for one in chain.owed if one.copies.id not in resolved_ids]
        chain.resolved = {}
        made = [
            Linked(f"{row.line}\n".encode(), row.copies.id, head.chain, row.seq, row.hash)
            for row in rows
        ]
        if rows:
            last = rows[-1]
            chain.head = Head(head.chain, last.seq, last.hash, last.copies.ts)
        chain.acknowledged = chain.head
        return [*before, *made]

    def _locked(
        self, groups: Mapping[str, list[Draft]]
    ) -> dict[str, list[Linked] | DatabaseError | None]:
        """Append each group under its chain's lock: nobody can be faster there.

        Raises:
            DatabaseError: see ``_swapped``.
        """
        psycopg = driver.load()
        done: dict[str, list[Linked] | DatabaseError | None] = {}
        for tenant, drafts in groups.items():
            chain = self._chain(tenant)
            self._warned = False
            rows: list[Row] = []
            try:
                with self._connection.transaction():
                    found = self._ask(_LOCK, self.service, tenant, _new_id())
                    head = Head.of(found)
                    if chain.head is not None and head.chain != chain.head.chain:
                        chain.head = None
                        done[tenant] = None
                        continue
                    rows = link(drafts, head)
                    chain.head = head
                    is_async = self.durability != "always"
                    answer = self._ask(APPEND, *arguments(head, rows, is_async=is_async))
                if self.durability == "group":
                    self._connection.execute(_FLUSH)
            except psycopg.Error as error:
                if rows:
                    chain.unknown = (head.chain, rows)
                raise driver.failed(error, self.address, unknown=bool(rows)) from None
            if self._warned:
                self._flush_again({tenant: (head, rows, None)})
            done[tenant] = self._answered(tenant, answer, rows)
        return done

    def _flush_again(self, sent: Mapping[str, tuple[Head, list[Row], Any]]) -> None:
        """The wait for a standby was cancelled, and the commit returned as if all were well.

        Raises:
            DatabaseError: and so it was again.
        """
        try:
            self._flush()
        except DatabaseError:
            for tenant, (head, rows, _) in sent.items():
                self._chain(tenant).unknown = (head.chain, rows)
            raise

    def _flush(self) -> None:
        self._warned = False
        self._connection.execute(_FLUSH)
        if self._warned:
            raise DatabaseError(
                "not-replicated",
                "the wait for a synchronous standby was cancelled: what was appended may be lost",
                unknown=True,
            )

    # The connection, and what is found out when it is made.

    def _guarded(self, ask: Callable[[], Any]) -> Any:
        """Ask something that may be asked twice."""
        psycopg = driver.load()
        for last in (False, True):
            try:
                self._ready()
                return ask()
            except psycopg.Error as error:
                self._drop()
                if last or driver.reason_of(error) != driver.AWAY:
                    raise driver.failed(error, self.address) from None
            except DatabaseError:
                self._drop()
                raise
        raise AssertionError

    def _ready(self) -> None:
        """See to a connection; and that what is unknown is known.

        Raises:
            DatabaseError: there is none.
        """
        if os.getpid() != self._pid:
            self.after_fork()
        psycopg = driver.load()
        try:
            if self._connection is None or self._connection.closed:
                self._connect()
            self._resolve()
            if time.monotonic() > self._partitions_at:
                self._connection.execute("SELECT audit_emit.ensure_partitions()")
                self._partitions_at = time.monotonic() + _DAY
        except psycopg.Error as error:
            raise driver.failed(error, self.address) from None

    def _connect(self) -> None:
        self._drop()
        connection = driver.connect(self.address, name=self._name, on_notice=self._noticed)
        self._connection = connection
        connection.isolation_level = driver.load().IsolationLevel.READ_COMMITTED
        found = schema.state(connection)
        if not found.applied:
            # The first one ever here: what is missing is created, if this role may.
            schema.migrate(self.address)
        elif not found.is_current:
            raise DatabaseError(
                "schema-behind" if found.pending else "migrations-differ",
                f"the schema in {self.address.shown} is at migration {found.applied} of "
                f"{found.known}, or another one: run audit-emit db check",
            )
        isolation = connection.execute("SHOW default_transaction_isolation").fetchone()
        self._begins = isolation != ("read committed",)
        for chain in self._chains.values():
            chain.head = None

    def _noticed(self, notice: Any) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warned = True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and os.getpid() == self._pid:
            driver.close(connection)

    def _resolve(self) -> None:
        """Ask for what was sent when no answer came."""
        unknown = [chain for chain in self._chains.values() if chain.unknown is not None]
        flushed = False
        for chain in unknown:
            assert chain.unknown is not None  # noqa: S101 - see above
            name, rows = chain.unknown
            there = self._ask(_IS_THERE, name, rows[-1].seq, bytes.fromhex(rows[-1].hash))
            if there is not None:
                if self.durability != "os" and not flushed:
                    self._flush()
                    flushed = True
                for row in rows:
                    chain.resolved[row.copies.id] = Linked(
                        f"{row.line}\n".encode(), row.copies.id, name, row.seq, row.hash
                    )
                last = rows[-1]
                chain.acknowledged = Head(name, last.seq, last.hash, last.copies.ts)
            chain.unknown = None

    def _open(self, tenant: str, *, anew: bool = False) -> Head:
        """The head of a chain; asked for when it is not known, and compared with what was acked."""
        chain = self._chain(tenant)
        if chain.head is not None and not anew:
            return chain.head
        psycopg = driver.load()
        try:
            head = Head.of(self._ask(_OPEN, self.service, tenant, _new_id()))
            chain.head = self._compared(chain, head)
        except psycopg.Error as error:
            raise driver.failed(error, self.address) from None
        return chain.head

    def _compared(self, chain: _Chain, head: Head) -> Head:
        """The head to go on from: another chain's, where this one lost what was acknowledged."""
        known = chain.acknowledged
        if known is None or not known.seq or known[:3] == head[:3] or self._has(known):
            return head
        left = head if head.chain == known.chain else None
        if left is None:
            row = self._ask(_HEAD, known.chain)
            left = Head.of(row) if row is not None else Head(known.chain, 0, known.hash)
        else:
            head = Head.of(
                self._ask(_END, head.chain, head.seq, bytes.fromhex(head.hash), _new_id())
            )
        self._owe_loss(chain, known, left)
        chain.acknowledged = None
        return head

    def _has(self, known: Head) -> bool:
        """Whether the database has a record; one that was pruned counts as there."""
        digest = bytes.fromhex(known.hash)
        return bool(
            self._ask(_IS_THERE, known.chain, known.seq, digest)
            or self._ask(_IS_PRUNED, known.chain, known.seq)
        )

    def _owe_loss(self, chain: _Chain, known: Head, left: Head) -> None:
        if self._own is None:
            return
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
        chain.owed.append(Draft.of(self._own("audit.gap", fields)))

    # Small things.

    def _ask(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, values).fetchone()

    def _known(self, tenant: str) -> Head:
        head = self._chain(tenant).head
        assert head is not None  # noqa: S101 - whoever asks has opened it
        return head

    def _chain(self, tenant: str) -> _Chain:
        chain = self._chains.get(tenant)
        if chain is None:
            chain = self._chains[tenant] = _Chain()
            self._forget_idle()
        else:
            self._chains.move_to_end(tenant)
        return chain

    def _forget_idle(self) -> None:
        """Chains that were not used for long are asked for anew."""
        while len(self._chains) > _MOST_CHAINS:
            tenant, chain = next(iter(self._chains.items()))
            if chain.unknown is not None or chain.owed:
                self._chains.move_to_end(tenant)
                return
            del self._chains[tenant]


def _new_id() -> str:
    return secrets.token_hex(8)


__all__ = ["BATCH", "SINK", "Chains", "Linked"]
