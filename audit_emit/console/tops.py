"""The most frequent types, actors, targets and workspaces of the newest records that match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from audit_emit._facade.exports import Record
from audit_emit._facade.text import visible
from audit_emit.console.filters import Filters
from audit_emit.console.records import plain, target_of

LOOKED_AT = 5000
"""How many records are counted at most; the pages name that number."""

SHOWN = 8
_LONGEST = 200
_DISTINCT = 20_000
"""How many different values one list counts: a bound, as whoever writes records chooses them."""


class Top(NamedTuple):
    """One value in a list.

    Attributes:
        value: spelled out.
        records: that have it.
        query: of the page with these records only; empty for a value that no filter names.
    """

    value: str
    records: int
    query: str


class Tops(NamedTuple):
    """The most frequent values.

    Attributes:
        records: that were counted.
        cut: there are more, older ones.
        first, last: ``ts`` of the oldest and the newest of them; empty without records.
        lists: name of its title in the catalogue and values, the most frequent first.
    """

    records: int
    cut: bool
    first: str
    last: str
    lists: list[tuple[str, list[Top]]]


def tops_of(lines: Iterable[bytes], given: Filters, most: int = LOOKED_AT) -> Tops:
    """Count values of records.

    Args:
        lines: of the records, newest first.
        given: the filters that they answer, which the addresses of the values keep.
        most: records that are counted.
    """
    counted: dict[str, Counter[str]] = {"type": Counter(), "actor": Counter()}
    counted |= {"target": Counter(), "workspace": Counter()}
    number, first, last, cut = 0, "", "", False
    for line in lines:
        record = Record.of(line)
        if record is None:
            continue
        if number == most:
            cut = True
            break
        is_ = record.is_
        number += 1
        last, first = last or is_.ts, is_.ts
        for name, value in (
            ("type", is_.event_type),
            ("actor", is_.user_id),
            ("target", target_of(is_.fields)),
            ("workspace", is_.workspace_id),
        ):
            counts = counted[name]
            if value and (value in counts or len(counts) < _DISTINCT):
                counts[value[:_LONGEST]] += 1
    lists = [
        (
            title,
            [_top(name, value, count, given) for value, count in counted[name].most_common(SHOWN)],
        )
        for title, name in (
            ("types", "type"),
            ("actors", "actor"),
            ("targets", "target"),
            ("workspaces", "workspace"),
        )
    ]
    shown = [(title, found) for title, found in lists if found]
    return Tops(number, cut, visible(first), visible(last), shown)


def _top(name: str, value: str, count: int, given: Filters) -> Top:
    query = ""
    if plain(value) and len(value) < _LONGEST:
        if name == "target":
            query = given.query(where=f"{given.given.get('where', '')} key={value}".strip())
        else:
            query = given.query(**{name: value})
    return Top(visible(value), count, query)
