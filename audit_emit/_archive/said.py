"""The service that the lines of a part belong to. Pure."""

from __future__ import annotations

from audit_emit._format.line_splitter import split_lines
from audit_emit._format.record import head_of, parsed


def service_in(block: bytes) -> str:
    """The service of the first record in a block."""
    for line in split_lines(block):
        record = parsed(line) if head_of(line) is not None else None
        if record is not None and isinstance(record.get("service"), str):
            return str(record["service"])
    return ""
