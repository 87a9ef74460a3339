"""Texts in percent-encoding: what they say, and where each part of that stands in them."""

from __future__ import annotations

from bisect import bisect_right

from audit_emit._fields.extent import Span
from audit_emit._lazy import Pattern

__all__ = ["Decoded"]

_ESCAPE = Pattern(r"%(?:25){0,3}([0-9A-Fa-f]{2})")
"""A character encoded once, or again and again: a URL in a URL in a URL."""


class Decoded:
    """A text without its percent-encoding.

    Attributes:
        text: of as many characters or fewer. What is not ASCII is a character for each byte.
        differs: whether anything was encoded.
    """

    __slots__ = ("_encoded", "_plain", "differs", "text")

    def __init__(self, text: str) -> None:
        self._plain = [0]
        self._encoded = [0]
        parts: list[str] = []
        at = length = 0
        for match in _ESCAPE.finditer(text) if "%" in text else ():
            parts += (text[at : match.start()], chr(int(match.group(1), 16)))
            length += match.start() - at + 1
            at = match.end()
            self._plain.append(length)
            self._encoded.append(at)
        self.differs = bool(parts)
        self.text = "".join(parts) + text[at:] if parts else text

    def span(self, span: Span) -> Span:
        """Where a part of ``text`` stands in the encoded one."""
        return self._place(span[0]), self._place(span[1])

    def _place(self, plain: int) -> int:
        at = bisect_right(self._plain, plain) - 1
        return self._encoded[at] + plain - self._plain[at]
