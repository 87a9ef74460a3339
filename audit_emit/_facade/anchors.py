"""Checkpoints that are kept on other machines (anchors), for commands."""

from __future__ import annotations

from audit_emit._checkpoints.anchoring import VARIABLE, Anchors
from audit_emit._checkpoints.outside import in_words, standing_of

__all__ = ["VARIABLE", "Anchors", "in_words", "standing_of"]
