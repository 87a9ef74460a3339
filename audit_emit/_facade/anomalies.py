"""The search for anomalies, for commands, reports and the console.

From Python: ``open_log(…).anomalies(…)``.
"""

from __future__ import annotations

from audit_emit._detection.alert import LEVELS, Alert
from audit_emit._detection.detect import detect
from audit_emit._detection.following import Follower, How
from audit_emit._detection.integrity import integrity_alerts
from audit_emit._detection.loading import rules_in
from audit_emit._detection.rule import Rule
from audit_emit._detection.rule_tests import Outcome, cases_in, run
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.sinks import Command, Records, Webhook
from audit_emit._detection.state import NAME, StateFile
from audit_emit._verify.verify import verify_log

__all__ = [
    "LEVELS",
    "NAME",
    "Alert",
    "Command",
    "Follower",
    "How",
    "Outcome",
    "Records",
    "Rule",
    "RuleSet",
    "StateFile",
    "Webhook",
    "cases_in",
    "detect",
    "integrity_alerts",
    "rules_in",
    "run",
    "verify_log",
]
