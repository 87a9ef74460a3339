"""A way to append records about a log to its chain, in a file or in a database."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from audit_emit import Emitter
from audit_emit._facade.archive import Record
from audit_emit._facade.settings import Address, is_address
from audit_emit.cli._signer import active, emitter_of


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
    from audit_emit._facade.database import Connection, live_chains  # noqa: PLC0415 - an extra

    address, chosen = Address.chosen(log)
    connection = Connection(address).begin()
    try:
        found = live_chains(connection, chosen)
    finally:
        connection.end()
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} chains go on there; add #service= or #chain=")
    service, tenant, _ = found[0]
    return recorder_of_rows(address, service, tenant, stack)


def recorder_of_rows(address: Address, service: str, tenant: str, stack: ExitStack) -> Record:
    """Appends records about the log to its chain in a database."""
    from audit_emit._facade.database import Chains  # noqa: PLC0415 - an extra
    from audit_emit.outbox import own_record  # noqa: PLC0415

    emitter = Emitter(service=service, jsonl="off", stdout=False)
    stack.callback(emitter.close)
    chains = Chains(address, service=service)
    stack.callback(chains.close)
    own = own_record(emitter)

    def record(event_type: str, fields: dict[str, Any]) -> None:
        chains.append([own(event_type, fields)], tenant)

    return record
