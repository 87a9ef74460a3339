"""A mapping of a file of rules, read member by member; unknown members are refused. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from audit_emit._detection.nodes import Node, Refuse

_SPAN = re.compile(r"([1-9][0-9]{0,6})([smhdwMy])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
"""Sigma's units; a month is taken as 30 days and a year as 365."""

_LONGEST_SPAN = 10 * 31536000


class Members:
    """See above.

    Args:
        node: the mapping.
        what: it is, for messages.

    Raises:
        RuleError: it is no mapping.
    """

    def __init__(self, node: Node, what: str, refuse: Refuse) -> None:
        self.line = node.line
        self._what = what
        self._refuse = refuse
        if not isinstance(node.value, dict):
            raise refuse(node.line, f"{what} must be a mapping")
        self._left: dict[str, Node] = dict(node.value)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> Node | None:
        """The member of that name; ``None`` where there is none."""
        return self._left.pop(name, None)

    def need(self, name: str) -> Node:
        """The member of that name.

        Raises:
            RuleError: it is missing.
        """
        found = self._left.pop(name, None)
        if found is None:
            raise self._refuse(self.line, f"{self._what} needs {name!r}")
        return found

    def rest(self) -> dict[str, Node]:
        """What is left."""
        left, self._left = self._left, {}
        return left

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        if default is not None and name not in self._left:
            return default
        node = self.need(name)
        return self._text_of(node, name)

    def _text_of(self, node: Node, name: str) -> str:
        if not isinstance(node.value, str):
            kind = "null" if node.value is None else type(node.value).__name__
            raise self._refuse(
                node.line, f"{name!r} must be a text and is {kind}; put it in quotation marks"
            )
        return node.value

    def texts(self, name: str, *, one: bool = False, needed: bool = False) -> tuple[str, ...]:
        """A list of texts; with ``one`` a single text stands for a list of it."""
        if not needed and name not in self._left:
            return ()
        node = self.need(name)
        if one and isinstance(node.value, str):
            return (node.value,)
        if not isinstance(node.value, list):
            raise self._refuse(node.line, f"{name!r} must be a list of texts")
        return tuple(self._text_of(each, name) for each in node.value)

    def one_of(self, name: str, values: tuple[str, ...], default: str | None = None) -> str:
        """A text that is one of these."""
        if default is not None and name not in self._left:
            return default
        node = self.need(name)
        found = self._text_of(node, name)
        if found not in values:
            raise self._refuse(node.line, f"{name!r} is {found!r}; it may be {', '.join(values)}")
        return found

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean."""
        node = self.take(name)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            raise self._refuse(node.line, f"{name!r} must be true or false")
        return node.value

    def span(self, name: str, default: int | None = None) -> int:
        """A span of time, such as ``5m``, in nanoseconds."""
        if default is not None and name not in self._left:
            return default
        node = self.need(name)
        found = _SPAN.fullmatch(node.value) if isinstance(node.value, str) else None
        seconds = int(found[1]) * _SECONDS[found[2]] if found is not None else 0
        if not 0 < seconds <= _LONGEST_SPAN:
            raise self._refuse(
                node.line, f"{name!r} must be a span of at most 10y, such as 30s, 5m, 1h or 7d"
            )
        return seconds * 10**9

    def number(
        self, name: str, default: float | None = None, *, least: float, most: float
    ) -> float:
        """A number within bounds."""
        if default is not None and name not in self._left:
            return default
        node = self.need(name)
        if not is_number(node.value) or not least <= node.value <= most:
            raise self._refuse(node.line, f"{name!r} must be a number from {least:g} to {most:g}")
        return float(node.value)

    def done(self) -> None:
        """Nothing else may be there.

        Raises:
            RuleError: something is, which would be without effect.
        """
        for name, node in self._left.items():
            raise self._refuse(node.line, f"{self._what} has {name!r}, which is not understood")


def is_number(value: Any) -> bool:
    """Whether it is a finite number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def lasting(ns: int) -> str:
    """A span in words that a rule could have."""
    seconds = ns // 10**9
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            rest = seconds % size * {"d": 24, "h": 60, "m": 60}[unit] // size
            lower = {"d": "h", "h": "m", "m": "s"}[unit]
            return f"{seconds // size}{unit}" + (f" {rest}{lower}" if rest else "")
    return f"{seconds}s"
