"""Comparing a log with Loki over HTTP: needs httpx (extra ``loki``), so it is imported late."""

from __future__ import annotations

from audit_emit._loki import backfill, reconcile, shipped
from audit_emit._loki.client import LokiClient
from audit_emit._loki.plan import BackfillSettings, Plan, plan

__all__ = [
    "BackfillSettings",
    "LokiClient",
    "Plan",
    "backfill",
    "plan",
    "reconcile",
    "shipped",
]
