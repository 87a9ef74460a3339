"""What ``configure(schemas=…)`` takes: event classes, JSON Schemas, directories of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from audit_emit._format.record import TYPE_LIMIT, valid_type
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.words import why_not_opened
from audit_emit._schemas.event import Declaration, EventMeta
from audit_emit._schemas.of_class import ClassSchema
from audit_emit._schemas.of_document import DocumentSchema
from audit_emit._schemas.schema import Schema, Schemas
from audit_emit.errors import ConfigError

__all__ = ["EventClass", "Given", "fingerprint", "schemas"]

EventClass = type[Declaration] | EventMeta
"""The second is what type checkers take several classes in one list for."""

Given = (
    str
    | os.PathLike[str]
    | Mapping[str, EventClass | Mapping[str, Any]]
    | Iterable[EventClass | str | os.PathLike[str] | Mapping[str, EventClass | Mapping[str, Any]]]
)
"""Event classes, mappings from event types to classes or JSON Schemas, directories; or one."""

_ENDINGS = (".schema.json", ".json")
_MAX_BYTES = 1024 * 1024
_MAX_FILES = 10_000


def schemas(name: str, value: Any) -> Schemas | None:
    """The schemas that a setting names.

    Args:
        name: of the setting, for errors.
        value: see ``Given``. A directory has one file for each event type, named after it:
            ``secret.set.json``, or ``secret.set.schema.json``.

    Raises:
        ConfigError: one of them cannot be used; the message says which.
    """
    if value is None or value == "" or isinstance(value, Schemas):
        return value or None
    alone = isinstance(value, str | os.PathLike | Mapping | type)
    if not alone and not isinstance(value, Iterable):
        raise ConfigError(
            name,
            "must be event classes, a mapping from event types to classes or JSON Schemas, or a "
            f"directory, not {bare_name(type(value))}",
        )
    found = Schemas()
    for item in [value] if alone else value:
        for event_type, made in _of(name, item):
            if event_type in found:
                raise ConfigError(name, f"has two schemas of {event_type}")
            found[event_type] = made
    return found or None


def _of(name: str, item: Any) -> Iterator[tuple[str, Schema]]:
    if isinstance(item, str | os.PathLike):
        yield from _in_directory(name, item)
    elif isinstance(item, Mapping):
        for event_type, given in item.items():
            yield event_type, _schema(name, event_type, given)
    elif isinstance(item, type) and issubclass(item, Declaration):
        event_type = item.__event_type__
        if not event_type:
            raise ConfigError(
                name, f'has {item.__name__}, which has no event type: class …(Event, type="…")'
            )
        yield event_type, _schema(name, event_type, item)
    else:
        shown = item.__name__ if isinstance(item, type) else bare_name(type(item))
        raise ConfigError(name, f"holds {shown}, which is no event class, mapping or directory")


def _schema(name: str, event_type: Any, given: Any) -> Schema:
    if not valid_type(event_type):
        raise ConfigError(name, "has a name that is no event type, such as secret.set")
    try:
        if isinstance(given, type) and issubclass(given, Declaration):
            if given.__event_type__ != event_type:
                raise ValueError(f"{given.__name__} is of type {given.__event_type__ or 'none'}")
            return ClassSchema(given)
        if not isinstance(given, Mapping):
            raise TypeError(f"{bare_name(type(given))} is no event class and no JSON Schema")
        return DocumentSchema(event_type, given)
    except (ValueError, TypeError, NameError) as error:
        raise ConfigError(name, f"the schema of {event_type}: {error}") from None
    except ImportError as error:
        raise ConfigError(name, str(error)) from None


def _in_directory(name: str, given: str | os.PathLike[str]) -> Iterator[tuple[str, Schema]]:
    try:
        path = os.fspath(given)
        files = sorted(one for one in os.listdir(path) if one.endswith(".json") and one[0] != ".")
    except (OSError, ValueError) as error:
        raise ConfigError(
            name, f"names a directory that cannot be read: {why_not_opened(error)}"
        ) from None
    if len(files) > _MAX_FILES:
        raise ConfigError(name, f"names a directory of more than {_MAX_FILES} schemas")
    for file in files:
        event_type = file
        for ending in _ENDINGS:
            event_type = event_type.removesuffix(ending)
        if not valid_type(event_type):
            raise ConfigError(
                name,
                f"{file[: TYPE_LIMIT + 16]!r} does not begin with an event type, as "
                "secret.set.json does",
            )
        yield event_type, _schema(name, event_type, _read(name, f"{path}/{file}", file))


def _read(name: str, path: str, shown: str) -> Mapping[str, Any]:
    try:
        # A pipe would wait for somebody who writes.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(name, f"{shown} is no regular file")
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(name, f"{shown} cannot be read: {why_not_opened(error)}") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(name, f"{shown} has more than {_MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ConfigError(name, f"{shown} is no JSON object: {error}") from None


def fingerprint(given: Schemas) -> str:
    """SHA-256 over the schemas, so that ``audit.started`` tells of a change."""
    documents = {name: schema.document for name, schema in given.items()}
    return hashlib.sha256(msgspec.json.encode(documents, order="sorted")).hexdigest()
