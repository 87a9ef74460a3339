"""Moving bytes of a log aside that are no record, for the command of that name."""

from __future__ import annotations

from audit_emit._repair.apply import DIRECTORY, Moved, apply, declare_legacy, service_of
from audit_emit._repair.plan import Plan, plan_repair

__all__ = [
    "DIRECTORY",
    "Moved",
    "Plan",
    "apply",
    "declare_legacy",
    "plan_repair",
    "service_of",
]
