"""Texts of rules with their wildcards, matched in linear time. Pure.

Sigma 2.1: ``*`` stands for any characters, ``?`` for one, a backslash before either (or before
another backslash) takes its meaning away. Letters are compared without their case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

Test = Callable[[str], bool]

STAR = object()
ANY = object()


class Pattern(NamedTuple):
    """The characters of a text of a rule: each one a character, ``STAR`` or ``ANY``."""

    parts: tuple[object, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Read a text of a rule."""
        parts: list[object] = []
        at = 0
        while at < len(text):
            one = text[at]
            if one == "\\" and text[at + 1 : at + 2] in {"*", "?", "\\"}:
                at += 1
                parts.append(text[at])
            else:
                parts.append(STAR if one == "*" else ANY if one == "?" else one)
            at += 1
        return cls(tuple(parts))

    @property
    def plain(self) -> str | None:
        """The text that it stands for; ``None`` where it has wildcards."""
        if STAR in self.parts or ANY in self.parts:
            return None
        return "".join(map(str, self.parts))

    def within(self, before: bool, after: bool) -> Pattern:
        """The same with anything before or after it."""
        return Pattern((STAR,) * before + self.parts + (STAR,) * after)

    def test(self, *, cased: bool) -> Test:
        """What tells whether a text is of this pattern.

        Args:
            cased: upper and lower case differ; if not, the text is to be given in lower case.
        """
        parts = self.parts if cased else tuple(_lower(one) for one in self.parts)
        pieces = _pieces(parts)
        plain = ["".join(map(str, piece)) if ANY not in piece else None for piece in pieces]
        if len(pieces) == 1 and plain[0] is not None:
            return plain[0].__eq__
        if len(pieces) == 2 and None not in plain:
            return _ends(str(plain[0]), str(plain[1]))
        if len(pieces) == 3 and pieces[0] == pieces[2] == () and plain[1] is not None:
            inner = plain[1]
            return lambda text: inner in text
        return _Stars([re.compile("".join(map(_source, piece)), re.DOTALL) for piece in pieces])


def _lower(part: object) -> object:
    return part.lower() if isinstance(part, str) else part


def _pieces(parts: tuple[object, ...]) -> list[tuple[object, ...]]:
    """What stands between the stars."""
    pieces: list[tuple[object, ...]] = []
    piece: list[object] = []
    for one in parts:
        if one is STAR:
            pieces.append(tuple(piece))
            piece = []
        else:
            piece.append(one)
    return [*pieces, tuple(piece)]


def _ends(head: str, tail: str) -> Test:
    least = len(head) + len(tail)
    return lambda text: len(text) >= least and text.startswith(head) and text.endswith(tail)


def _source(part: object) -> str:
    return "." if part is ANY else re.escape(str(part))


class _Stars:
    """Pieces one after the other, each at the first place where it fits: no way leads back."""

    def __init__(self, pieces: list[re.Pattern[str]]) -> None:
        self._first, *self._middle = pieces
        self._last = self._middle.pop() if self._middle else None
        # Every part of a piece is one character, so the length of its text is the number of them.
        self._length = 0
        if self._last is not None:
            self._length = len(re.sub(r"\\(.)", r"\1", self._last.pattern, flags=re.DOTALL))

    def __call__(self, text: str) -> bool:
        if self._last is None:
            return self._first.fullmatch(text) is not None
        found = self._first.match(text)
        if found is None:
            return False
        at, end = found.end(), len(text) - self._length
        if end < at or self._last.match(text, end) is None:
            return False
        for piece in self._middle:
            found = piece.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True
