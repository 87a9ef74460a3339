"""A name, and its value beside it: ``"name": "password", "value": "x"``, ``("password", "x")``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from audit_emit._redaction.finders.extent import BARE, QUOTED, Extents, Span, value
from audit_emit._redaction.names import fold
from audit_emit._redaction.words import COMMON_COLUMNS, NAME_NAMES, TYPE_NAMES, TYPED_NAMES
from audit_emit._runtime.lazy import Pattern

__all__ = ["NameAndValue", "inputs", "pairs"]

_ELSEWHERE = Pattern(r"[{}<>]|\n[ \t]*(?:-|\r?\n)")
_NAME = Pattern(r"[bBrRuU]{0,2}\\{0,7}[\"']([^\"'\\\r\n]{1,256})|([\w.\-/$\[\]]{1,256})")
_NAMES = Pattern(r"\s{0,4}[\[(]([^\[\](){}]{1,512})[\])]")
_WORD = Pattern(r"[\w.\-/$]+")
_MAX_BESIDE = 8
_MAX_LOOKED = 512


class NameAndValue:
    """``"name": "password", "value": "x"``, in either order, in one object, element or item."""

    def __init__(self, text: str, is_secret: Callable[[str], bool], extents: Extents) -> None:
        self._text = text
        self._extents = extents
        self._is_secret = is_secret
        self._named = self._typed = False
        self._values: deque[tuple[re.Match[str], str]] = deque(maxlen=_MAX_BESIDE)
        self._last = 0

    def spans(self, match: re.Match[str], lower: str) -> Iterator[Span]:
        """The values that are known to be secret with this assignment."""
        looking = self._named or self._typed or self._values
        if looking and self._is_elsewhere(match.start()):
            self._named = self._typed = False
            self._values.clear()
        self._last = match.end()
        found: Iterable[tuple[re.Match[str], str]] = ()
        if lower in NAME_NAMES:
            self._named = names_secret(self._text, match.end(), self._is_secret)
            if self._named:
                found = [*self._values]
                self._values.clear()
        elif lower in TYPE_NAMES:
            self._typed = names_secret(self._text, match.end(), self._is_secret)
            if self._typed:
                found = [one for one in self._values if one[1] in TYPED_NAMES]
        elif self._named or (self._typed and lower in TYPED_NAMES):
            found = [(match, lower)]
        else:
            self._values.append((match, lower))
        for one in found:
            start, end = self._extents.of(*one)
            if start < end:
                yield start, end

    def waiting_from(self) -> int:
        """Where the first value stands that a name behind it may make one of a secret."""
        return self._values[0][0].start() if self._values else len(self._text)

    def _is_elsewhere(self, start: int) -> bool:
        """Whether another object begins between the last value and the place."""
        text = self._text
        if _ELSEWHERE.search(text, self._last, start) is None:
            return False
        return _ELSEWHERE.search(text, _near_end(text, self._last), start) is not None


def names_secret(text: str, start: int, is_secret: Callable[[str], bool]) -> bool:
    """Whether a name, or one in a list of names, is that of a secret."""
    if several := _NAMES.match(text, start):
        return any(is_secret(word) for word in _WORD.findall(several.group(1)))
    name = _NAME.match(text, start)
    return name is not None and is_secret(name.group(1) or name.group(2))


def _near_end(text: str, start: int) -> int:
    """About where a value ends; only its beginning is looked at."""
    quote = QUOTED.match(text, start)
    if quote is not None:
        return text.find(quote.group(2), quote.end(), start + _MAX_LOOKED) + 1 or start
    bare = BARE.match(text, start, start + _MAX_LOOKED // 4)
    return bare.end() if bare is not None else start


_PAIR = Pattern(
    r"[\[({]\s{0,4}(?:[bB]?(\\{0,7}[\"'])([\w.\-]{1,128})\1\s{0,4}(?:,|\s\.\s)"
    r"|([\w.\-]{1,128})\s{0,4}(?:,|\s\.\s)\s{0,4}(?=(?:<<)?[\"']))\s{0,4}(?:<<)?"
)
_ITEM = Pattern(r"[^\s,()\[\]{}\"']{0,256}")
_PAIR_END = Pattern(r"(?:\\{0,7}[\"'])?(?:>>)?\s{0,4}(?:[\])}]|\Z)")


def pairs(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``("password", "x")``: what follows the name of a secret in a pair."""
    if ("[" in text or "(" in text or "{" in text) and ("," in text or " . " in text):
        for match in _PAIR.finditer(text):
            if is_secret(match.group(2) or match.group(3)):
                start = match.end()
                if QUOTED.match(text, start) is not None:
                    start, end = value(text, start, "", "")
                else:
                    end = _ITEM.match(text, start).end()  # type: ignore[union-attr]
                if end > start and _PAIR_END.match(text, end) and not _is_column(text[start:end]):
                    yield start, end


def _is_column(value: str) -> bool:
    return len(value) <= _MAX_COLUMN and fold(value) in COMMON_COLUMNS


_MAX_COLUMN = 32
_LOCATION = Pattern(r"[\"']loc\\{0,7}[\"']\s{0,4}:\s{0,4}(?=[\[(])")
_INPUT = Pattern(r"[\"'](?:input|ctx)\\{0,7}[\"']\s{0,4}:\s{0,4}")


def inputs(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """What validation refused: ``'loc': ('password',), 'msg': …, 'input': 'x'`` of pydantic."""
    if "loc" not in text or "input" not in text:
        return
    locations = list(_LOCATION.finditer(text))
    done = 0
    for at, location in enumerate(locations):
        if not names_secret(text, location.end(), is_secret):
            continue
        following = locations[at + 1].start() if at + 1 < len(locations) else len(text)
        for match in _INPUT.finditer(text, location.end(), following):
            start, end = value(text, match.end(), "", "") if match.start() >= done else (0, 0)
            if start < end:
                done = end
                yield start, end
