"""Attestations about records of a log, for commands."""

from __future__ import annotations

from audit_emit._attestation.attest import Checked, attest, check_attestation
from audit_emit._attestation.segment import Wanted, range_of
from audit_emit._format.dsse import MAX_BYTES

__all__ = [
    "MAX_BYTES",
    "Checked",
    "Wanted",
    "attest",
    "check_attestation",
    "range_of",
]
