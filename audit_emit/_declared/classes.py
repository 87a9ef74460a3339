"""Event classes in files of Python, by their syntax trees. No code of them is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from audit_emit._declared.calls import Imports
from audit_emit._schemas.schema import Schemas

__all__ = ["Shape", "of_classes", "of_schemas"]


class Shape(NamedTuple):
    """The names of an event's fields.

    Attributes:
        names: all that are declared.
        required: those that every event has.
        closed: whether there may be no others.
    """

    names: frozenset[str]
    required: frozenset[str]
    closed: bool


def of_schemas(schemas: Schemas) -> dict[str, Shape]:
    """The shapes of schemas, by event type."""
    return {name: _of_document(schema.document) for name, schema in schemas.items()}


def _of_document(document: Mapping[str, Any]) -> Shape:
    properties, required = document.get("properties"), document.get("required")
    open_ended = any(key in document for key in ("patternProperties", "$ref", "allOf", "anyOf"))
    closed = False in (
        document.get("additionalProperties"),
        document.get("unevaluatedProperties"),
    )
    return Shape(
        frozenset(properties) if isinstance(properties, Mapping) else frozenset(),
        frozenset(required) if isinstance(required, list) else frozenset(),
        closed and not open_ended,
    )


class _Class(NamedTuple):
    bases: tuple[str, ...]
    event_type: str
    names: frozenset[str]
    required: frozenset[str]
    is_event: bool


def of_classes(files: Iterable[tuple[ast.Module, Imports]]) -> dict[str, Shape]:
    """The shapes of the event classes of a program, by event type.

    A base is looked for by its name in all files: two classes of one name are taken for one.
    """
    found: dict[str, _Class] = {}
    for tree, imports in files:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, _class(node, imports))
    shapes = {}
    for one in found.values():
        members = _inherited(one, found, 0)
        if one.event_type and members is not None:
            shapes[one.event_type] = Shape(*members, closed=True)
    return shapes


def _inherited(
    one: _Class, found: Mapping[str, _Class], depth: int
) -> tuple[frozenset[str], frozenset[str]] | None:
    """The names of a class and its bases, and those required; ``None`` for no event class."""
    names, required, is_event = one.names, one.required, one.is_event
    for base in one.bases if depth < 16 else ():
        if base in found and (above := _inherited(found[base], found, depth + 1)) is not None:
            names, required, is_event = (
                names | above[0],
                required | (above[1] - one.names),
                True,
            )
    return (names, required) if is_event else None


def _class(node: ast.ClassDef, imports: Imports) -> _Class:
    names, required = set(), set()
    for one in node.body:
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(one.annotation):
            continue
        name, needed = _field(one.target.id, one.value)
        names.add(name)
        if needed:
            required.add(name)
    given = next((one.value for one in node.keywords if one.arg == "type"), None)
    event_type = given.value if isinstance(given, ast.Constant) else ""
    bases = [
        base.attr if isinstance(base, ast.Attribute) else ast.unparse(base) for base in node.bases
    ]
    is_event = any(imports.original(base) == "Event" for base in node.bases)
    return _Class(
        tuple(bases), str(event_type or ""), frozenset(names), frozenset(required), is_event
    )


def _field(name: str, value: ast.expr | None) -> tuple[str, bool]:
    """The name of a member in the record, and whether it is required."""
    if value is None:
        return name, True
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "field":
        given = {one.arg: one.value for one in value.keywords}
        renamed = given.get("name")
        if isinstance(renamed, ast.Constant) and isinstance(renamed.value, str):
            name = renamed.value
        return name, not {"default", "default_factory"} & given.keys()
    return name, False
