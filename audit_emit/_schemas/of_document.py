"""A JSON Schema as a schema, by ``jsonschema-rs`` (the extra ``schemas``).

Nothing is fetched for it: a reference must lead into the document itself. Patterns are matched in
linear time, so that no text that somebody chose holds up an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from audit_emit._runtime.interrupts import let_through
from audit_emit._schemas.schema import Violation, steps

__all__ = ["DocumentSchema"]

_WORDS = {
    "required": "missing",
    "additionalProperties": "unknown",
    "unevaluatedProperties": "unknown",
    "type": "type",
}
"""What the keywords of JSON Schema say, in the words of ``Violation``; any other is ``value``."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class DocumentSchema:
    """The schema of one document.

    Args:
        event_type: whose fields it describes.
        document: a JSON Schema: draft 4, 6, 7, 2019-09 or 2020-12, which is the default.

    Raises:
        ImportError: the package is not installed.
        ValueError: it is no JSON Schema, refers to another document, or has a pattern that needs
            more than linear time.
    """

    def __init__(self, event_type: str, document: Mapping[str, Any]) -> None:
        try:
            import jsonschema_rs  # noqa: PLC0415 - the extra ``schemas``
        except ImportError:
            raise ImportError(
                "a JSON Schema needs jsonschema-rs: pip install 'audit-emit[schemas]'",
                name="jsonschema_rs",
            ) from None
        self.event_type = event_type
        self.document = document
        try:
            self._validator: Any = jsonschema_rs.validator_for(
                dict(document), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
            )
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"is no JSON Schema that can be used: {error.message}") from None
        except (jsonschema_rs.ReferencingError, TypeError) as error:
            raise ValueError(f"is no JSON Schema that can be used: {error}") from None

    def fits(self, body: str | bytes) -> bool:
        """See ``Schema``."""
        try:
            return bool(self._validator.is_valid(_decode(body)))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            let_through(error)
            return False

    def found(self, fields: Mapping[str, Any]) -> Iterator[Violation]:
        """See ``Schema``."""
        for error in self._validator.iter_errors(dict(fields)):
            path = steps(error.instance_path)
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            word = _WORDS.get(keyword, "value")
            if word == "missing":
                yield Violation((*path, str(error.kind.property)), word)
            elif word == "unknown" and hasattr(error.kind, "unexpected"):
                for name in error.kind.unexpected:
                    yield Violation((*path, str(name)), word)
            else:
                yield Violation(path, word)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is another document, and none is fetched")
