"""The very lines of the log: what was hashed, byte for byte."""

from __future__ import annotations

from audit_emit._export.record import Record


class Format:
    """See ``audit_emit._export.formats.Format``."""

    version = ""
    head = b""

    def event(self, record: Record) -> bytes:
        """The line."""
        return record.line + b"\n"
