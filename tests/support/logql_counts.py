"""What a handwritten alert counts, evaluated on lines as Loki's ruler does at one moment.

The form that those alerts have about what people do: ``sum by (…) (count_over_time(…))``, with a
comparison after it, or ``unless`` and another one. The query within is ``logql_evaluator``'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from support.logql_evaluator import Query, parse

from audit_emit._loki.labels import placement_of

_SPANS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_SUM = re.compile(
    r"sum by \(([\w, ]+)\) \(\s*count_over_time\(\s*(.+?) \[(\d+)([smhd])\]"
    r"(?: offset (\d+)([smhd]))?\s*\)\s*\)(?: > (\d+))?"
)

Group = tuple[str, ...]


class Sum(NamedTuple):
    """One ``sum by``."""

    by: tuple[str, ...]
    query: Query
    span: int
    offset: int
    above: int

    def at(self, lines: Iterable[bytes], now: int) -> set[Group]:
        """The groups for which it holds at a moment, in nanoseconds since 1970."""
        counts: Counter[Group] = Counter()
        for line in lines:
            place = placement_of(line)
            if place is None:  # it goes to the dead letters
                continue
            if not now - self.offset - self.span < place.ts <= now - self.offset:
                continue
            labels = place.labels
            if not self.query.selects(labels):
                continue
            found = self.query.run(line.decode(), labels)
            if found is not None:
                known = {**labels, **found}
                counts[tuple(known.get(name, "") for name in self.by)] += 1
        return {group for group, count in counts.items() if count > self.above}


def holds(expression: str, lines: Iterable[bytes], now: int) -> set[Group]:
    """The groups for which an alert holds at a moment.

    Raises:
        ValueError: it has another form than those that are known here.
    """
    text = re.sub(r"\s+", " ", expression).strip()
    sums = [_sum(one) for one in text.split(" unless ")]
    kept = [*lines]
    found = sums[0].at(kept, now)
    for other in sums[1:]:
        found -= other.at(kept, now)
    return found


def _sum(text: str) -> Sum:
    found = _SUM.fullmatch(text)
    if found is None:
        raise ValueError(f"not of this form: {text}")
    by, query, span, unit, offset, offset_unit, above = found.groups()
    return Sum(
        tuple(one.strip() for one in by.split(",")),
        parse(query),
        int(span) * _SPANS[unit],
        int(offset) * _SPANS[offset_unit] if offset else 0,
        int(above or 0),
    )
