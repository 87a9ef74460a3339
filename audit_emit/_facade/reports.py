"""Reports on a log, and the alerts in it, for commands and the console."""

from __future__ import annotations

from audit_emit._report.build import SECTIONS, Asked, report_on
from audit_emit._report.controls import Entry, read_map
from audit_emit._report.formats import FORMATS, written
from audit_emit._report.period import SECOND, Period
from audit_emit._report.recent import DAYS, recent_alerts

__all__ = [
    "DAYS",
    "FORMATS",
    "SECOND",
    "SECTIONS",
    "Asked",
    "Entry",
    "Period",
    "read_map",
    "recent_alerts",
    "report_on",
    "written",
]
