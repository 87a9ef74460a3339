"""The search for anomalies, for commands, reports and the console.

From Python: ``open_log(…).anomalies(…)``.
"""

from __future__ import annotations

from audit_emit._detection.alert import Alert
from audit_emit._detection.detect import detect
from audit_emit._detection.integrity import integrity_alerts
from audit_emit._detection.loading import built_in, rules_in
from audit_emit._detection.ruleset import RuleSet
from audit_emit._verify.verify import verify_log

__all__ = [
    "Alert",
    "RuleSet",
    "built_in",
    "detect",
    "integrity_alerts",
    "rules_in",
    "verify_log",
]
