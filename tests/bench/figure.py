"""A measured figure beside its limit, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row.

    Attributes:
        name: what was measured.
        value: the number, in ``unit``.
        limit: what it must not pass.
        at_least: whether the limit is a lower one.
        sound: what was written was whole and complete.
        others: the same with what else stdout may be (``COLUMNS``), where that was measured.
        note: what else a reader should know.
        detail: the numbers behind it, for ``--json``.
    """

    name: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False
    sound: bool = True
    others: tuple[float, ...] = ()
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Within the limit, and nothing damaged."""
        kept = self.value >= self.limit if self.at_least else self.value <= self.limit
        return kept and self.sound

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        bound = "at least" if self.at_least else "at most"
        return (
            self.name,
            f"{shown(self.value)}{self.unit}",
            *(shown(value) for value in self.others),
            *("" for _ in COLUMNS[len(self.others) :]),
            f"{bound} {self.limit:g}{self.unit}",
            "ok" if self.ok else "missed" if self.sound else "DAMAGED",
            self.note,
        )


COLUMNS = ("/dev/null", "reader asleep")
HEADER = ("figure", "measured", *COLUMNS, "wanted", "", "note")


def shown(value: float) -> str:
    """Three significant digits, never an exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(figures: Sequence[Figure]) -> str:
    """The table for docs/performance.md."""
    rows = [HEADER, tuple("---" for _ in HEADER), *(figure.cells() for figure in figures)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def text(figures: Sequence[Figure]) -> str:
    """The table for a terminal."""
    rows = [HEADER, *(figure.cells() for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in padded)
