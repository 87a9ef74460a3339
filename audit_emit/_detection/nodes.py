"""What a file of rules says, with the line of each value, so that a refusal can name it. Pure.

Duplicate keys are refused: which of two values counts is a matter of the reader's taste, and a rule
that two programs understand differently is a rule that somebody can evade.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined] # what json itself reads texts with
from typing import Any, NamedTuple

from audit_emit.errors import RuleError

DEEPEST = 32
"""Levels of mappings and lists in a file of rules."""

LONGEST = 1 << 20
"""Bytes of a file of rules."""


class Node(NamedTuple):
    """One value of a file of rules.

    Attributes:
        value: ``dict[str, Node]``, ``list[Node]``, or a text, a number, a boolean, ``None``.
        line: where it begins, from 1.
    """

    value: Any
    line: int


class Refuse(NamedTuple):
    """Makes the errors of one file.

    Attributes:
        file: its name, as messages show it.
    """

    file: str

    def __call__(self, line: int, reason: str) -> RuleError:
        """The error for what stands in a line."""
        return RuleError(self.file, line, reason)


_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"(-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null)(?![\w.])")
_WORDS = {"true": True, "false": False, "null": None}


def json_node(text: str, refuse: Refuse) -> Node:
    """The one value of a file of JSON (RFC 8259).

    Raises:
        RuleError: it is no JSON, or a mapping has one key twice.
    """
    reading = _Json(text, refuse)
    node = reading.value(0)
    reading.end()
    return node


class _Json:
    """One text, and how far it was read."""

    def __init__(self, text: str, refuse: Refuse) -> None:
        self._text = text
        self._refuse = refuse
        self._at = 0
        self._line = 1
        self._counted = 0

    def _error(self, reason: str) -> RuleError:
        return self._refuse(self._here(), reason)

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _next(self) -> str:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def end(self) -> None:
        if self._next():
            raise self._error("there is something after the end of the JSON")

    def value(self, depth: int) -> Node:
        first, line = self._next(), self._here()
        if depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} levels")
        if first == "{":
            return Node(self._mapping(depth), line)
        if first == "[":
            return Node(list(self._items("]", lambda: self.value(depth + 1))), line)
        if first == '"':
            return Node(self._string(), line)
        found = _SCALAR.match(self._text, self._at)
        if found is None:
            raise self._error("this is not JSON")
        self._at = found.end()
        word = found[1]
        if word in _WORDS:
            return Node(_WORDS[word], line)
        if len(word) > 40:
            raise self._error("a number of more than 40 characters")
        return Node(float(word) if found[2] or found[3] else int(word), line)

    def _mapping(self, depth: int) -> dict[str, Node]:
        made: dict[str, Node] = {}

        def member() -> None:
            if self._next() != '"':
                raise self._error("this is not JSON: a key is a text in quotation marks")
            line = self._here()
            key = self._string()
            if key in made:
                raise self._refuse(line, f"the key {key!r} is there twice")
            if self._next() != ":":
                raise self._error("this is not JSON: a colon is missing")
            self._at += 1
            made[key] = self.value(depth + 1)

        for _ in self._items("}", member):
            pass
        return made

    def _items(self, end: str, item: Callable[[], Any]) -> Iterator[Any]:
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        while True:
            yield item()
            found = self._next()
            self._at += 1
            if found == end:
                return
            if found != ",":
                self._at -= 1
                raise self._error(f"this is not JSON: a comma or {end} is missing")

    def _string(self) -> str:
        try:
            found, self._at = scanstring(self._text, self._at + 1, True)
        except ValueError:
            raise self._error("this is not JSON: a text that does not end, or an escape") from None
        return str(found)
