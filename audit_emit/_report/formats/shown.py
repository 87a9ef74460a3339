"""What the formats for people have in common."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._report.model import Cell, Section

SHOWN = 25
"""Rows of a table; JSON and CSV have all that the report has."""

_UNITS = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


class Numbered:
    """The queries of a report, each with a number by which a figure names it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, query: str) -> str:
        """The number of a query, such as ``Q7``; empty for none."""
        if not query:
            return ""
        return f"Q{self._numbers.setdefault(query, len(self._numbers) + 1)}"

    def all(self) -> Iterator[tuple[str, str]]:
        """Every query with its number, in their order."""
        for query, number in self._numbers.items():
            yield f"Q{number}", query


def cell(value: Cell) -> str:
    """A number with its thousands told apart, a text as it is."""
    return f"{value:,}" if isinstance(value, int) else value


def hidden(section: Section) -> str:
    """What to say of the rows that are not shown; empty where all are."""
    more = max(len(section.rows) - SHOWN, 0) + section.more
    if not more:
        return ""
    return f"{more:,} further rows are not shown here; --format json and csv have up to 1,000."


def step_in_words(seconds: int) -> str:
    """``hour``, ``6 hours``, ``day``, ``week``."""
    for size, name in _UNITS:
        many, rest = divmod(seconds, size)
        if many and not rest:
            return name if many == 1 else f"{many} {name}s"
    return f"{seconds} seconds"
