"""For programs: the whole report, member by member; docs/report.md has the members."""

from __future__ import annotations

import json

from audit_emit._report.model import Report


def written(report: Report) -> str:
    """As JSON, in ASCII: what a terminal would obey is an escape."""
    return json.dumps(report.as_dict(), indent=1) + "\n"
