"""What signs the log of files, for commands.

From Python: ``configure(signing_key=…)``.
"""

from __future__ import annotations

from audit_emit._checkpoints.checkpointer import INTERVAL_SECONDS, THRESHOLD, Checkpointer
from audit_emit._checkpoints.notes import handed_over, note_of
from audit_emit._checkpoints.outside import Outside
from audit_emit._format.signed_note import Note
from audit_emit._runtime.retry import retry_write

__all__ = [
    "INTERVAL_SECONDS",
    "THRESHOLD",
    "Checkpointer",
    "Note",
    "Outside",
    "handed_over",
    "note_of",
    "retry_write",
]
