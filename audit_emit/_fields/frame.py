"""A container that is being walked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit_emit._fields.values import Members
from audit_emit._redaction.siblings import Judge, Siblings, find_siblings

__all__ = ["Frame", "made_frame"]


_NONE: dict[int, Any] = {}


class Frame(Siblings):
    """Where the walk is in a container. It keeps its source alive, so that ids stay true."""

    __slots__ = (
        "aliases",
        "entries",
        "index",
        "kind",
        "names",
        "out",
        "source",
        "strict",
        "subjects",
    )

    def __init__(
        self, kind: str, entries: Iterator[Any], out: Any, source: object, *, strict: bool
    ) -> None:
        super().__init__()
        self.kind = kind
        self.entries = entries
        self.out = out
        self.source = source
        self.index = -1
        self.names: dict[str, int] = {}
        self.aliases: Mapping[str, tuple[str, ...]] | None = None
        self.subjects: dict[int, Any] = _NONE
        """Of members that are values of a person: whose, by their place."""
        self.strict = strict  # what has the name of a secret: only descriptions are shown


def made_frame(
    members: Members,
    source: object,
    out: Any,
    above: Frame | None,
    names_secret: Judge,
    *,
    strict: bool,
) -> Frame:
    """The frame of a container, with what is secret in it by what is in it or around it."""
    entries = members.entries
    frame = Frame(members.kind, iter(entries), out, source, strict=strict)
    if members.kind == "dict":
        frame.aliases = members.aliases or None
    find_siblings(
        members.kind,
        entries,
        names_secret,
        above,
        is_tuple=type(source) is tuple,
        strict=strict,
        into=frame,
    )
    return frame
