"""Which characters a text may have for the quick way of an event: a table of classes.

Only rules by keywords can find anything in a text without a ``MARK``, besides those by digits.
"""

from __future__ import annotations

__all__ = ["MARK", "PRINTED", "classes"]

MARK = "\x01"
PRINTED = ("aaaa.aaaa.aaaa.aaaa", "aaaa.aaaaaa.aaaaa")
"""What a card number with anything but dashes between its groups is in these classes."""


def _table() -> bytes:
    table = bytearray(range(256))
    for code in range(128):
        if chr(code).isalnum():
            table[code] = ord("a")
    for char in "._/+":
        table[ord(char)] = ord(".")
    for char in " =@<'\\%&`(\x7f":
        table[ord(char)] = ord(MARK)
    for code in range(128, 256):
        table[code] = ord(MARK)
    return bytes(table)


classes = _table()
"""Letters and digits are ``a``, what may stand between a card's groups a point; ``MARK`` is what
wants a closer look at each value."""
