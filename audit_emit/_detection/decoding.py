"""Records decoded no further than rules look: other members are passed over, not made. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from audit_emit._detection.values import Record
from audit_emit._format.record import parsed
from audit_emit._runtime.interrupts import let_through

Decode = Callable[[bytes], Record]
"""A record with what its rules ask for. What msgspec raises says nothing: see ``whole``."""

EVERYTHING: Decode = msgspec.json.Decoder(dict[str, Any]).decode
UNDECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What ``Decode`` raises: fields that are no object, a number that is too large, no record."""

_FIELDS = "fields"
OWN = "own"
"""The attribute for the event's own fields."""

_USUAL = re.compile(r"(fields\.)?[A-Za-z0-9_-]+", re.ASCII)
_PLACE = frozenset({"seq", "ts"})
"""What is read of every record, whatever its rules are about."""


def whole(line: bytes) -> Record | None:
    """A record with all of its members, whatever they are; ``None`` for a line that is none."""
    try:
        return EVERYTHING(line)
    except UNDECODED as error:
        let_through(error)
        return parsed(line)


@lru_cache(maxsize=256)
def decoding(names: frozenset[str]) -> Decode:
    """What reads these fields of a record, each as ``getter`` has it; others may be missing."""
    members: dict[str, Any] = dict.fromkeys(_PLACE, Any)
    own: dict[str, Any] = {}
    for name in names:
        first, _, rest = name.partition(".")
        if first == _FIELDS and rest:
            own[rest.partition(".")[0]] = Any
        else:
            members[first] = Any
    # msgspec finds no member of a TypedDict whose name is beyond ASCII.
    if not all(map(str.isascii, members)):
        return EVERYTHING
    if not all(map(str.isascii, own)):
        members[_FIELDS] = Any
    if own and _FIELDS not in members:
        members[_FIELDS] = _part(own)
    return msgspec.json.Decoder(_part(members)).decode


@lru_cache(maxsize=256)
def slots(variables: tuple[tuple[str, str], ...]) -> Callable[[bytes], Any] | None:
    """What reads these fields of a record into attributes, which takes less time than a mapping.

    Args:
        variables: the name of each field, and that of its attribute; those of ``fields.`` are
            attributes of the attribute ``own``.

    Returns:
        ``None`` where a name is one that attributes cannot have.
    """
    members: list[tuple[str, Any, Any]] = []
    own: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for name, variable in variables:
        if not _USUAL.fullmatch(name):
            return None
        inner = name.removeprefix(_FIELDS + ".")
        names[variable] = inner
        (members if inner == name else own).append((variable, Any, None))
    if own:
        inside = msgspec.defstruct("Own", own, rename=names, frozen=True, gc=False)
        members.append((OWN, inside, inside()))
        names[OWN] = _FIELDS
    try:
        return msgspec.json.Decoder(msgspec.defstruct("Line", members, rename=names)).decode
    except ValueError:  # ``fields`` is asked for as a whole, too
        return None


def _part(members: dict[str, Any]) -> Any:
    """A mapping of which msgspec makes these members only."""
    return TypedDict("Part", members, total=False)  # type: ignore[operator]
