"""Checkpoints that are kept outside, for commands."""

from __future__ import annotations

from audit_emit._checkpoints.anchoring import VARIABLE
from audit_emit._checkpoints.outside import standing_of

__all__ = ["VARIABLE", "standing_of"]
