"""Whether any keyword of any rule is in a text: the one prefilter, made from the rules themselves.

In Python it is a regular expression, for the compiled part a table that says the same (``table``).
A text with a keyword that counts only beside a long run, and without such a run, is harmless.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from audit_emit._lazy import Pattern
from audit_emit._redaction.grammar import Grammar
from audit_emit._redaction.rule import BEFORE, Rule

__all__ = ["RUN", "Folded", "Prefilter", "Table"]

RUN = 20
"""Letters, digits, ``_`` and ``-`` in a row that make a long run."""

_RUN_CHARACTERS = "".join(chr(code) for code in range(128) if chr(code).isalnum()) + "_-"
_LONG_RUN = re.compile(rf"[{re.escape(_RUN_CHARACTERS)}]{{{RUN}}}")
_Trie = dict[str, "_Trie"]


class Table(NamedTuple):
    """The keywords as a trie, for the compiled part. Node 0 is the root; 0 is also "no node".

    Attributes:
        pairs: 8192 bytes, a bit for each two bytes that a keyword begins with: bit ``b & 7`` of
            byte ``(a << 8 | b) >> 3``.
        classes: 256 bytes: the column of each byte in ``nodes``; 0 for one in no keyword.
        columns: how many columns a node has.
        nodes: native ``uint16``, ``columns`` of them for each node: the next node.
        ends: a byte for each node, 0 where no keyword ends, else a sum of ``ALONE`` and so on.
        run: the characters of a long run.
    """

    pairs: bytes
    classes: bytes
    columns: int
    nodes: bytes
    ends: bytes
    run: bytes


ALONE, ALONE_AT_START, WITH_RUN, WITH_RUN_AT_START = 1, 2, 4, 8
"""How a keyword counts that ends at a node of ``Table``: anywhere or where no letter or digit is
before it; by itself or beside a long run."""


class Prefilter:
    """The keywords of some rules, and which rules each of them belongs to.

    Args:
        rules: in the order in which they are asked.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules

    def suspicious(self, text: str) -> bool:
        """Whether some rule has to look at a text: False only when none would find anything.

        It may be asked for JSON with many texts in it as well, as long as no character of a
        keyword is escaped there and what is escaped is looked at text by text.
        """
        if self._certain.search(text) is not None:
            return True
        return self._with_run.search(text) is not None and _LONG_RUN.search(text) is not None

    def rules_for(self, text: str) -> list[Rule]:
        """The rules one of whose keywords is in a text."""
        if not self.suspicious(text):
            return []
        found = [rule for keyword, rules in self._by_keyword if keyword in text for rule in rules]
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    @cached_property
    def table(self) -> Table:
        """The same for the compiled part."""
        words = {word for rule in self.rules for word in rule.keywords}
        columns = {char: at for at, char in enumerate(sorted(set("".join(words))), start=1)}
        rows: list[dict[int, int]] = [{}]
        ends = bytearray(1)
        pairs = bytearray(8192)
        for rule in self.rules:
            end = (WITH_RUN if rule.long_run else ALONE) << rule.word_start
            for word in rule.keywords:
                pair = ord(word[0]) << 8 | ord(word[1])
                pairs[pair >> 3] |= 1 << (pair & 7)
                node = 0
                for char in word:
                    following = rows[node].setdefault(columns[char], len(rows))
                    if following == len(rows):
                        rows.append({})
                        ends.append(0)
                    node = following
                ends[node] |= end
        width = len(columns) + 1
        nodes = array("H", bytes(2 * width * len(rows)))
        for at, row in enumerate(rows):
            for column, following in row.items():
                nodes[at * width + column] = following
        classes = bytes(columns.get(chr(byte), 0) for byte in range(256))
        return Table(
            bytes(pairs), classes, width, nodes.tobytes(), bytes(ends), _RUN_CHARACTERS.encode()
        )

    @cached_property
    def _by_keyword(self) -> list[tuple[str, list[Rule]]]:
        known: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for keyword in rule.keywords:
                known.setdefault(keyword, []).append(rule)
        return list(known.items())

    @cached_property
    def _certain(self) -> re.Pattern[str]:
        return re.compile(_any_of(rule for rule in self.rules if not rule.long_run))

    @cached_property
    def _with_run(self) -> re.Pattern[str]:
        return re.compile(_any_of(rule for rule in self.rules if rule.long_run))


def _any_of(rules: Iterable[Rule]) -> str:
    """A pattern that finds the keywords of some rules."""
    within: set[str] = set()
    at_start: set[str] = set()
    for rule in rules:
        (at_start if rule.word_start else within).update(rule.keywords)
    parts = []
    if at_start:
        parts.append(BEFORE.format("") + _alternatives(_trie(at_start)))
    if within:
        parts.append(_alternatives(_trie(within)))
    return "|".join(parts) or r"(?!)"


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


def _alternatives(node: _Trie) -> str:
    if "" in node:
        return ""
    parts = [re.escape(char) + _alternatives(below) for char, below in sorted(node.items())]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


class Folded:
    """The same of rules by what stands around a secret: keywords in any spelling, beside marks.

    Args:
        rules: in the order in which they are asked.
        names: further keywords of those that ask for a name.
    """

    def __init__(self, rules: Sequence[Grammar], names: tuple[str, ...] = ()) -> None:
        groups: dict[tuple[tuple[str, ...], bool], list[Grammar]] = {}
        for rule in rules:
            words = (*rule.keywords, *(names if rule.named else ()))
            groups.setdefault((words, rule.ignore_case), []).append(rule)
        self._groups = [_Group(*key, group) for key, group in groups.items()]

    def suspicious(self, text: str) -> bool:
        """Whether some rule has to look at a text: False only when none would find anything."""
        lower = text.lower()
        return any(group.suspicious(text, lower) for group in self._groups)

    def rules_for(self, text: str) -> list[Grammar]:
        """The rules that have to look at a text."""
        lower = text.lower()
        return [
            rule
            for group in self._groups
            if group.suspicious(text, lower)
            for rule in group.rules
            if not rule.marks or any(mark in text for mark in rule.marks)
        ]


class _Group:
    """Rules of the same keywords, which are looked for once, and the marks of all of them."""

    def __init__(self, words: tuple[str, ...], ignore_case: bool, rules: list[Grammar]) -> None:
        self.rules = rules
        self._ignore_case = ignore_case
        self._known = Pattern(_alternatives(_trie(words)))
        marks = "" if any(not rule.marks for rule in rules) else "".join(r.marks for r in rules)
        self._marks = Pattern(f"[{re.escape(''.join(sorted(set(marks))))}]") if marks else None

    def suspicious(self, text: str, lower: str) -> bool:
        if self._marks is not None and self._marks.search(text) is None:
            return False
        if not self._ignore_case:
            return self._known.search(text) is not None
        # Letters beyond ASCII may be of a name in another alphabet, or full-width ones.
        return not text.isascii() or self._known.search(lower) is not None
