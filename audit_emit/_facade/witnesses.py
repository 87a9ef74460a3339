"""Asking witnesses for cosignatures, and being a witness, for commands."""

from __future__ import annotations

from audit_emit._checkpoints.outside import finding_of
from audit_emit._checkpoints.prove import newest_checkpoint, signer_directory
from audit_emit._checkpoints.witnessing.kept import Attempt, Kept
from audit_emit._checkpoints.witnessing.serve import LONGEST, Witness
from audit_emit._format.cosignature import cosigned_at
from audit_emit._format.policy import NONE, Policy
from audit_emit._runtime.http_client import check_url
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key

__all__ = [
    "LONGEST",
    "NONE",
    "Attempt",
    "Cosigner",
    "Ed25519Key",
    "Kept",
    "Policy",
    "Witness",
    "check_url",
    "cosigned_at",
    "finding_of",
    "newest_checkpoint",
    "signer_directory",
]
