"""Text that is safe on a terminal, and errors in words, for commands and the console."""

from __future__ import annotations

from audit_emit._format.printable import shown_value, visible, visible_bytes, without_passwords
from audit_emit._runtime.words import words_of

__all__ = ["shown_value", "visible", "visible_bytes", "without_passwords", "words_of"]
