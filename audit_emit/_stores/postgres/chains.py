"""Appending to chains in PostgreSQL: one connection, no threads, every outcome accounted for.

The rules of this file:

1. A record counts as appended when the database said so, and, unless the durability is ``os``,
   when its log was synced after it.
2. An append whose answer did not come may have happened. It is asked for, by its place and its
   hash, before anything of it is sent again.
3. If the chain lost a record that was acknowledged here (a standby without it was promoted), it is
   ended, and another chain is begun, which declares the loss. No chain forks.
4. Drafts are linked here, and appended if the head is still the one they link to (compare and
   swap). A writer that loses this race several times takes the lock (``rounds.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from audit_emit._settings.address import Address
from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.heads import SINK, Heads, OwnRecord
from audit_emit._stores.postgres.rounds import Outcome, Round, Waiting
from audit_emit._stores.postgres.rows import APPEND, BATCH, Head, UnlinkedRow, arguments, link
from audit_emit._stores.postgres.session import Session
from audit_emit.errors import DatabaseError

__all__ = ["BATCH", "SINK", "Chains", "OwnRecord"]

_LOCKED_SECONDS = 30.0
"""How long a chain that somebody else keeps locked is left alone where there are others to append
to: all of them wait while it is tried."""


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
        self.durability = durability
        self._session = Session(address, name, self._ask_anew)
        self._heads = Heads(self._session, service, own, started)
        self._round = Round(self._session, self._heads, durability)
        self._locked: dict[str, tuple[float, DatabaseError]] = {}

    # What others call.

    def append(self, drafts: Iterable[str | UnlinkedRow], tenant: str = "") -> list[Linked]:
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

    def append_each(self, groups: Mapping[str, Sequence[str | UnlinkedRow]]) -> dict[str, Outcome]:
        """Append to several chains in one round trip, each in a transaction of its own.

        Args:
            groups: drafts by tenant, as in ``append``.

        Returns:
            For each tenant what ``append`` returns or raises.
        """
        waiting: Waiting = {tenant: _rows(drafts) for tenant, drafts in groups.items()}
        done = self._left_alone(waiting)
        tried_again = False
        while waiting:
            try:
                self._ready()
                self._round.append_waiting(waiting, done)
            except DatabaseError as error:
                self._session.drop()
                if error.reason == driver.AWAY and not tried_again:
                    # The connection may have been dead for hours; the server need not be.
                    tried_again = True
                    continue
                if len(waiting) > 1 and driver.may_be_of_one_chain(error.reason):
                    self._append_one_by_one(waiting, done)
                else:
                    done |= dict.fromkeys(waiting, error)
                break
            except BaseException:
                # Interrupted in the middle of a question: its answer is not to be taken for
                # another one's. What was sent is asked for by the next call.
                self._session.drop()
                raise
        self._note_locked(done)
        return done

    def _left_alone(self, waiting: Waiting) -> dict[str, Outcome]:
        """Take out those chains that were found locked, unless there is no other one."""
        now = monotonic()
        self._locked = {one: kept for one, kept in self._locked.items() if kept[0] > now}
        if self._locked.keys() >= waiting.keys():
            return {}
        left = [one for one in waiting if one in self._locked]
        for one in left:
            del waiting[one]
        return {one: self._locked[one][1] for one in left}

    def _note_locked(self, done: Mapping[str, Outcome]) -> None:
        until = monotonic() + _LOCKED_SECONDS
        for tenant, outcome in done.items():
            if not isinstance(outcome, DatabaseError):
                self._locked.pop(tenant, None)
            elif outcome.reason == "chain-locked":
                self._locked.setdefault(tenant, (until, outcome))

    def _append_one_by_one(self, waiting: Waiting, done: dict[str, Outcome]) -> None:
        """Append to each chain separately, so that one that is refused does not stop the others."""
        for tenant, drafts in waiting.items():
            try:
                self._ready()
                self._round.append_waiting({tenant: drafts}, done)
            except DatabaseError as error:
                self._session.drop()
                done[tenant] = error

    def seal(
        self,
        tenant: str,
        take: Callable[[Any, str, int], tuple[list[UnlinkedRow], int]],
        most: int,
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
        chain = self._heads.of(tenant)
        session = self._session
        try:
            self._ready()
            self._heads.open(tenant, anew=True)
            with session.connection.transaction():
                chain.head = self._heads.lock(tenant)
                drafts, number = take(session.connection, tenant, most)
                rows = link([*chain.owed, *drafts], chain.head)
                if rows:
                    session.ask(APPEND, *arguments(chain.head, rows, is_async=False))
        except driver.load().Error as error:
            session.drop()
            raise driver.failed(error, self.address, unknown=True) from None
        except DatabaseError:
            session.drop()
            raise
        chain.owed.clear()
        return self._round.finished(chain, rows), number

    def sync(self) -> None:
        """Make everything appended so far durable.

        Raises:
            DatabaseError: it may not be.
        """
        self._guarded(self._session.flush)

    def head(self, tenant: str = "") -> Head:
        """The newest record of a chain, as the database has it now.

        Raises:
            DatabaseError: it cannot be asked.
        """
        head: Head = self._guarded(lambda: self._heads.open(tenant, anew=True))
        return head

    def known_head(self, tenant: str = "") -> Head | None:
        """The newest record of a chain as far as this process knows, without asking."""
        return self._heads.peek(tenant)

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        self._session.drop()

    def after_fork(self) -> None:
        """Start anew in a forked child: the connection belongs to the parent."""
        self._session.after_fork()
        self._heads.clear()

    def __del__(self) -> None:
        try:
            self._session.drop()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    # The connection, and what is found out when it is made.

    def _guarded(self, ask: Callable[[], Any]) -> Any:
        """Ask something that may be asked twice."""
        for last in (False, True):
            try:
                self._ready()
                return ask()
            except driver.load().Error as error:
                self._session.drop()
                if last or driver.reason_of(error) != driver.AWAY:
                    raise driver.failed(error, self.address) from None
            except DatabaseError:
                self._session.drop()
                raise
        raise AssertionError

    def _ready(self) -> None:
        """Connect if necessary, and find out what became of appends without an answer.

        Raises:
            DatabaseError: there is none.
        """
        if self._session.is_inherited():
            self.after_fork()
        try:
            self._session.ready()
            self._heads.resolve(durable=self.durability != "os")
        except driver.load().Error as error:
            raise driver.failed(error, self.address) from None

    def _ask_anew(self) -> None:
        self._heads.ask_anew()


def _rows(drafts: Sequence[str | UnlinkedRow]) -> list[UnlinkedRow]:
    made = iter(UnlinkedRow.each([one for one in drafts if isinstance(one, str)]))
    return [next(made) if isinstance(one, str) else one for one in drafts]
