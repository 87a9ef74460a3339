"""Hash tiles of a log: built, checked and served, for the command of that name."""

from __future__ import annotations

from audit_emit._checkpoints.build_tiles import Looked, build, look
from audit_emit._checkpoints.serve_tiles import TileService

__all__ = [
    "Looked",
    "TileService",
    "build",
    "look",
]
