"""A log against declared events: which types nobody has declared, and what does not fit."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.record import RESERVED
from audit_emit._runtime.interrupts import let_through
from audit_emit._schemas.schema import Schema, Schemas, told, violations

__all__ = ["UNDECLARED", "LogCheck", "Row"]

UNDECLARED = "undeclared"
_MOST = 10_000
"""Different findings that are kept: names in a log are whatever somebody wrote."""
_LONGEST_TYPE = 128


class Row(NamedTuple):
    """One kind of finding.

    Attributes:
        event_type: of the records.
        what: ``undeclared``, or as ``_schema`` says it.
        records: how many.
        first_seq: of the first of them; 0 where it is in no chain.
    """

    event_type: str
    what: str
    records: int
    first_seq: int


class _Record(msgspec.Struct):
    event_type: str
    fields: msgspec.Raw
    seq: Any = 0


class LogCheck:
    """One pass over records, in bounded memory.

    Args:
        schemas: what is declared.
        known: types that are declared elsewhere, whose fields are not looked at.

    Attributes:
        records: that were looked at; those of the log about itself are not.
        undeclared: of them, of a type that is not declared.
        unfit: of them, that do not fit.
        foreign: lines that are no records.
        more: findings that were not kept, as there are too many different ones.
    """

    def __init__(self, schemas: Schemas, known: Container[str] = ()) -> None:
        self._schemas = schemas
        self._known = known
        self._decode = msgspec.json.Decoder(_Record).decode
        self._fields = msgspec.json.Decoder(dict[str, Any]).decode
        self._found: dict[tuple[str, str], tuple[int, int]] = {}
        self.records = 0
        self.undeclared = 0
        self.unfit = 0
        self.foreign = 0
        self.more = 0

    def add(self, line: bytes) -> None:
        """Look at one line of a log."""
        try:
            record = self._decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            let_through(error)
            self.foreign += 1
            return
        if record.event_type.startswith(RESERVED):
            return
        self.records += 1
        schema = self._schemas.get(record.event_type)
        if schema is None:
            if record.event_type not in self._known:
                self.undeclared += 1
                self._note(record, UNDECLARED)
        elif not schema.fits(bytes(record.fields)):
            self._look_closer(schema, record)

    def _look_closer(self, schema: Schema, record: _Record) -> None:
        try:
            reasons = told(violations(schema, self._fields(record.fields)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            let_through(error)
            reasons = ["fields: type"]
        self.unfit += bool(reasons)
        for reason in reasons:
            self._note(record, reason)

    def _note(self, record: _Record, what: str) -> None:
        key = (record.event_type[:_LONGEST_TYPE], what)
        seq = record.seq if type(record.seq) is int else 0
        known = self._found.get(key)
        if known is not None:
            self._found[key] = (known[0] + 1, known[1])
        elif len(self._found) < _MOST:
            self._found[key] = (1, seq)
        else:
            self.more += 1

    def rows(self) -> list[Row]:
        """The findings, by type."""
        return [Row(*key, *found) for key, found in sorted(self._found.items())]
