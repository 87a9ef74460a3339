"""Sealing: links the rows of the outbox into their chains.

In one transaction a row is deleted and its record appended. Any number of sealers may run: the lock
of the chain orders them. Applications that may insert into the outbox are not trusted to insert
valid records: a row that is no event of its service is replaced by a declared loss.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from audit_emit._format.record import RESERVED, TYPE, ns_of, parsed
from audit_emit._runtime.interrupts import let_through
from audit_emit._settings.address import Address
from audit_emit._stores.base import Linked
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.chains import BATCH, SINK, Chains, OwnRecord
from audit_emit._stores.postgres.rows import UnlinkedRow
from audit_emit.errors import DatabaseError

POLL_SECONDS = 0.2
"""Seconds between looks while the outbox is empty."""

_PACE_SECONDS = 0.05
"""Between rounds of a service's own thread while rows come. A round for each row would sync as
often as the service does; one for hundreds would keep the interpreter from its threads."""

LONGEST_SECONDS = 30.0
REFUSED_SECONDS = 30.0
"""Seconds for which a chain that refused records is not tried again."""

_MOST_SERVICES = 8
"""Connections that are kept; each service has one."""

_WAITING = "SELECT service, tenant, waiting, oldest FROM audit_emit.unsealed()"
_LAG = (
    "SELECT coalesce(extract(epoch FROM now() - min(oldest)), 0)::float FROM audit_emit.unsealed()"
)
_TAKE = "SELECT number, unlinked FROM audit_emit.take_unsealed(%s, %s, %s)"
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BEGIN = re.compile(
    r"\{"
    + "".join(
        rf'"{name}":{_STRING},'
        for name in (
            "ts", "event_type", "workspace_id", "user_id", "actor_kind", "correlation_id"
        )
    )
    + '"fields":(?={)'
)  # fmt: skip
_END = re.compile(
    rf',"v":1,"id":{_STRING},("service":{_STRING})'
    rf'(?:,"trace_id":{_STRING})?(?:,"span_id":{_STRING})?\Z'
)
"""A record up to its link is these members in this order, each of them once: who reads it by place
and who reads it by name must find the same. What is between the two is ``fields`` alone."""


class Sealed(NamedTuple):
    """What one round did: how many records, and how many rows that were none.

    Attributes:
        errors: of chains that took nothing now, while others did.
        more: whether more than a batch waited, so that the next round is due at once.
    """

    records: int = 0
    refused: int = 0
    errors: tuple[DatabaseError, ...] = ()
    more: bool = False


class Sealer:
    """Seals what waits, of all services and tenants.

    Args:
        address: of a role that has ``audit_emit_writer``.
        own: makes the records that the chains have about themselves.
        show: called with each line after its commit.
    """

    def __init__(
        self,
        address: Address,
        *,
        own: OwnRecord,
        show: Callable[[bytes], object] | None = None,
    ) -> None:
        self._address = address
        self._own = own
        self._show = show
        self._chains: dict[str, Chains] = {}
        self._asking: Any = None
        self._pid = os.getpid()
        self._refusing: dict[tuple[str, str], tuple[float, str]] = {}

    @property
    def fault(self) -> str | None:
        """Why some chain takes nothing, as one word; ``None`` while all do."""
        return next((reason for _, reason in self._refusing.values()), None)

    def seal(self) -> Sealed:
        """Seal what waits now, a batch of each chain; more may wait then.

        A chain that takes nothing holds up no other one, and is left alone for a while.

        Raises:
            DatabaseError: the database gives no answer; nothing was sealed twice, or lost.
        """
        done = Sealed()
        waiting = {(service, tenant): rows for service, tenant, rows, _ in self._ask(_WAITING)}
        # What another sealer has sealed since waits no longer, and is no fault any more.
        self._refusing = {one: self._refusing[one] for one in waiting if one in self._refusing}
        for (service, tenant), rows in waiting.items():
            if time.monotonic() < self._refusing.get((service, tenant), (0.0, ""))[0]:
                continue
            try:
                records, refused = self._of(service).seal(tenant, self._taken(service), BATCH)
            except DatabaseError as error:
                if not driver.may_be_of_one_chain(error.reason):
                    raise
                until = time.monotonic() + REFUSED_SECONDS
                self._refusing[service, tenant] = until, error.reason
                done = done._replace(errors=(*done.errors, error))
                continue
            self._refusing.pop((service, tenant), None)
            done = done._replace(
                records=done.records + len(records),
                refused=done.refused + refused,
                more=done.more or (bool(records) and rows > BATCH),
            )
            self._tell(records)
        return done

    def lag(self) -> float:
        """Seconds for which the oldest row has waited; 0 when none waits.

        Raises:
            DatabaseError: the database gives no answer.
        """
        ((seconds,),) = self._ask(_LAG)
        return float(seconds)

    def close(self) -> None:
        """Close all connections."""
        for chains in self._chains.values():
            chains.close()
        self._hang_up()

    def __del__(self) -> None:
        try:
            self._hang_up()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def _tell(self, records: list[Linked]) -> None:
        if self._show is not None:
            for record in records:
                self._show(record.line)

    def _of(self, service: str) -> Chains:
        if service not in self._chains:
            if len(self._chains) >= _MOST_SERVICES:
                self._chains.pop(next(iter(self._chains))).close()
            self._chains[service] = Chains(
                self._address,
                service=service,
                durability="always",
                own=self._own,
                name="audit_emit seal",
            )
        return self._chains[service]

    def _taken(self, service: str) -> Callable[[Any, str, int], tuple[list[UnlinkedRow], int]]:
        """Takes rows of a chain out of the outbox, in the transaction that appends them."""

        def take(connection: Any, tenant: str, most: int) -> tuple[list[UnlinkedRow], int]:
            rows = connection.execute(_TAKE, [service, tenant, most]).fetchall()
            drafts = events_of([text for _, text in rows], service)
            refused = len(rows) - len(drafts)
            if refused:
                drafts.append(UnlinkedRow.of(self._own("audit.gap", _loss(refused)), own=True))
            return drafts, refused

        return take

    def _hang_up(self) -> None:
        """Close the connection; a forked child only drops it, as the parent still uses it."""
        connection, self._asking = self._asking, None
        if connection is not None:
            (driver.close if self._pid == os.getpid() else driver.leave)(connection)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        psycopg = driver.load()
        if self._pid != os.getpid():
            self._hang_up()
            self._pid = os.getpid()
        try:
            if self._asking is None or self._asking.closed:
                self._asking = driver.connect(self._address, name="audit_emit seal")
            found: list[tuple[Any, ...]] = self._asking.execute(query).fetchall()
        except psycopg.Error as error:
            self._hang_up()
            raise driver.failed(error, self._address) from None
        return found


def events_of(texts: Sequence[str], service: str) -> list[UnlinkedRow]:
    """The records of an application's events that rows are, up to their link, without all else.

    Records about the log itself are for the log to write; members of the link, too.
    """
    rows = zip(texts, UnlinkedRow.each(texts), strict=True)
    return [row for text, row in rows if _is_event(text, row, service)]


def _is_event(text: str, row: UnlinkedRow, service: str) -> bool:
    if not text.startswith('{"ts":"') or not text.endswith('"') or "\n" in text:
        return False
    begin, end = _BEGIN.match(text), _END.search(text)
    if begin is None or end is None or parsed(text[begin.end() : end.start()].encode()) is None:
        return False
    copies = row.copies  # there is no id among them if the text is no JSON
    return (
        copies.id is not None
        and TYPE.fullmatch(copies.event_type) is not None
        and (
            not copies.event_type.startswith(RESERVED)
            or copies.event_type == "audit.invalid_event_type"
        )
        and parsed(f"{{{end[1]}}}".encode()) == {"service": service}
        and copies.ts == text[7:37]
        and _is_time(copies.ts)
    )


def _is_time(ts: str) -> bool:
    try:
        ns_of(ts)
    except ValueError:
        return False
    return ts.endswith("Z") and len(ts) == len("2026-05-19T20:00:00.123456789Z")


def _loss(rows: int) -> dict[str, Any]:
    return {
        "lost": rows,
        "first_ts": "",
        "last_ts": "",
        "reason": "malformed-outbox",
        "sink": SINK,
    }


class SealerThread(threading.Thread):
    """Seals until it is stopped, whatever the database does meanwhile.

    Args:
        address, own, show: see ``Sealer``.

    Attributes:
        fault: why nothing, or nothing of some chain, is sealed now, as one word; ``None`` while all
            is well.
    """

    def __init__(
        self,
        address: Address,
        *,
        own: OwnRecord,
        show: Callable[[bytes], object] | None = None,
    ) -> None:
        super().__init__(name="audit_emit-sealer", daemon=True)
        driver.check(address, "address")
        self.fault: str | None = None
        self._sealer = Sealer(address, own=own, show=show)
        self._ends = threading.Event()

    def run(self) -> None:
        """See the class."""
        failures = 0
        wait = 0.0
        while not self._ends.wait(wait):
            try:
                done = self._sealer.seal()
                self.fault, failures = self._sealer.fault, 0
                wait = 0.0 if done.more else _PACE_SECONDS if done.records else POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - nobody else would begin again
                let_through(error)
                self.fault = error.reason if isinstance(error, DatabaseError) else "seal-failed"
                failures += 1
                wait = min(LONGEST_SECONDS, POLL_SECONDS * 2**failures)
        self._sealer.close()

    def stop(self, seconds: float = 10.0) -> bool:
        """Finish the current batch and end; whether it has ended in time."""
        self._ends.set()
        self.join(seconds)
        return not self.is_alive()
