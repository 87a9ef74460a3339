"""Removing what is old and signed, for the commands that do."""

from __future__ import annotations

from audit_emit._retention.files import Outcome, Pruner, locked
from audit_emit._retention.holds import PLACED, RELEASED, Hold, Holds
from audit_emit._retention.holds import RECORD as HOLD
from audit_emit._retention.holds import fields_of as hold_fields
from audit_emit._retention.rows import RowsOutcome, RowsPruner
from audit_emit._retention.statement import Limits

__all__ = [
    "HOLD",
    "PLACED",
    "RELEASED",
    "Hold",
    "Holds",
    "Limits",
    "Outcome",
    "Pruner",
    "RowsOutcome",
    "RowsPruner",
    "hold_fields",
    "locked",
]
