"""A directory with one JSON Schema for each event type, as ``configure(schemas=…)`` takes it."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress

from audit_emit._schemas.schema import Schemas

__all__ = ["differing", "text_of", "write"]


def text_of(schemas: Schemas, event_type: str) -> str:
    """The file of one event type."""
    document = schemas[event_type].document
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differing(schemas: Schemas, directory: str) -> list[str]:
    """The names of the files that are not there, or are not what they would be, sorted."""
    found = []
    for event_type in sorted(schemas):
        name = f"{event_type}.json"
        try:
            with open(f"{directory}/{name}", encoding="utf-8", errors="replace") as file:
                same = file.read() == text_of(schemas, event_type)
        except OSError:
            same = False
        if not same:
            found.append(name)
    return found


def write(schemas: Schemas, directory: str) -> list[str]:
    """Write the files that differ, each one whole or not at all.

    Returns:
        Their names.

    Raises:
        OSError: one cannot be written.
    """
    os.makedirs(directory, exist_ok=True)
    names = differing(schemas, directory)
    for name in names:
        temporary = f"{directory}/.{name}.{secrets.token_hex(4)}.tmp"
        try:
            with open(temporary, "x", encoding="utf-8") as file:
                file.write(text_of(schemas, name.removesuffix(".json")))
            os.replace(temporary, f"{directory}/{name}")
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
    return names
