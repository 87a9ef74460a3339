"""Whether the fields of a record fit the schema of its event type, and what does not.

What is looked at is what is recorded, after redaction: a reason needs no value, and a log can be
looked at in the same way later. A value that was held back, in whole or in part, fits everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol

import msgspec

from audit_emit._fields.subject import Subject
from audit_emit._fields.walk import RESERVED

__all__ = ["SCHEMA", "Schema", "Schemas", "Violation", "told", "violations"]

SCHEMA = "_schema"
"""The member of ``fields`` that says what does not fit."""

_MOST = 8
"""Reasons that are told of one record."""
_LONGEST = 80
"""Characters of the place in a reason."""
_LOOKED_AT = 64
_NOBODY: Mapping[str, Any] = {}
_UNKNOWABLE = ("_lossy", "_withheld", "_spilled")
"""Members of fields that are not there, or not all of them: nothing can be said of those."""

_HELD_BACK = re.compile(
    r"\[redacted\]|\[withheld\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}|aes256gcm:[0-9a-f]{16}:"
)
"""What stands for a secret, and for a value of a person (docs/wire-format.md, sections 1, 12)."""
_NUMBER = re.compile(r"-?[0-9]{16,}|NaN|-?Infinity")
"""Numbers that JSON's readers have no room for, which are recorded as texts."""


class Violation(NamedTuple):
    """One way in which fields do not fit.

    Attributes:
        path: names and indexes from the fields to the value.
        word: ``missing``, ``unknown``, ``type`` or ``value``.
    """

    path: tuple[str | int, ...]
    word: str


class Schema(Protocol):
    """What the fields of one event type must be."""

    @property
    def event_type(self) -> str:
        """The event type."""
        ...

    @property
    def document(self) -> Mapping[str, Any]:
        """It as a JSON Schema."""
        ...

    def fits(self, body: str | bytes) -> bool:
        """Whether the JSON text of some fields fits at first sight; what does not may all the same.

        The quick way, for every event.
        """
        ...

    def found(self, fields: Mapping[str, Any]) -> Iterable[Violation]:
        """What does not fit, of fields that have no member of the library's own."""
        ...


class Schemas(dict[str, Schema]):
    """Schemas by their event types."""


def violations(schema: Schema, fields: Mapping[str, Any]) -> list[Violation]:
    """What does not fit in the fields of a record; empty where all does."""
    if any(name in fields for name in _UNKNOWABLE):
        return []
    cuts = fields.get("_cut")
    own = {name: value for name, value in fields.items() if not is_reserved(name)}
    found = islice(schema.found(own), _LOOKED_AT)
    return [one for one in found if not _is_excused(one, own, cuts)]


def is_reserved(name: str) -> bool:
    """Whether a member of ``fields`` is the library's, and no schema's."""
    return name in RESERVED


def _is_excused(one: Violation, fields: Mapping[str, Any], cuts: object) -> bool:
    name = one.path[0] if one.path else ""
    if name == "workspace_id":
        return True  # of the record, and not of its fields any more
    if isinstance(cuts, list):
        if one.word == "missing":
            return True
        if any(str(cut).startswith(f"{name}{end}") for cut in cuts for end in ":.["):
            return True
    if one.word in {"missing", "unknown"}:
        return False
    value = _at(fields, one.path)
    return _holds_something_back(value) or (
        one.word == "type" and isinstance(value, str) and bool(_NUMBER.fullmatch(value))
    )


def _at(value: Any, path: Iterable[str | int]) -> Any:
    """The value at a path, or the last one on the way that is there."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return value
    return value


def _holds_something_back(value: Any) -> bool:
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            if _HELD_BACK.search(one):
                return True
        elif isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one
    return False


def told(found: Iterable[Violation], persons: Mapping[str, Any] = _NOBODY) -> list[str]:
    """Violations as ``_schema`` has them: ``place: word``, a few of them, without a value.

    Args:
        found: the violations.
        persons: fields in which values of persons are ``Subject``: no name in one of them is told.
    """
    if persons:
        found = [_without_names(one, persons) for one in found]
    said = list(dict.fromkeys(f"{_place(one.path)}: {one.word}" for one in found))
    return said if len(said) <= _MOST else [*said[:_MOST], f"+{len(said) - _MOST} more"]


def _without_names(one: Violation, persons: Any) -> Violation:
    for at, step in enumerate(one.path, 1):
        try:
            persons = persons[step]
        except (KeyError, IndexError, TypeError):
            return one
        if type(persons) is Subject:
            inside = at < len(one.path) and one.word in {"missing", "unknown"}
            return Violation(one.path[:at], "value" if inside else one.word)
    return one


def _place(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    text = text.removeprefix(".") or "fields"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_MEMBER = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_MEMBER_WORDS = {"missing required": "missing", "contains unknown": "unknown"}
_PATH = re.compile(r"\.([^.\[\]`]+)|\[([0-9]+)\]")


def of_msgspec(error: msgspec.ValidationError) -> Violation:
    """What msgspec says of a value, without the value that its message may hold.

    The path in it has indexes and names that the schema declares; an unknown name is as the record
    has it.
    """
    message, found, place = str(error).rpartition(" - at `$")
    if not found:
        message, place = str(error), ""
    path = tuple(int(index) if index else name for name, index in _PATH.findall(place))
    if about := _MEMBER.fullmatch(message):
        return Violation((*path, about[2]), _MEMBER_WORDS[about[1]])
    return Violation(path, "type" if _is_about_type(message) else "value")


def _is_about_type(message: str) -> bool:
    return message.startswith("Expected `") and ", got `" in message


def steps(path: Iterable[object]) -> tuple[str | int, ...]:
    """A path as another library gives it."""
    return tuple(step if isinstance(step, int) else str(step) for step in path)
