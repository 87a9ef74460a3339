"""Whether a text has digits enough for a card number, however they are spaced."""

from __future__ import annotations

from audit_emit._redaction.finders import cards
from audit_emit._runtime.lazy import Pattern

__all__ = ["BETWEEN", "ENOUGH", "RUN", "classes", "enough"]

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


ENOUGH = b"0" * RUN
"""What is in a text with digits enough, once it is translated by ``classes``."""

classes = _table()
"""Digits, and what may be one of another script, are ``0``."""


def enough(text: str) -> bool:
    """Whether a card number may be in a text with ``ENOUGH``, beside UUIDs and digests."""
    text = cards.ID.sub("x", text)
    if not text.isascii():
        text = _LETTERS.sub("x", text)
    return ENOUGH in text.encode("ascii", "replace").translate(classes, BETWEEN)
