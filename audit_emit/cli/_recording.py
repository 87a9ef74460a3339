"""A way to append records about a log to its chain, in a file or in a database."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from audit_emit import Emitter
from audit_emit._facade.archive import Record
from audit_emit._facade.settings import Address, is_address, is_archive
from audit_emit.cli._logs import NoLog, grouped, name_of
from audit_emit.cli._redacting import recorded
from audit_emit.cli._signer import active, durable, emitter_of
from audit_emit.errors import DatabaseError, SinkError

if TYPE_CHECKING:
    from audit_emit._facade.database import ServiceChain


def operator() -> str:
    """Who runs this: before sudo, by the name of the account, or by its number where it has none.

    In a container the user often has no line in ``/etc/passwd``.
    """
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


class Recording(NamedTuple):
    """One chain that takes records about itself.

    Attributes:
        name: for people.
        where: what a reader of it is opened with.
        record: appends a record, durably; raises ``SinkError``.
    """

    name: str
    where: tuple[str, ...]
    record: Callable[[str, dict[str, Any]], None]


@contextmanager
def recordings(logs: Sequence[str], actor: str) -> Iterator[list[Recording]]:
    """A recorder for each log, and for each live chain at an address.

    Args:
        logs: with their archives beside them.
        actor: the ``user_id`` of the records.

    Raises:
        UsageError: an archive was named alone.
        NoLog: there is no live chain at an address.
        DatabaseError: a database gives no answer.
    """
    by = (recorded(actor, "the name of who acts"), "admin")
    with ExitStack() as stack:
        found = []
        for log, *archives in grouped(logs):
            if is_archive(log):
                raise click.UsageError("an archive takes no record; name the LOG that it is of")
            if is_address(log):
                for name, where, record in _rows(log, by, stack):
                    found.append(Recording(name, (where, *archives), record))
                continue
            emitter = durable(active(log))
            stack.callback(emitter.close)
            found.append(Recording(log, (log, *archives), partial(emitter.record_own, by=by)))
        yield found


def _rows(log: str, by: tuple[str, str], stack: ExitStack) -> Iterator[tuple[str, str, Record]]:
    """Name, address and recorder of each live chain; a chain that was shipped is live elsewhere."""
    address, chains = _going_on(log)
    if not chains:
        raise NoLog(f"no chain goes on in {name_of(log)}, so none takes a record of it")
    for one in chains:
        where = f"{log.partition('#')[0]}#chain={one.name}"
        yield name_of(where), where, recorder_of_rows(address, one.service, one.tenant, stack, by)


def _going_on(log: str) -> tuple[Address, list[ServiceChain]]:
    from audit_emit._facade.database import Connection, live_chains  # noqa: PLC0415 - an extra

    address, chosen = Address.chosen(log)
    connection = Connection(address).begin()
    try:
        return address, live_chains(connection, chosen)
    finally:
        connection.end()


def recorder(log: str, stack: ExitStack) -> Record:
    """Appends records about a log to its one chain.

    Raises:
        UsageError: there are several chains, or none.
        OSError: it cannot be opened.
    """
    if not is_address(log):
        emitter = emitter_of(active(log), None, stdout=False)
        stack.callback(emitter.close)
        return emitter.record_own
    address, found = _going_on(log)
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} chains go on there; add #service= or #chain=")
    return recorder_of_rows(address, found[0].service, found[0].tenant, stack)


def recorder_of_rows(
    address: Address,
    service: str,
    tenant: str,
    stack: ExitStack,
    by: tuple[str, str] = ("", "service"),
) -> Record:
    """Appends records about the log to its chain in a database.

    Args:
        by: who has them written.
    """
    from audit_emit._facade.database import Chains  # noqa: PLC0415 - an extra
    from audit_emit.outbox import own_record  # noqa: PLC0415

    emitter = Emitter(service=service, jsonl="off", stdout=False)
    stack.callback(emitter.close)
    chains = Chains(address, service=service)
    stack.callback(chains.close)
    own = own_record(emitter, by)

    def record(event_type: str, fields: dict[str, Any]) -> None:
        try:
            chains.append([own(event_type, fields)], tenant)
        except DatabaseError as error:
            raise SinkError(error.reason) from error

    return record
