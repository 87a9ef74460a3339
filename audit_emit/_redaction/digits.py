"""Whether a text has digits enough for a card number, however they are spaced."""

from __future__ import annotations

from audit_emit._redaction.finders import cards
from audit_emit._runtime.lazy import Pattern

__all__ = ["BETWEEN", "RUN", "classes", "enough"]

RUN = 14
"""Digits that the shortest card number has (ISO/IEC 7812)."""
BETWEEN = b" -._/+\t\r\n"
"""What may stand between the digits of a card number."""
_LETTERS = Pattern(r"[^\W\d_]+")


def _table() -> bytes:
    table = bytearray(range(256))
    for char in "0123456789 -?":  # a character that is not ASCII is written as ?
        table[ord(char)] = ord("0")
    return bytes(table)


_ENOUGH = b"0" * RUN

classes = _table()
"""Digits, and what may be one of another script, are ``0``."""


def enough(text: str) -> bool:
    """Whether a card number may be in a text, beside UUIDs and digests."""
    raw = text.encode("ascii", "replace")
    if not _has(raw):
        return False
    text = cards.ID.sub("x", text)
    if not text.isascii():
        text = _LETTERS.sub("x", text)
    return _has(text.encode("ascii", "replace"))


def _has(raw: bytes) -> bool:
    return _ENOUGH in raw.translate(classes, BETWEEN)
