"""What adapters need from the core, besides the public names of ``audit_emit``.

Every ``except Exception`` of an adapter calls ``let_through``, which raises the exception of a time
limit again.
"""

from __future__ import annotations

from audit_emit._core.default import current_emitter, get_emitter
from audit_emit._core.deferred import emit_late
from audit_emit._core.measured import Measured, measure
from audit_emit._core.noted import NOTED
from audit_emit._fields.normaliser import MISSING, Normalised, Normaliser
from audit_emit._format.encode import to_json
from audit_emit._format.receipt_text import receipt_text
from audit_emit._format.record import INVALID_TYPE, Receipt, valid_type
from audit_emit._redaction.redactor import Redactor
from audit_emit._runtime.failure import StderrLog
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.forks import SAME, on_fork, renew
from audit_emit._runtime.histogram import Histogram
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED
from audit_emit._runtime.structlog_context import is_mirrored, mirror, unmirror
from audit_emit._runtime.threads import prepare_exit
from audit_emit._settings.checks import SETTINGS

__all__ = [
    "INVALID_TYPE",
    "MISSING",
    "NOTED",
    "SAME",
    "SETTINGS",
    "UNOBSERVED",
    "Histogram",
    "Measured",
    "Normalised",
    "Normaliser",
    "Receipt",
    "Redactor",
    "StderrLog",
    "bare_name",
    "current_emitter",
    "emit_late",
    "get_emitter",
    "is_mirrored",
    "let_through",
    "measure",
    "mirror",
    "on_fork",
    "prepare_exit",
    "receipt_text",
    "renew",
    "to_json",
    "unmirror",
    "valid_type",
]
