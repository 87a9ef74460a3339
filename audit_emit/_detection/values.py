"""Values of records, as rules compare them. Pure: whatever a record holds, this does not fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]
Get = Callable[[Record], Any]
"""The value of a field; ``None`` where the record has none."""


def getter(field: str) -> Get:
    """What reads a field: a member of the record, or ``fields.a.b`` of the event's own."""
    path = field.split(".")
    if len(path) == 1:
        name = path[0]
        return lambda record: record.get(name)
    if len(path) == 2:  # nearly all
        outer, inner = path

        def two(record: Record) -> Any:
            found = record.get(outer)
            return found.get(inner) if isinstance(found, dict) else None

        return two

    def deep(record: Any) -> Any:
        for name in path:
            if not isinstance(record, dict):
                return None
            record = record.get(name)
        return record

    return deep


def scalars(value: Any) -> Iterator[Any]:
    """A value, or those of a list: one of them suffices to match."""
    if isinstance(value, list):
        yield from value
    else:
        yield value


def text_of(value: Any) -> str | None:
    """The text of a value as it stands in the record; ``None`` for null, mappings and lists."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value, however deep: what keywords look at."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        else:
            text = text_of(one)
            if text is not None:
                yield text


def number_of(value: Any) -> float | None:
    """A number; ``None`` for all else, a text of digits included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if found - found == 0 else None  # neither infinite nor NaN
