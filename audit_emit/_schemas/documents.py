"""JSON Schema, out of an event class and in from files; and what a schema says of each field."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from audit_emit._schemas.event import Declaration, Field
from audit_emit._schemas.recorded import recorded

__all__ = ["DRAFT", "MARKS", "Described", "described", "document_of"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_UNMARKED = Field()
MARKS = "x-audit-emit"
"""The member of a property that holds what ``Field`` says."""


def document_of(cls: type[Declaration]) -> dict[str, Any]:
    """The JSON Schema of an event class; see ``Event.json_schema``."""
    (made,), parts = msgspec.json.schema_components([recorded(cls)], ref_template="#/$defs/{name}")
    own = parts.pop(made["$ref"].rpartition("/")[2])
    document: dict[str, Any] = {
        "$schema": DRAFT,
        "title": cls.__event_type__ or cls.__name__,
    }
    if said := cls.__dict__.get("__doc__"):
        document["description"] = inspect.cleandoc(said)
    own.pop("title", None)
    document |= own
    for name, field in marks_of(cls).items():
        marks = msgspec.structs.asdict(field).items()
        said = {key: value for key, value in marks if value != getattr(_UNMARKED, key)}
        document["properties"][name] = {**document["properties"][name], MARKS: said}
    if parts:
        document["$defs"] = parts
    return document


def marks_of(cls: type[Declaration]) -> dict[str, Field]:
    """What ``Field`` says, by the name of the member in the record."""
    return {
        field.encode_name: one
        for field in msgspec.structs.fields(cls)
        for one in _notes(field.type)
        if isinstance(one, Field)
    }


def _notes(kind: Any) -> Iterator[Any]:
    """What stands beside a type, also within a union, such as of a field that may be unset."""
    yield from getattr(kind, "__metadata__", ())
    if get_origin(kind) in {Union, UnionType}:
        for one in get_args(kind):
            yield from _notes(one)


class Described(NamedTuple):
    """One field as a schema describes it.

    Attributes:
        name: of the member.
        type: in words, such as ``string`` or ``"global" or "workspace"``.
        required: whether every event has it.
        description: as the schema gives it.
        marks: what ``Field`` says.
    """

    name: str
    type: str
    required: bool
    description: str
    marks: Field


def described(document: Mapping[str, Any]) -> list[Described]:
    """The fields that a JSON Schema names, in its order."""
    properties = document.get("properties")
    required = document.get("required")
    if not isinstance(properties, Mapping):
        return []
    found = []
    for name, schema in properties.items():
        inner = schema if isinstance(schema, Mapping) else {}
        found.append(
            Described(
                str(name),
                in_words(inner, document),
                isinstance(required, list) and name in required,
                str(inner.get("description", "")),
                _marks(inner.get(MARKS)),
            )
        )
    return found


def _marks(given: object) -> Field:
    try:
        return msgspec.convert(given or {}, Field)
    except msgspec.ValidationError:
        return Field()


def in_words(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> str:
    """What a value must be, in a few words; ``any`` where that takes more."""
    if depth > 4:
        return "any"
    if isinstance(ref := schema.get("$ref"), str) and ref.startswith("#/$defs/"):
        target = document.get("$defs", {}).get(ref.removeprefix("#/$defs/"), {})
        return in_words(target, document, depth + 1) if isinstance(target, Mapping) else "any"
    if isinstance(values := schema.get("enum"), list):
        return " or ".join(msgspec.json.encode(value).decode() for value in values)
    if "const" in schema:
        return msgspec.json.encode(schema["const"]).decode()
    for key in ("anyOf", "oneOf"):
        if isinstance(ways := schema.get(key), list):
            inside = [one for one in ways if isinstance(one, Mapping)]
            return " or ".join(in_words(one, document, depth + 1) for one in inside)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    if kind == "array" and isinstance(items := schema.get("items"), Mapping):
        return f"array of {in_words(items, document, depth + 1)}"
    extra = f" ({schema['format']})" if isinstance(schema.get("format"), str) else ""
    return f"{kind}{extra}" if isinstance(kind, str) else "any"
