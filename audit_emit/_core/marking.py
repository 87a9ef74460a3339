"""Marks events whose fields do not fit the schema of their type. No event is dropped for it.

This is a class of its own, and not a part of ``RecordBuilder``, so that it costs an event nothing
where no schema is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import BEFORE_ID, RecordBuilder
from audit_emit._format.encode import to_json
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED, Observer
from audit_emit._schemas.schema import SCHEMA, Schema, Schemas, told, violations
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import Part
from audit_emit.context import GivenContext
from audit_emit.errors import SchemaError

__all__ = ["Marker", "MarkingBuilder"]

_BEFORE_TYPE = 'Z","event_type":"'
_AFTER_TYPE = '","workspace_id":'
_BEFORE_FIELDS = ',"fields":'
_LENGTH = len(_BEFORE_FIELDS)
_NOBODY: Mapping[str, Any] = {}
_END = -len(BEFORE_ID)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Marker:
    """Checks fields against the schema of their type; see ``MarkingBuilder``.

    Args:
        schemas: what the fields of each type must be.
        counters, tell, observer: count and report the events that do not fit.
    """

    def __init__(
        self,
        schemas: Schemas,
        counters: Counters,
        tell: Callable[[str, str], None] | None,
        observer: Observer,
    ) -> None:
        self._schemas = schemas
        self._counters = counters
        self._tell = tell
        self._observer = observer

    def part(self, event_type: Any, part: str) -> str:
        """The part of a record, with ``_schema`` in fields that do not fit."""
        if type(event_type) is not str:  # the type as it is recorded: this may be anything
            event_type = part[len(_BEFORE_TYPE) : part.index(_AFTER_TYPE)]
        schema = self._schemas.get(event_type)
        if schema is None:
            return part
        # No text of the context can hold this: in JSON its quotation marks are escaped.
        at = part.index(_BEFORE_FIELDS) + _LENGTH
        body = part[at:_END]
        if schema.fits(body):
            return part
        return f"{part[:at]}{self._marked(schema, body)}{BEFORE_ID}"

    def body(self, event_type: str, body: str, persons: Mapping[str, Any]) -> str:
        """Fields as JSON, with ``_schema`` in them where they do not fit.

        Args:
            persons: see ``told``.
        """
        schema = self._schemas.get(event_type)
        return body if schema is None or schema.fits(body) else self._marked(schema, body, persons)

    def reasons(self, before: str, body: str, persons: Mapping[str, Any]) -> list[str]:
        """What does not fit; ``before`` is the record up to its fields, with its type."""
        schema = self._schemas.get(before[len(_BEFORE_TYPE) : before.index(_AFTER_TYPE)])
        return [] if schema is None or schema.fits(body) else self._unfit(schema, body, persons)

    def _marked(self, schema: Schema, body: str, persons: Mapping[str, Any] = _NOBODY) -> str:
        """The fields with ``_schema``; unchanged if the closer check finds that they fit."""
        reasons = self._unfit(schema, body, persons)
        if not reasons:
            return body
        return f'{body[:-1]}{"," if len(body) > 2 else ""}"{SCHEMA}":{to_json(reasons)}}}'

    def _unfit(self, schema: Schema, body: str, persons: Mapping[str, Any]) -> list[str]:
        try:
            reasons = told(violations(schema, _decode(body)), persons)
        except Exception as error:  # noqa: BLE001 - an event that cannot be checked is recorded
            let_through(error)
            self._observer.tell(error, "schema")
            reasons = ["fields: unchecked"]
        if not reasons:
            return []
        self._counters.schema_violations += 1
        unfit = SchemaError(schema.event_type, reasons)
        if self._tell is not None:
            self._tell(f"schema {schema.event_type}", str(unfit))
        self._observer.tell(unfit, "schema")
        return reasons


class MarkingBuilder(RecordBuilder):
    """As ``RecordBuilder``, for settings with schemas."""

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        misuse: Misuse | None = None,
        tell: Callable[[str, str], None] | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        super().__init__(settings, counters, misuse, tell, observer)
        self._marker = Marker(settings.schemas or Schemas(), counters, tell, observer)

    def compose(self, ctx: GivenContext, event_type: Any, fields: Any) -> tuple[Part, str]:
        """See ``RecordBuilder.compose``; with ``_schema`` in fields that do not fit."""
        part, closing = RecordBuilder.compose(self, ctx, event_type, fields)
        return self._marker.part(event_type, part) if type(part) is str else part, closing
