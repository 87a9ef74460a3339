"""Removing what is old and signed, for the commands that do."""

from __future__ import annotations

from audit_emit._retention.files import Outcome, Pruner, locked
from audit_emit._retention.holds import Hold, Holds
from audit_emit._retention.rows import RowsOutcome, RowsPruner
from audit_emit._retention.statement import Limits

__all__ = [
    "Hold",
    "Holds",
    "Limits",
    "Outcome",
    "Pruner",
    "RowsOutcome",
    "RowsPruner",
    "locked",
]
