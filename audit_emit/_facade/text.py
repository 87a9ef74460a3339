"""Text that is safe on a terminal, for commands."""

from __future__ import annotations

from audit_emit._format.printable import shown_value, visible, visible_bytes, without_passwords

__all__ = ["shown_value", "visible", "visible_bytes", "without_passwords"]
