"""Comparing a log with Loki: settings and findings. Nothing here needs HTTP."""

from __future__ import annotations

from audit_emit._loki.disagreement import Finding, Kind, Report
from audit_emit._loki.journal import Journal, RecentlyPushed
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.settings import PREFIX, VARIABLES, from_environment, site_labels
from audit_emit._loki.streams import STREAMS

__all__ = [
    "PREFIX",
    "STREAMS",
    "VARIABLES",
    "Finding",
    "Journal",
    "Kind",
    "LogIndex",
    "RecentlyPushed",
    "Report",
    "from_environment",
    "site_labels",
]
