"""``condition``: selections combined by ``and``, ``or``, ``not``, ``1 of``, ``all of``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from audit_emit._detection.expressions import And, Not, Or, Tree
from audit_emit._detection.nodes import Node, Refuse

_TOKEN = re.compile(r"\s*(?:([()])|([A-Za-z0-9_][A-Za-z0-9_*-]*))")
_DEEPEST = 30
_LONGEST = 4000


def condition(node: Node, selections: Mapping[str, Tree], refuse: Refuse) -> Tree:
    """The tree of a condition.

    Args:
        selections: by their names.

    Raises:
        RuleError: it is not understood, or a selection has no effect.
    """
    if not isinstance(node.value, str):
        raise refuse(node.line, "'condition' must be one text; join several with 'or'")
    reading = _Condition(node, selections, refuse)
    tree = reading.whole()
    if unused := sorted(set(selections) - reading.used):
        raise refuse(node.line, f"the condition does not use {', '.join(unused)}")
    return tree


class _Condition:
    def __init__(self, node: Node, selections: Mapping[str, Tree], refuse: Refuse) -> None:
        self.used: set[str] = set()
        self._selections = selections
        self._line = node.line
        self._refuse = refuse
        self._tokens = self._cut(node.value)
        self._at = 0

    def _cut(self, text: str) -> list[str]:
        if len(text) > _LONGEST:
            raise self._refuse(self._line, f"a condition of more than {_LONGEST} characters")
        if "|" in text:
            raise self._refuse(
                self._line, "aggregations in a condition are no longer Sigma; write a correlation"
            )
        tokens, at = [], 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._refuse(self._line, f"the condition has {text[at:].strip()[:20]!r}")
            tokens.append(found[1] or found[2])
            at = found.end()
        return tokens

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        found = self._next()
        self._at += 1
        return found

    def whole(self) -> Tree:
        tree = self._or(0)
        if self._next():
            raise self._refuse(self._line, f"the condition ends before {self._next()!r}")
        return tree

    def _or(self, depth: int) -> Tree:
        parts = [self._and(depth)]
        while self._next().lower() == "or":
            self._at += 1
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self, depth: int) -> Tree:
        parts = [self._not(depth)]
        while self._next().lower() == "and":
            self._at += 1
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise self._refuse(self._line, f"a condition of more than {_DEEPEST} levels")
        word = self._take()
        if word.lower() == "not":
            return Not(self._not(depth + 1))
        if word == "(":
            tree = self._or(depth + 1)
            if self._take() != ")":
                raise self._refuse(self._line, "a parenthesis of the condition is not closed")
            return tree
        if word.lower() in {"1", "any", "all"} and self._next().lower() == "of":
            self._at += 1
            return self._of(word.lower(), self._take())
        if word not in self._selections:
            raise self._refuse(self._line, f"the condition has {word!r}, and no such selection")
        self.used.add(word)
        return self._selections[word]

    def _of(self, how: str, pattern: str) -> Tree:
        if pattern == "them":
            names = [name for name in self._selections if not name.startswith("_")]
        else:
            names = [name for name in self._selections if fnmatchcase(name, pattern or "?")]
        if not names:
            raise self._refuse(self._line, f"no selection is one of {pattern!r}")
        self.used.update(names)
        parts = tuple(self._selections[name] for name in names)
        return And(parts) if how == "all" else Or(parts)
