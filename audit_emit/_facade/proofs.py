"""Proofs that a checkpoint continues another, as files, for commands."""

from __future__ import annotations

from audit_emit._format.consistency_file import VERSION as CONSISTENCY_VERSION
from audit_emit._format.consistency_file import ConsistencyFile, Tree, tree_in

__all__ = ["CONSISTENCY_VERSION", "ConsistencyFile", "Tree", "tree_in"]
