"""Values of persons in a walk: out of their wrapping before the rules look, and back after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit_emit._fields.frame import Frame
from audit_emit._fields.subject import Subject
from audit_emit._fields.values import Members

__all__ = ["room_of", "unwrapped", "wrap"]

_SHARE = 4
"""A sealed text is in Base64: it takes a third more than what it seals."""
_ROOM = 96
"""Bytes of what stands around one."""


def unwrapped(members: Members, stack: Sequence[Frame]) -> dict[int, Any]:
    """Take the values of persons among some members out of their wrapping; whose each is.

    Args:
        members: changed in place.
        stack: the containers around them. A set is sorted by what is in it: there a value of a
            person is left as it is, and withheld.
    """
    found: dict[int, Any] = {}
    if members.kind == "set" or any(frame.kind == "set" for frame in stack):
        return found
    entries, named = members.entries, members.kind == "dict"
    for at, entry in enumerate(entries):
        value = entry[1] if named else entry
        if type(value) is Subject:
            found[at] = value.subject
            entries[at] = (entry[0], value.value) if named else value.value
    return found


def room_of(subjects: dict[int, Any], room: int, *, first: bool) -> int:
    """How much of the room for plain values goes to what their ciphertexts take beyond that."""
    return _ROOM * len(subjects) + (room // _SHARE if first else 0)


def wrap(frame: Frame) -> None:
    """Put what was made of the values of persons in a container back into their wrapping."""
    out = frame.out
    places = list(out) if frame.kind == "dict" else range(len(out))
    for at, subject in frame.subjects.items():
        if at < len(places):  # what was cut is not there
            out[places[at]] = Subject(subject, out[places[at]])
