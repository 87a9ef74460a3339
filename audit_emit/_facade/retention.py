"""Removing what is old and signed, for the commands that do."""

from __future__ import annotations

from audit_emit._retention.files import Outcome, Pruner
from audit_emit._retention.statement import Limits

__all__ = [
    "Limits",
    "Outcome",
    "Pruner",
]
