"""Proofs that a checkpoint continues another, as files, for commands."""

from __future__ import annotations

from audit_emit._checkpoints.prove_tlog import prove_tlog
from audit_emit._format.consistency_file import VERSION as CONSISTENCY_VERSION
from audit_emit._format.consistency_file import ConsistencyFile, Tree, tree_in
from audit_emit._format.tlog_proof import HEADER, TlogProof

__all__ = [
    "CONSISTENCY_VERSION",
    "HEADER",
    "ConsistencyFile",
    "TlogProof",
    "Tree",
    "prove_tlog",
    "tree_in",
]
