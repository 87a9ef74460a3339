"""Chains in PostgreSQL: their schema, sealing and signing, for commands and adapters."""

from __future__ import annotations

from audit_emit._checkpoints.rows import (
    RowsCheckpointer,
    ServiceChain,
    ended_chains,
    live_chains,
)
from audit_emit._checkpoints.signer_state import state_of
from audit_emit._readers.postgres.connection import Connection
from audit_emit._stores.postgres import driver, schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.sealing import POLL_SECONDS, Sealer

__all__ = [
    "POLL_SECONDS",
    "Chains",
    "Connection",
    "RowsCheckpointer",
    "Sealer",
    "ServiceChain",
    "driver",
    "ended_chains",
    "live_chains",
    "schema",
    "state_of",
]
