"""Counting values in bounded memory: exact for what is told apart, and what is not is counted, too.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

LONGEST = 256
"""Characters of a value that is told apart; an emitter's identities have no more."""

OTHERS = "\0others"
"""Stands for values that are not told apart. No argument of a command can hold its first
character."""

REFUSED_OTHERS = "\0others that were refused"
"""The same, for what was refused or failed: that much is told apart always."""

UNTOLD = frozenset({OTHERS, REFUSED_OTHERS})


class Row:
    """How often there was something, and when first and last (``ts``)."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.count = 0
        self.first, self.last = "~", ""

    def add(self, count: int, first: str, last: str) -> None:
        """So many more, the first and the last of them at these times."""
        self.count += count
        self.first = min(self.first, first)
        self.last = max(self.last, last)


def count_all(
    values: Sequence[Key], times: Sequence[str], row_of: Callable[[Key, int], Row | None]
) -> None:
    """Count some records.

    Args:
        values: one of each record.
        times: ``ts`` of the same records, in order of time.
        row_of: the row of a value, given how many there are; ``None`` where it is not told apart.
    """
    # No loop over the records: a million of them would take longer than reading them. When a value
    # came first is asked only where a row does not know it from an earlier time already.
    last = dict(zip(values, times, strict=True))
    first: dict[Key, str] = {}
    for value, count in Counter(values).items():
        row = row_of(value, count)
        if row is None:
            continue
        begin = times[0]
        if row.first > begin:
            first = first or dict(zip(reversed(values), reversed(times), strict=True))
            begin = first[value]
        row.add(count, begin, last[value])


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
        count_all(values, times, self._row)

    def _row(self, value: str, count: int) -> Row | None:
        row = self.rows.get(value)
        if row is None and value:
            if len(value) <= LONGEST and len(self.rows) < self._most:
                row = self.rows[value] = Row()
            else:
                self.untold += count
        return row


class Who(NamedTuple):
    """Who did what with which outcome; a value that is not told apart is one of ``UNTOLD``."""

    event_type: str
    actor: str
    kind: str
    outcome: str
