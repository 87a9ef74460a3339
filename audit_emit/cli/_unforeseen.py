"""An error that nobody foresaw, for whoever ran a command: what to do, and where it was."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress

__all__ = ["DEBUG", "unforeseen"]

DEBUG = "AUDIT_EMIT_DEBUG"
"""The variable that shows the traceback."""

_LONGEST = 300
"""Characters of the error that are repeated."""


def unforeseen(error: Exception) -> str:
    """The sentence about an error; its traceback is printed where ``DEBUG`` is set."""
    if os.environ.get(DEBUG):
        with suppress(OSError):
            traceback.print_exception(error)
    what = f"{type(error).__name__}: {str(error)[:_LONGEST]}".rstrip(": ")
    return (
        f"the command ended in the middle, which is a fault of audit-emit ({what}); "
        f"run it again with {DEBUG}=1 to see where, and report what it prints"
    )
