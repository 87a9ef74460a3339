"""What databases are told, and what they say of it: statements, rows that were refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_emit._fields.extent import HELD, Span
from audit_emit._lazy import Pattern

__all__ = ["rows", "statements"]

_STATEMENT = Pattern(
    r"\b(?:password|identified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?(?:by|as))"
    r"(?:\s{1,8}password)?(?:\s{1,8}for\s{1,8}[^\s=]{1,128}+)?"
    r"(?:\s{0,8}=\s{0,8}|\s{1,8})(?:\w{0,32}\(\s{0,8})?[eEnN]?'((?:[^'\\]|''|\\.)*+)",
    re.IGNORECASE | re.DOTALL,
)


def statements(text: str) -> Iterator[Span]:
    """``IDENTIFIED BY 'x'``."""
    if "'" in text:
        for match in _STATEMENT.finditer(text):
            start, end = match.span(1)
            if end > start and not HELD.fullmatch(text, start, end):
                yield start, end


_ROW = Pattern(r"\[parameters: |failing row contains ", re.IGNORECASE)


def rows(text: str) -> Iterator[Span]:
    for match in _ROW.finditer(text):
        end = text.find("\n", match.end())
        end = end if end >= 0 else len(text)
        if not text.startswith(("[redacted]", "hmac-sha256:"), match.end()) and end > match.end():
            yield match.end(), end
