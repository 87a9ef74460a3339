"""Counting values in bounded memory: exact for what is told apart, and what is not is counted, too.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

LONGEST = 256
"""Characters of a value that is told apart; an emitter's identities have no more."""

OTHERS = "\0others"
"""Stands for values that are not told apart. No argument of a command can hold its first
character."""


class Group:
    """How often a value was in some records, and the first and the last time (``ts``) of these."""

    __slots__ = ("count", "first", "last")

    def __init__(self, count: int, first: str, last: str) -> None:
        self.count = count
        self.first, self.last = first, last


def grouped(values: Sequence[Key], times: Sequence[str]) -> Iterator[tuple[Key, Group]]:
    """Each different value of some records.

    Args:
        values: one of each record.
        times: ``ts`` of the same records, in order of time.
    """
    # No loop over the records: a million of them would take longer than reading them.
    last = dict(zip(values, times, strict=True))
    first = dict(zip(reversed(values), reversed(times), strict=True))
    for value, count in Counter(values).items():
        yield value, Group(count, first[value], last[value])


class Row(Group):
    """The same for all records so far."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, "~", "")

    def add(self, group: Group) -> None:
        """More of the same."""
        self.count += group.count
        self.first = min(self.first, group.first)
        self.last = max(self.last, group.last)


class WhoRow(Row):
    """A row of who did what; ``refused``: what they tried was refused, or failed."""

    __slots__ = ("refused",)

    def __init__(self, *, refused: bool) -> None:
        super().__init__()
        self.refused = refused


class Counts:
    """How often there was which text.

    Args:
        most: texts that are told apart.

    Attributes:
        rows: by text.
        untold: records whose text had no room here.
    """

    def __init__(self, most: int) -> None:
        self.rows: dict[str, Row] = {}
        self.untold = 0
        self._most = most

    def add(self, values: Sequence[str], times: Sequence[str]) -> None:
        """Those of some records, in order of time; an empty text is none."""
        for value, group in grouped(values, times):
            row = self.rows.get(value)
            if row is None and value:
                if len(value) > LONGEST or len(self.rows) >= self._most:
                    self.untold += group.count
                else:
                    row = self.rows[value] = Row()
            if row is not None:
                row.add(group)


class Who(NamedTuple):
    """Who did what with which outcome; a value that is not told apart is ``OTHERS``."""

    event_type: str
    actor: str
    kind: str
    outcome: str
