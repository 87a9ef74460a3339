"""A regular expression that says quickly whether any of many words is in a text.

Python's ``re`` tries the words one after the other at each place where one of them may begin, and
words of every letter are among them. So each word is looked for at one of its letters that is rare
in ordinary text (``k`` of ``token``): what follows it there is compared first, and the rest of the
word, which stands before it, last. At most places of a text nothing is tried at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["anchored", "any_of", "signs_in_each"]

_COMMON = "etaoinsrhldcumfpgwybvkxjqz"
"""Letters from the commonest in English to the rarest: this decides about speed only."""


_Trie = dict[str, "_Trie"]


@lru_cache(maxsize=64)  # most emitters have the rules of the library and no others
def any_of(words: frozenset[str]) -> str:
    """The source of a plain pattern that finds any of some words."""
    return _nested(_trie(words))


def anchored(within: Iterable[str], at_start: Iterable[str], before: str) -> str:
    """The pattern that finds some of the words, wherever the first of them ends.

    Args:
        within: words that count anywhere.
        at_start: words that count only where ``before`` matches in front of them.
        before: a look behind.
    """
    words = [(word, "") for word in sorted(set(within))]
    words += [(word, before) for word in sorted(set(at_start))]
    anchors = _anchors([word for word, _ in words])
    by_letter: dict[str, list[tuple[str, str]]] = {}
    for word, start in words:
        at = _place(word, anchors)
        # A word that begins with its anchor has been compared already.
        behind = f"(?<={start}{re.escape(word)})" if at or start else ""
        by_letter.setdefault(word[at], []).append((word[at + 1 :], behind))
    parts = [re.escape(letter) + _then(followed) for letter, followed in sorted(by_letter.items())]
    return "|".join(parts)


def _weight(letter: str) -> int:
    """How common a character is: many times as common as a capital."""
    if letter in _COMMON:
        return 2 + 3 * (len(_COMMON) - _COMMON.index(letter))
    return 40 if letter.isdigit() else 20 if letter in "-_./ " else 1


def _anchors(words: list[str]) -> set[str]:
    """Characters, one of which is in each word, and few of which are in an ordinary text."""
    having: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        for letter in set(_usable(word)):
            having.setdefault(letter, []).append(at)
    weights = {letter: _weight(letter) for letter in sorted(having)}
    counts = {letter: len(having[letter]) for letter in weights}
    covers = [0] * len(words)
    """How many of the chosen characters are in each word."""
    chosen: list[str] = []
    left = len(words)
    while left:
        best = max(weights, key=lambda letter: counts[letter] / weights[letter])
        chosen.append(best)
        for at in having[best]:
            if not covers[at]:
                left -= 1
                for letter in set(_usable(words[at])):
                    counts[letter] -= 1
            covers[at] += 1
    for letter in sorted(chosen, key=_weight, reverse=True):
        if all(covers[at] > 1 for at in having[letter]):
            chosen.remove(letter)
            for at in having[letter]:
                covers[at] -= 1
    return set(chosen)


def _usable(word: str) -> str:
    """What of a word may be its anchor: not the ``_`` or ``-`` that many words end with."""
    return word if word[-1].isalpha() or len(word) == 1 else word[:-1]


def _place(word: str, anchors: set[str]) -> int:
    """Where in a word its rarest anchor is."""
    places = [at for at, char in enumerate(_usable(word)) if char in anchors]
    return min(places, key=lambda at: (_weight(word[at]), at))


def _then(followed: list[tuple[str, str]]) -> str:
    """What follows an anchor, by its letters, and behind it the look at the whole word."""
    endings: dict[str, list[str]] = {}
    for rest, behind in followed:
        endings.setdefault(rest, []).append(behind)
    return _alternatives_of(endings)


def _alternatives_of(endings: dict[str, list[str]]) -> str:
    if common := _common(min(endings), max(endings)):  # no call for each letter of a long name
        below = {rest.removeprefix(common): behind for rest, behind in endings.items()}
        return re.escape(common) + _alternatives_of(below)
    parts = list(endings.get("", ()))
    if "" in parts:
        return ""
    by_first: dict[str, dict[str, list[str]]] = {}
    for rest, behind in endings.items():
        if rest:
            by_first.setdefault(rest[0], {})[rest[1:]] = behind
    parts += [
        re.escape(first) + _alternatives_of(below) for first, below in sorted(by_first.items())
    ]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _common(one: str, other: str) -> str:
    """What two texts begin with."""
    for at, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return one[:at]
    return min(one, other, key=len)


def _trie(words: Iterable[str]) -> _Trie:
    """Words by their letters; one that another begins with is enough for both."""
    root: _Trie = {}
    for word in sorted(words):
        node = root
        for char in word:
            if "" in node:
                break
            node = node.setdefault(char, {})
        node[""] = {}
    return root


def _nested(node: _Trie) -> str:
    start = ""
    while len(node) == 1 and "" not in node:  # no call for each letter of a long name
        ((char, node),) = node.items()
        start += re.escape(char)
    if "" in node:
        return start
    parts = [re.escape(char) + _nested(below) for char, below in sorted(node.items())]
    return f"{start}(?:{'|'.join(parts)})"


def signs_in_each(words: Iterable[str], most: int) -> str:
    """A few signs, one of which is in each word; an empty text where ``most`` are not enough."""
    left, needed = set(words), ""
    while left and len(needed) < most:
        signs = Counter(char for word in left for char in set(word) if not char.isalnum())
        if not signs:
            return ""
        needed += max(sorted(signs), key=signs.__getitem__)
        left = {word for word in left if needed[-1] not in word}
    return "" if left else needed
