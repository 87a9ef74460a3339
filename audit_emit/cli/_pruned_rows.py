"""Removing the months of a database: ``audit-emit db prune`` and ``audit-emit archive prune``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from audit_emit import Emitter
from audit_emit._facade.database import Connection, RowsCheckpointer, state_of
from audit_emit._facade.retention import RowsOutcome, RowsPruner
from audit_emit._facade.settings import Address
from audit_emit.cli._bar import on_terminal
from audit_emit.errors import CheckpointError, DatabaseError
from audit_emit.log import KeyRing
from audit_emit.outbox import own_record


def pruned(
    address: Address,
    ring: KeyRing,
    work: Callable[[RowsPruner], RowsOutcome],
    *,
    drop: bool,
    rehearse: bool,
) -> dict[str, Any]:
    """Remove months, and sign the records that say so; what was done, as JSON values.

    Args:
        work: removes months with the pruner of the database that it gets.
        drop, rehearse: whether ``work`` drops the months, or only tries; part of the result.

    Raises:
        RetentionError: nothing was removed.
        DatabaseError: nothing was removed, or it is not known (``unknown``).
    """
    connection = Connection(address).begin()
    with ExitStack() as stack:
        stack.callback(connection.end)

        def prefix(service: str, event_type: str, fields: Mapping[str, Any]) -> str:
            emitter = Emitter(service=service, jsonl="off", stdout=False)
            try:
                return own_record(emitter)(event_type, dict(fields))
            finally:
                emitter.close()

        bar = stack.enter_context(on_terminal("reading", "of this step"))
        pruner = RowsPruner(connection, ring, prefix, progress=bar)
        made = work(pruner)
        signed = {} if rehearse else _signed(connection, ring, made)
    return {
        "dry_run": rehearse,
        "dropped": drop and not rehearse,
        "months": list(made.months),
        "chains": [
            {
                "chain": part.chain,
                "service": part.service,
                "kind": part.kind,
                "last_seq": part.last,
                "checkpoint": part.removal.size if part.removal else None,
                "signed": signed.get(part.chain),
            }
            for part in made.chains
        ],
        "stopped": made.stopped,
    }


def _signed(connection: Connection, ring: KeyRing, made: RowsOutcome) -> dict[str, bool]:
    """Sign each chain whose state file is here: nobody else signs a chain that has ended.

    The checkpoint is not recorded in the chain, which would need the rights of a writer.
    """
    done: dict[str, bool] = {}
    for part in made.chains:
        if part.removal is None or part.kind == "shipped":
            continue
        done[part.chain] = False
        state = state_of(part.chain)
        if not os.path.lexists(state):
            continue
        signer = RowsCheckpointer(
            connection,
            part.chain,
            ring,
            origin=part.removal.origin.rpartition("/")[0],
            record=lambda _type, _fields: None,
            state=state,
        )
        with suppress(CheckpointError, DatabaseError, OSError):
            signer.run("manual")
            done[part.chain] = True
    return done
