"""A name, and its value beside it: ``"name": "password", "value": "x"``, ``("password", "x")``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._fields.extent import BARE, QUOTED, Span, value, value_of
from audit_emit._fields.keys import NAME_NAMES
from audit_emit._lazy import Pattern

__all__ = ["Beside", "pairs"]

_ELSEWHERE = Pattern(r"[{}<>]|\n[ \t]*(?:-|\r?\n)")
_NAME = Pattern(r"[bBrRuU]{0,2}\\{0,7}[\"']([^\"'\\\r\n]{1,256}+)|([\w.\-/$\[\]]{1,256}+)")
_MAX_BESIDE = 8
_MAX_LOOKED = 512


class Beside:
    """``"name": "password", "value": "x"``, in either order, in one object, element or item."""

    def __init__(self, text: str, is_secret: Callable[[str], bool]) -> None:
        self._text = text
        self._is_secret = is_secret
        self._named = False
        self._values: list[tuple[re.Match[str], str]] = []
        self._end = 0

    def spans(self, match: re.Match[str], lower: str) -> Iterator[Span]:
        """The values that are known to be secret with this assignment."""
        looking = self._named or self._values
        if looking and _ELSEWHERE.search(self._text, self._end, match.start()):
            self._named = False
            self._values = []
        self._end = _near_end(self._text, match.end())
        found = []
        if lower in NAME_NAMES:
            name = _NAME.match(self._text, match.end())
            self._named = name is not None and self._is_secret(name.group(1) or name.group(2))
            if self._named:
                found, self._values = self._values, []
        elif self._named:
            found = [(match, lower)]
        else:
            self._values = [*self._values[1 - _MAX_BESIDE :], (match, lower)]
        for one in found:
            start, end = value_of(self._text, *one)
            if start < end:
                yield start, end


def _near_end(text: str, start: int) -> int:
    """About where a value ends; only its beginning is looked at."""
    quote = QUOTED.match(text, start)
    if quote is not None:
        return text.find(quote.group(2), quote.end(), start + _MAX_LOOKED) + 1 or start
    bare = BARE.match(text, start, start + _MAX_LOOKED // 4)
    return bare.end() if bare is not None else start


_PAIR = Pattern(r"[\[(]\s{0,4}[bB]?(\\{0,7}[\"'])([\w.\-]{1,128}+)\1\s{0,4},\s{0,4}")
_ITEM = Pattern(r"[^\s,()\[\]{}\"']{0,256}+")
_PAIR_END = Pattern(r"(?:\\{0,7}[\"'])?\s{0,4}(?:[\])]|\Z)")


def pairs(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``("password", "x")``: what follows the name of a secret in a pair."""
    if ("[" in text or "(" in text) and "," in text:
        for match in _PAIR.finditer(text):
            if is_secret(match.group(2)):
                start = match.end()
                if QUOTED.match(text, start) is not None:
                    start, end = value(text, start, "", "")
                else:
                    end = _ITEM.match(text, start).end()  # type: ignore[union-attr]
                if end > start and _PAIR_END.match(text, end):
                    yield start, end
