"""Values of persons in a walk: out of their wrapping before the rules look, and back after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit_emit._fields.frame import Frame
from audit_emit._fields.subject import WITHHELD, Subject
from audit_emit._fields.values import Members
from audit_emit._runtime.interrupts import let_through

__all__ = ["has_subject", "only_of", "room_of", "unwrapped", "unwrapped_below", "withheld", "wrap"]

_SHARE = 4
"""A sealed text is in Base64: it takes a third more than what it seals."""
_ROOM = 96
"""Bytes of what stands around one."""
_NOBODY = object()


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


def has_subject(value: Any) -> bool:
    """Whether a value of a person is anywhere in a plain value."""
    if type(value) is dict:
        return any(map(has_subject, value.values()))
    return any(map(has_subject, value)) if type(value) is list else type(value) is Subject


def only_of(subject: Any, value: Any) -> Any:
    """What is sealed under one key: a value of another person in it has no place there."""
    if type(value) is Subject:
        return only_of(subject, value.value) if _is_same(value.subject, subject) else WITHHELD
    if type(value) is dict:
        return {name: only_of(subject, one) for name, one in value.items()}
    if type(value) is list:
        return [only_of(subject, one) for one in value]
    return value


def unwrapped_below(value: Any) -> Any:
    """The fields as they would be without any wrapping."""
    if type(value) is Subject:
        return only_of(value.subject, value.value)
    if type(value) is dict:
        return {name: unwrapped_below(one) for name, one in value.items()}
    if type(value) is list:
        return [unwrapped_below(one) for one in value]
    return value


def withheld(value: Any) -> Any:
    """A plain value without those of persons, for what is no field and is never sealed."""
    return only_of(_NOBODY, value)


def _is_same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        let_through(error)
        return False
