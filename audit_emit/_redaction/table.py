"""What the rules say, as tables for the compiled part: it has no word and no class of its own.

They say of a text what ``Engine.suspicious`` says, in one pass, and of letters beyond ASCII more:
there the engine has to look wherever a mark is, and the tables know which letters can matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from audit_emit._redaction import digits, keywords
from audit_emit._redaction.alphabet import folded_text
from audit_emit._redaction.engine import Engine
from audit_emit._redaction.letters import OTHER, Letters
from audit_emit._redaction.readings import ESCAPES
from audit_emit._redaction.rule import RUN, RUN_CHARACTERS

__all__ = ["made"]

ESCAPED, BEGINS, OF_RUN, WORD, DIGIT, BETWEEN, OPTION = (1 << bit for bit in range(7))
"""What an ASCII character may be: one that JSON escapes, that JSON may begin with, of a long run,
before a keyword that counts at a start only, counted as a digit of a card number, allowed between
those, the first of an option on a command line."""

FIRST_GROUP = 16
"""The bits below say how a keyword of a rule without context counts (``keywords``)."""
_MOST_GROUPS = 24

_JSON_BEGINS = "{[ \t\r\n"


class _Words:
    """Words as a trie; node 0 is the root, and "no node" as well."""

    def __init__(self, words: Mapping[str, int], first_column: int = 1) -> None:
        chars = sorted(set("".join(words)))
        self.columns = {char: at for at, char in enumerate(chars, start=first_column)}
        self.width = first_column + len(chars)
        rows: list[dict[int, int]] = [{}]
        ends = array("I", [0])
        for word, meaning in words.items():
            node = 0
            for char in word:
                following = rows[node].setdefault(self.columns[char], len(rows))
                if following == len(rows):
                    rows.append({})
                    ends.append(0)
                node = following
            ends[node] |= meaning
        nodes = array("H", bytes(2 * self.width * len(rows)))
        for at, row in enumerate(rows):
            for column, following in row.items():
                nodes[at * self.width + column] = following
        self.nodes, self.ends = nodes.tobytes(), ends.tobytes()

    def classes(self, *, folded: bool) -> bytes:
        columns = self.columns
        chars = map(chr, range(128))
        return bytes(columns.get(char.lower() if folded else char, 0) for char in chars)


@lru_cache(maxsize=8)  # most emitters have the rules of the library and no others
def _trie(words: frozenset[tuple[str, int]], first_column: int = 1) -> _Words:
    return _Words(dict(sorted(words)), first_column)


class Made(NamedTuple):
    """The tables by the names that the compiled part has for them, and what fills ``letters``."""

    tables: dict[str, Any]
    letters: Letters


def made(engine: Engine) -> Made:
    """The tables of an engine's rules."""
    exact: dict[str, int] = dict.fromkeys(ESCAPES, keywords.ALONE)
    folded: dict[str, int] = {}
    for rule in engine.prefilter.rules:
        kind = keywords.WITH_RUN if rule.long_run else keywords.ALONE
        _add(exact, rule.keywords, kind << rule.word_start)
    marks: dict[str, int] = {}
    always = telling = naming = 0
    for at, group in enumerate(engine.folded.groups):
        bit = FIRST_GROUP << min(at, _MOST_GROUPS)
        always |= 0 if group.marks else bit
        if group.names or (group.ignore_case and not group.alone):  # those spelled otherwise, too
            naming |= bit
        elif group.tells:
            telling |= bit
        for mark in group.marks:
            marks[mark] = marks.get(mark, 0) | bit
        ascii_only = not group.ignore_case and all(map(str.isascii, group.words))
        if ascii_only:
            _add(exact, group.words, bit)
        else:
            _add(folded, map(folded_text, group.words), bit)
    words = _trie(frozenset(exact.items()))
    folded_words = _trie(frozenset(folded.items()), OTHER + 1)
    letters = Letters(folded_words.columns, marks)
    tables = {
        "exact_classes": words.classes(folded=False),
        "exact_columns": words.width,
        "exact_nodes": words.nodes,
        "exact_ends": words.ends,
        "folded_classes": folded_words.classes(folded=True),
        "folded_columns": folded_words.width,
        "folded_nodes": folded_words.nodes,
        "folded_ends": folded_words.ends,
        **_starts(frozenset(exact), frozenset(folded)),
        "marks": array("I", [marks.get(chr(code), 0) for code in range(128)]).tobytes(),
        "kinds": bytes(map(_kind, range(128))),
        "letters": letters.known,
        "always": always,
        "telling": telling,
        "naming": naming,
        "run": RUN,
        "digit_run": digits.RUN,
    }
    return Made(tables, letters)


def _add(words: dict[str, int], more: Iterable[str], meaning: int) -> None:
    for word in more:
        words[word] = words.get(word, 0) | meaning


@lru_cache(maxsize=8)
def _starts(exact: frozenset[str], folded: frozenset[str]) -> dict[str, bytes]:
    """What ASCII texts with a word in them have at the place where it begins.

    A bit for each pair of characters that a word begins with; for each pair that is a word or
    begins with one; for each hash of three characters that a word begins with.
    """
    pairs, shorts, triples = bytearray(2048), bytearray(2048), bytearray(4096)
    for start in {word[:3] for word in exact} | {
        s for word in folded for s in _spellings(word[:3])
    }:
        if not start[:2].isascii():
            continue  # where another character is next to one, the words are always looked for
        for pair in [start[:2]] if len(start) > 1 else [start + chr(code) for code in range(128)]:
            place = ord(pair[0]) << 7 | ord(pair[1])
            _set(pairs, place)
            if len(start) < 3:
                _set(shorts, place)
            elif start.isascii():
                _set(triples, (place << 1 ^ ord(start[2]) * 259) & 0x7FFF)
    return {"pairs": bytes(pairs), "shorts": bytes(shorts), "triples": bytes(triples)}


def _spellings(start: str) -> Iterator[str]:
    """The spellings of a few letters that are the same where case does not count."""
    return map("".join, product(*({char, char.upper()} for char in start)))


def _set(bits: bytearray, at: int) -> None:
    bits[at >> 3] |= 1 << (at & 7)


def _kind(code: int) -> int:
    char = chr(code)
    between = code in digits.BETWEEN
    return (
        (ESCAPED if code < 32 or char in '"\\\x7f' else 0)
        | (BEGINS if char in _JSON_BEGINS else 0)
        | (OF_RUN if char in RUN_CHARACTERS else 0)
        | (WORD if char.isalnum() else 0)
        | (BETWEEN if between else 0)
        | (DIGIT if not between and digits.classes[code] == ord("0") else 0)
        | (OPTION if char == "-" else 0)
    )
