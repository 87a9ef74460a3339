"""Verifying, and the verdict in the form in which a command shows it.

From Python: ``open_log(…).verify(…)``, which takes the same and gives the same ``Report``.
"""

from __future__ import annotations

from audit_emit._format.checkpoint import UNSIGNED_TIME, signed_time
from audit_emit._format.proof_file import MAX_BYTES
from audit_emit._verify.findings import INCOMPLETE, INFORMATIVE, SHOWN, TAMPERED, Kind
from audit_emit._verify.known_heads import parse_heads
from audit_emit._verify.legacy import Boundary
from audit_emit._verify.others import Others, Sources, others_of, policy_in
from audit_emit._verify.remembered import read, remembered
from audit_emit._verify.verify import Options, Verified, verify_log, verify_paths

__all__ = [
    "INCOMPLETE",
    "INFORMATIVE",
    "MAX_BYTES",
    "SHOWN",
    "TAMPERED",
    "UNSIGNED_TIME",
    "Boundary",
    "Kind",
    "Options",
    "Others",
    "Sources",
    "Verified",
    "others_of",
    "parse_heads",
    "policy_in",
    "read",
    "remembered",
    "signed_time",
    "verify_log",
    "verify_paths",
]
