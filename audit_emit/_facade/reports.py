"""Reports on a log, and the alerts in it, for commands and the console."""

from __future__ import annotations

from audit_emit._report.alerts import ACKNOWLEDGED, LONGEST_NOTE, Recorded, state_of
from audit_emit._report.build import SECTIONS, Asked, report_on
from audit_emit._report.controls import Entry, read_map
from audit_emit._report.formats import FORMATS, MEDIA, written
from audit_emit._report.period import SECOND, Period
from audit_emit._report.recent import DAYS, MOST, NO_TRAIL, Trail, recent_alerts

__all__ = [
    "ACKNOWLEDGED",
    "DAYS",
    "FORMATS",
    "LONGEST_NOTE",
    "MEDIA",
    "MOST",
    "NO_TRAIL",
    "SECOND",
    "SECTIONS",
    "Asked",
    "Entry",
    "Period",
    "Recorded",
    "Trail",
    "read_map",
    "recent_alerts",
    "report_on",
    "state_of",
    "written",
]
