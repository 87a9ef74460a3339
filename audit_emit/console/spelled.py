"""A value among other text on a page: it can neither control the screen nor move text around it.

Control characters and direction marks are written as escapes. Letters that are written from right
to left have an effect even without such marks: digits and signs beside them are shown on their
other side, so that a time or the next value seems to be elsewhere (Unicode Standard Annex 9). So a
value with such letters is wrapped in isolate characters.
"""

from __future__ import annotations

from unicodedata import bidirectional

from audit_emit._facade.text import visible

_FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})
_ISOLATE, _END = "\u2068", "\u2069"


def spelled(value: object) -> str:
    """A value with escapes for invisible characters, isolated where it needs that."""
    text = visible(str(value))
    if text.isascii() or _FROM_THE_RIGHT.isdisjoint(map(bidirectional, text)):
        return text
    return f"{_ISOLATE}{text}{_END}"
