"""Counting values in bounded memory: exact for what is told apart, and what is not is counted, too.

Pure.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

LONGEST = 256
"""Characters of a value that is told apart; an emitter's identities have no more."""

OTHERS = "\0others"
"""Stands for values that are not told apart. No argument of a command can hold its first
character."""


class Row:
    """How often there was something, and when first and last (``ts``)."""

    __slots__ = ("count", "first", "last")

    def __init__(self, ts: str) -> None:
        self.count = 1
        self.first = self.last = ts

    def add(self, ts: str) -> None:
        """Once more; records come in the order of the chain, which is not that of time."""
        self.count += 1
        if ts > self.last:
            self.last = ts
        elif ts < self.first:
            self.first = ts

    def join(self, other: Row) -> None:
        """The same thing, counted elsewhere."""
        self.count += other.count
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)


class WhoRow(Row):
    """A row of who did what; ``refused``: what they tried was refused, or failed."""

    __slots__ = ("refused",)

    def __init__(self, ts: str) -> None:
        super().__init__(ts)
        self.refused = False


class Counts(Generic[Key]):
    """How often there was which value.

    Args:
        most: values that are told apart.

    Attributes:
        rows: by value.
        untold: records whose value had no room here.
    """

    def __init__(self, most: int) -> None:
        self.rows: dict[Key, Row] = {}
        self.untold = 0
        self._most = most

    @property
    def full(self) -> bool:
        """Whether a new value would not be told apart."""
        return len(self.rows) >= self._most

    def add(self, value: Key, ts: str) -> None:
        """One more record with a value."""
        row = self.rows.get(value)
        if row is not None:
            row.add(ts)
        elif self.full or (isinstance(value, str) and len(value) > LONGEST):
            self.untold += 1
        else:
            self.rows[value] = Row(ts)


class Who(NamedTuple):
    """Who did what with which outcome; a value that is not told apart is ``OTHERS``."""

    event_type: str
    actor: str
    kind: str
    outcome: str
