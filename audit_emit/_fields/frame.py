"""A container that is being walked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit_emit._fields.siblings import NO_NAMES, Judge, held_items, held_names, held_within
from audit_emit._fields.values import Members
from audit_emit._redaction.names import fold
from audit_emit._redaction.words import VALUE_NAMES

__all__ = ["Frame", "made_frame"]


NOTHING_WITHIN: dict[str, Any] = {}


class Frame:
    """It keeps its source alive, so that ids stay true."""

    __slots__ = (
        "aliases",
        "columns",
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
        "within",
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
        self.within: dict[str, Any] = NOTHING_WITHIN
        self.columns: frozenset[int] = frozenset()  # the places that are secret in each row
        self.held_names: frozenset[str] = NO_NAMES
        self.held: frozenset[int] = frozenset()
        self.pairs = False  # a list of lists of two
        self.strict = strict  # what has the name of a secret: only descriptions are shown


def _is_pair(entry: object) -> bool:
    """Whether an entry of a list leaves it one of pairs: a name and a value, or an object."""
    kind = type(entry)
    return kind is dict or ((kind is list or kind is tuple) and len(entry) == 2)  # type: ignore[arg-type]


def made_frame(
    members: Members,
    source: object,
    out: Any,
    above: Frame | None,
    names_secret: Judge,
    *,
    strict: bool,
) -> Frame:
    """The frame of a container, with what is secret in it by what is in it or beside it."""
    entries = members.entries
    frame = Frame(members.kind, iter(entries), out, source, strict=strict)
    if members.kind == "dict":
        frame.aliases = members.aliases or None
        frame.held_names = held_names(entries, names_secret)
        frame.within = held_within(entries, names_secret)
        if strict and len(entries) > 1 and all(map(_is_side, entries)):
            frame.held_names |= VALUE_NAMES  # an old and a new value
    elif members.kind == "list":
        frame.pairs = all(map(_is_pair, entries))
        name, of_pairs = (above.label, above.pairs) if above is not None else ("", False)
        pair = of_pairs or type(source) is tuple
        frame.held = held_items(entries, names_secret, name=name, pair=pair)
        frame.label = name  # also that of the lists in it
    told = () if above is None else above.columns or above.within.get(above.label, ())
    if told:
        _add(frame, told, entries)
    return frame


def _add(frame: Frame, told: frozenset[Any], entries: list[Any]) -> None:
    """What the container above says: names of members, or places in each row."""
    if frame.kind == "dict":
        frame.held_names |= frozenset(one for one in told if type(one) is str)
        return
    places = frozenset(one for one in told if type(one) is int)
    if any(type(entry) is list or type(entry) is tuple for entry in entries):
        frame.columns = places
    else:
        frame.held |= places


def _is_side(entry: Any) -> bool:
    return type(entry[0]) is str and fold(entry[0]) in VALUE_NAMES
