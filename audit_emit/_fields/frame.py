"""A container that is being walked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit_emit._fields.siblings import NO_NAMES

__all__ = ["Frame", "is_pair"]


class Frame:
    """It keeps its source alive, so that ids stay true."""

    __slots__ = (
        "aliases",
        "entries",
        "held",
        "held_names",
        "index",
        "kind",
        "label",
        "names",
        "out",
        "pairs",
        "source",
        "strict",
    )

    def __init__(
        self, kind: str, entries: Iterator[Any], out: Any, source: object, *, strict: bool
    ) -> None:
        self.kind = kind
        self.entries = entries
        self.out = out
        self.source = source
        self.index = -1
        self.label = ""
        self.names: dict[str, int] = {}
        self.aliases: Mapping[str, tuple[str, ...]] | None = None
        self.held_names: frozenset[str] = NO_NAMES
        self.held: frozenset[int] = frozenset()
        self.pairs = False  # a list of lists of two
        self.strict = strict  # what has the name of a secret: only descriptions are shown


def is_pair(entry: object) -> bool:
    """Whether an entry of a list leaves it one of pairs: a name and a value, or an object."""
    kind = type(entry)
    return kind is dict or ((kind is list or kind is tuple) and len(entry) == 2)  # type: ignore[arg-type]
