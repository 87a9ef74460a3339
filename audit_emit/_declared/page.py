"""A page of a service's events, for people: Markdown made of their schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from audit_emit._format.printable import visible
from audit_emit._schemas.documents import Described, described
from audit_emit._schemas.schema import Schemas

__all__ = ["as_data", "ocsf_places", "page"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def page(schemas: Schemas, title: str) -> str:
    """The page, with a heading of its own for each event type, in their order."""
    parts = [f"# {_text(title)}", ""]
    for event_type in sorted(schemas):
        document = schemas[event_type].document
        parts += [f"## {event_type}", ""]
        if description := str(document.get("description", "")).strip():
            parts += [_text(description), ""]
        fields = described(document)
        if not fields:
            parts += ["No field is described.", ""]
            continue
        parts += ["| Field | Type | | |", "|---|---|---|---|"]
        parts += [_row(field) for field in fields]
        parts += [""]
    return "\n".join(parts)


def _row(field: Described) -> str:
    needed = "required" if field.required else ""
    told = [_text(field.description), *_marks(field)]
    cells = (_code(field.name), _code(field.type), needed, " ".join(one for one in told if one))
    return f"| {' | '.join(cells)} |"


def _marks(field: Described) -> Iterator[str]:
    marks = field.marks
    if marks.personal:
        yield "Personal data."
    if marks.subject:
        yield "Names the person whom it is about."
    if marks.retention_days:
        yield f"Needed for {marks.retention_days} days."
    if marks.ocsf:
        yield f"OCSF: {_code(marks.ocsf)}."


def _text(text: str) -> str:
    """A text on one line, without anything that Markdown or a terminal would obey."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def _code(text: str) -> str:
    shown = visible(text).replace("`", "").replace("|", "\\|")
    return f"`{shown}`" if shown else ""


def ocsf_places(schemas: Schemas) -> dict[str, dict[str, str]]:
    """By event type, which attributes of OCSF its fields are said to be."""
    found = {
        event_type: {
            field.name: field.marks.ocsf for field in described(schema.document) if field.marks.ocsf
        }
        for event_type, schema in schemas.items()
    }
    return {event_type: places for event_type, places in found.items() if places}


def as_data(schemas: Schemas) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "event_type": event_type,
            "description": str(schemas[event_type].document.get("description", "")),
            "fields": [
                {**field._asdict(), "marks": msgspec.structs.asdict(field.marks)}
                for field in described(schemas[event_type].document)
            ],
        }
        for event_type in sorted(schemas)
    ]
