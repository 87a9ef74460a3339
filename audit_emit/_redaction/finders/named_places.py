"""Where the names of secrets end in a text: what may be the value of each is looked for there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import MOST_NAMES
from audit_emit._redaction.names import is_weak, split_name
from audit_emit._runtime.lazy import Pattern

__all__ = ["Place", "SecretNames", "places"]

_NAME = Pattern(rf"(?<![{LETTERS}.\-])[{LETTERS}.\-]{{2,64}}")
_BETWEEN = frozenset("for of to from with by in on at as and or".split())
"""Words that no name ends with."""
_IS = "\u662f"
"""``is`` in Chinese, which stands behind a name without a space."""


class Place(NamedTuple):
    """The end of a name.

    Attributes:
        end: the place behind it.
        name: the name, one word.
        whole: whether it is that of a secret without the word before it.
        of_two: whether it is one together with the word before it.
        weak: whether it is one word that has other meanings: ``token``, not ``client_secret``.
    """

    end: int
    name: str
    whole: bool
    of_two: bool
    weak: bool


class SecretNames:
    """Judges names in one text: each once, however often it is there and however many ask.

    Args:
        is_secret: whether a name is that of a secret.
    """

    def __init__(self, is_secret: Callable[[str], bool]) -> None:
        self._is_secret = is_secret
        self._known: dict[str, bool] = {}
        self._text = ""
        self._places: list[Place] = []
        self._last = 0

    def __call__(self, name: str) -> bool:
        """Whether a name is that of a secret."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._is_secret(name)
        return known

    def places(self, text: str) -> list[Place]:
        """The ends of the names of secrets in a text."""
        if self._text != text:
            self._text, self._last = text, len(text)
            self._places = list(islice(_places(text, self), MOST_NAMES + 1))
            if len(self._places) > MOST_NAMES:
                self._last = self._places.pop().end
        return self._places

    def looked_at(self, text: str) -> int:
        """The place up to which all names are known, once ``places`` was asked: mostly the end."""
        return self._last if self._text == text else len(text)


def places(text: str, is_secret: Callable[[str], bool]) -> list[Place]:
    """The ends of the names of secrets in a text."""
    names = is_secret if isinstance(is_secret, SecretNames) else SecretNames(is_secret)
    return names.places(text)


def _places(text: str, is_secret: Callable[[str], bool]) -> Iterator[Place]:
    before, before_end = "", -1
    weak: dict[str, bool] = {}
    for match in _NAME.finditer(text):
        name = match.group()
        start, end = match.span()
        if _IS in name:
            name = name.partition(_IS)[0]
            end = start + len(name)
        whole = is_secret(name)
        of_two = (
            before != ""
            and name not in _BETWEEN
            and 0 < start - before_end < 4
            and text[before_end:start].strip(" \t") == ""
            and is_secret(f"{before}_{name}")
        )
        if whole or of_two:
            if name not in weak:
                weak[name] = is_weak(name) and len(split_name(name)) == 1
            yield Place(end, name, whole, of_two, weak[name])
        before, before_end = name.rpartition(".")[2], end
