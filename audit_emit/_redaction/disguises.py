"""Words of secrets as people write them past a filter: ``p@ssw0rd``, ``t o k e n``."""

from __future__ import annotations

import re
from itertools import product

from audit_emit._runtime.lazy import Pattern

__all__ = ["SPACED", "SPELLINGS", "undisguised"]

_WORDS = "password passphrase passcode passwd pass secret token credential cred key auth api pin"
_STANDS_FOR = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
"""Digits and signs that are written for a letter."""
_SIGNS = frozenset("".join(_STANDS_FOR.values()))


def _as_pattern(word: str) -> str:
    return "".join(f"[{char}{_STANDS_FOR[char]}]" if char in _STANDS_FOR else char for char in word)


_WORD = Pattern("|".join(f"({_as_pattern(word)})" for word in _WORDS.split()), re.IGNORECASE)


def _spellings(word: str) -> list[str]:
    return ["".join(chars) for chars in product(*(c + _STANDS_FOR.get(c, "") for c in word))][1:]


SPELLINGS: tuple[str, ...] = (
    "w0rd",
    *(s for word in "pass secret token cred key auth api pin".split() for s in _spellings(word)),
)
"""Texts in lower case, one of which is in each name that ``undisguised`` changes."""
SPACED: tuple[str, ...] = tuple(
    sign.join(word)
    for word in ("pass", "secr", "toke", "cred", "pwd", "pin")
    for sign in (" ", "  ", "   ", ".", "_", "-", "*", "/", "+")
)
"""How names begin whose letters stand apart."""


def undisguised(text: str) -> str:
    """A text of the same length with such words in it in their usual letters."""
    if _SIGNS.isdisjoint(text):
        return text
    return _WORD.sub(_usual, text)


def _usual(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.isalpha() else _WORDS.split()[(match.lastindex or 1) - 1]
