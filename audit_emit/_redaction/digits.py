"""Whether a text has digits enough for a card number, however they are spaced."""

from __future__ import annotations

from audit_emit._fields import cards

__all__ = ["BETWEEN", "RUN", "classes", "enough", "enough_beside_ids"]

RUN = 13
"""Digits that the shortest card number has (ISO/IEC 7812)."""
_BETWEEN_ALL = b" -._/+\t\r\n"
"""What may stand between the digits of a card number."""
BETWEEN = "._/+"
"""What may so only between groups of four, or four, six and five."""


def _table() -> bytes:
    table = bytearray(range(256))
    for char in "0123456789 -?":  # a character that is not ASCII is written as ?
        table[ord(char)] = ord("0")
    for char in BETWEEN:
        table[ord(char)] = ord(".")
    return bytes(table)


classes = _table()
"""Digits and what may stand between them anywhere are ``0``; ``BETWEEN`` is a point."""


def enough(text: str) -> bool:
    """Whether a card number may be in a text, beside UUIDs and digests."""
    raw = text.encode("ascii", "replace")
    return _has(raw) and _has(cards.ID.sub("x", text).encode("ascii", "replace"))


def enough_beside_ids(text: str, raw: bytes) -> bool:
    """The same for a text, and its bytes, in which digits are grouped by dashes only."""
    return b"0" * RUN in raw.translate(classes) and enough(text)


def _has(raw: bytes) -> bool:
    return b"0" * RUN in raw.translate(classes, _BETWEEN_ALL)
