"""A value as a page has it among other text: nothing obeys it, and moves nothing around it.

Marks of direction are spelled out like all that a screen would obey. Letters that are written from
right to left need none: they would draw the digits and signs beside them to their side, so that a
time or the next value stands elsewhere than it is (Unicode Standard Annex 9). So such a value is
isolated.
"""

from __future__ import annotations

from unicodedata import bidirectional

from audit_emit._facade.text import visible

_FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})
_ISOLATE, _END = "\u2068", "\u2069"


def spelled(value: object) -> str:
    """A value spelled out, and isolated where it needs that."""
    text = visible(str(value))
    if text.isascii() or _FROM_THE_RIGHT.isdisjoint(map(bidirectional, text)):
        return text
    return f"{_ISOLATE}{text}{_END}"
