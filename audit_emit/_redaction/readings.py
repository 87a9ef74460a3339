"""What a text says once its escapes are undone, and where each part of that stands in it.

A secret stays one in percent-encoding (RFC 3986), behind escapes of JSON (RFC 8259), in HTML's
character references, between the colours of a terminal (ECMA-48) and in full-width letters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from audit_emit._redaction.rule import Span

__all__ = ["ESCAPES", "Reading", "escaped", "readings"]

_PERCENT = r"%(?:25){0,3}([0-9A-Fa-f]{2})"
"""A character encoded once, or again and again: a URL in a URL in a URL."""
_ESCAPE = re.compile(
    rf"{_PERCENT}"
    r"|\\{1,8}u([0-9A-Fa-f]{4})|\\{1,8}x([0-9A-Fa-f]{2})"
    r"|&#x([0-9A-Fa-f]{1,6});|&#([0-9]{1,7});|&(amp|quot|apos|lt|gt|equals|colon|nbsp|Tab|NewLine);"
    r"|\\{1,8}([nrtbf])"
    r"|(?:\x1b|\\{1,8}(?:u001[bB]|x1[bB]|033|e))\[[0-9;]{0,16}[A-Za-z]"
    r"|([\uff01-\uff5e])"
    r"|[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]"
)
_NAMED = {
    "amp": "&",
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "equals": "=",
    "colon": ":",
    "nbsp": " ",
    "Tab": "\t",
    "NewLine": "\n",
}
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_REFERENCE = re.compile(rf"&(?:#|{'|'.join(_NAMED)})")
_MARKS = re.compile(r"[%\\\x1b\u00ad\u200b-\u200f\u2060-\u2064\ufeff\uff01-\uff5e]")
_ROUNDS = 3
ESCAPES: tuple[str, ...] = (
    *(f"%{digit}" for digit in "0123456789abcdefABCDEF"),
    *(f"\\{char}" for char in "\\uxnrtbfe0"),
    "&#",
    *(f"&{name};" for name in _NAMED),
    "\x1b[",
)
"""Texts of ASCII characters, one of which is in each ASCII text that reads otherwise."""


def escaped(text: str) -> bool:
    """Whether a text may hold escapes: most have none of the characters that they need."""
    if "&" in text and _REFERENCE.search(text) is not None:
        return True
    return _MARKS.search(text) is not None


class Reading:
    """A text with its escapes undone.

    Attributes:
        text: of as many characters or fewer.
        differs: whether anything was escaped.
    """

    __slots__ = ("_escaped", "_plain", "differs", "text")

    def __init__(self, text: str) -> None:
        self._plain = [0]
        self._escaped = [0]
        parts: list[str] = []
        at = length = 0
        for match in _ESCAPE.finditer(text):
            said = _said(match)
            parts += (text[at : match.start()], said)
            length += match.start() - at + len(said)
            at = match.end()
            self._plain.append(length)
            self._escaped.append(at)
        self.differs = bool(parts)
        self.text = "".join(parts) + text[at:] if parts else text

    def span(self, span: Span) -> Span:
        """Where a part of ``text`` stands in the escaped one."""
        return self._place(span[0]), self._place(span[1])

    def _place(self, plain: int) -> int:
        at = bisect_right(self._plain, plain) - 1
        return self._escaped[at] + plain - self._plain[at]


def readings(text: str) -> Iterator[list[Reading]]:
    """The readings of a text, each undoing the escapes of the one before: at most three."""
    steps: list[Reading] = []
    for _ in range(_ROUNDS):
        if not escaped(text):
            return
        reading = Reading(text)
        if not reading.differs:
            return
        steps = [*steps, reading]
        yield steps
        text = reading.text


def _said(match: re.Match[str]) -> str:
    group = match.lastindex or 0
    found = match.group(group) if group else ""
    if group in (1, 2, 3, 4):
        return _character(int(found, 16))
    if group == 5:
        return _character(int(found))
    if group == 6:
        return _NAMED[found]
    if group == 7:
        return _SHORT[found]
    if group == 8:
        return chr(ord(found) - 0xFEE0)
    return found


def _character(code: int) -> str:
    return chr(code) if 0 < code < 0xD800 else "\ufffd"
