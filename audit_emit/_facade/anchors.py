"""Checkpoints that are kept outside, for commands."""

from __future__ import annotations

from audit_emit._checkpoints.anchoring import VARIABLE, Anchored, Stamped, notes_in, stamped_by
from audit_emit._checkpoints.outside import standing_of

__all__ = ["VARIABLE", "Anchored", "Stamped", "notes_in", "stamped_by", "standing_of"]
