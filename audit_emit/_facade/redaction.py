"""The rules of redaction and where they find something, for the command of that name."""

from __future__ import annotations

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import SCAN, Redactor, hash_value_prefix

__all__ = [
    "SCAN",
    "Normaliser",
    "Redactor",
    "hash_value_prefix",
]
