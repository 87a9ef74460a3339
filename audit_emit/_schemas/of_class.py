"""An event class as a schema: msgspec reads the recorded fields as that class would have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from audit_emit._redaction import linear
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import lazy_attribute
from audit_emit._schemas.event import Declaration
from audit_emit._schemas.recorded import recorded
from audit_emit._schemas.schema import Violation, of_msgspec

__all__ = ["ClassSchema"]


class ClassSchema:
    """The schema of one class.

    Fields are read into a struct of the same members, not into the class: what an application does
    in ``__post_init__`` has no place in a call of ``emit``.

    Args:
        cls: the class, which has an event type.

    Raises:
        ValueError: a pattern could take long on a text that somebody chose.
        TypeError: msgspec does not understand the type of a field.
    """

    def __init__(self, cls: type[Declaration]) -> None:
        self.event_type: str = cls.__event_type__
        self._cls = cls
        for pattern in _patterns(self.document):
            _check_pattern(pattern)
        struct = recorded(cls)
        fields = msgspec.structs.fields(struct)
        self._types = {one.encode_name: one.type for one in fields}
        self._required = tuple(one.encode_name for one in fields if one.required)
        self._decoder = msgspec.json.Decoder(struct)

    @lazy_attribute
    def document(self) -> dict[str, Any]:
        """See ``Schema``."""
        return self._cls.json_schema()

    def fits(self, body: str | bytes) -> bool:
        """See ``Schema``."""
        try:
            self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            let_through(error)
            return False
        return True

    def found(self, fields: Mapping[str, Any]) -> Iterator[Violation]:
        """See ``Schema``."""
        for name in self._required:
            if name not in fields:
                yield Violation((name,), "missing")
        for name, value in fields.items():
            if name not in self._types:
                yield Violation((name,), "unknown")
                continue
            try:
                msgspec.convert(value, self._types[name])
            except msgspec.ValidationError as error:
                inner = of_msgspec(error)
                yield Violation((name, *inner.path), inner.word)


def _check_pattern(pattern: str) -> None:
    """Refuse a pattern that can take long on a text that somebody chose.

    Raises:
        ValueError: says what in it is to be changed.
    """
    # Where it matches from the beginning only, to demand the end costs no second try.
    begun = pattern.removeprefix("^")
    rest = begun.removesuffix("$") if begun != pattern and not begun.endswith("\\$") else pattern
    try:
        linear.check("", rest)
    except ValueError as error:
        message = str(error).removeprefix("rule : ")
        raise ValueError(
            f"{pattern!r}: {message}; write ^ before it, and {{1,64}} instead of + in it"
        ) from None


def _patterns(document: Any) -> Iterator[str]:
    """Every ``pattern`` in a JSON Schema that msgspec has made."""
    todo = [document]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if isinstance(pattern := one.get("pattern"), str):
                yield pattern
            todo += one.values()
        elif isinstance(one, list):
            todo += one
