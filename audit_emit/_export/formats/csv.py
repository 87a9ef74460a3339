"""Records as a table (RFC 4180): every cell quoted, CRLF, a header; ``record`` is the exact line.

What a spreadsheet would run, or a terminal obey, is neutralised (``cells.py``).
"""

from __future__ import annotations

import difflib
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from audit_emit._export.cells import row
from audit_emit._export.record import Record
from audit_emit._loki.json_stage import value_at
from audit_emit._query.question import MEMBERS, Term
from audit_emit._runtime.interrupts import let_through

Mark = Callable[[bytes], str]
"""What is to be said of a record, given its line; nothing for most."""

COLUMNS = (
    "ts event_type workspace_id user_id actor_kind correlation_id service id trace_id span_id "
    "chain seq hash fields record"
).split()
"""The usual ones; ``record`` is the whole line."""

_OWN = ("record", "mark")
"""Columns that are no member of a record: its bytes, and what is to be said of it."""

_NESTED = 500
"""Objects and arrays in a record that Python can show whatever is in what."""


class Column(NamedTuple):
    """One column: its name, and where its value stands in a record."""

    name: str
    path: tuple[str | int, ...]

    @classmethod
    def parse(cls, name: str) -> Self:
        """A member of a record, a path such as ``fields.key``, ``record`` or ``mark``.

        Raises:
            ValueError: there is none of that name.
        """
        if name in _OWN:
            return cls(name, ())
        try:
            path = Term.parse(f"{name}=").path
        except ValueError:
            raise ValueError(f"{name!r} is no column: ts, user_id, fields.key, …") from None
        first = re.split(r"[.\[]", name, maxsplit=1)[0]
        if first not in MEMBERS:
            near = difflib.get_close_matches(first, [*MEMBERS, *_OWN], 1)
            meant = f"{near[0]}, or fields.{name}" if near else f"fields.{name}"
            raise ValueError(f"there is no column {name}; do you mean {meant}?")
        return cls(name, path)

    def value(self, line: bytes, record: Mapping[str, Any], mark: Mark) -> str:
        """The text of its cell."""
        if self.name == "mark":
            return mark(line)
        if self.name == "record":
            # In Base64 no spreadsheet reads into it, and a program gets the very bytes.
            return b64encode(line).decode()
        if self.path == ("fields",):
            return value_at(line, ("fields",))
        if len(self.path) == 1:
            return _cell(record.get(self.name, ""))
        return value_at(line, self.path) or _cell(_walked(record, self.path))


class Format:
    """See ``audit_emit._export.formats.Format``.

    Args:
        columns: which ones; ``COLUMNS`` by default.
        mark: what the column ``mark`` says.
        terminal: line breaks and tabs, which may stand in a quoted cell, are spelled out, too.
    """

    version = ""

    def __init__(
        self,
        columns: Sequence[Column] = (),
        mark: Mark = lambda _: "",
        *,
        terminal: bool = False,
    ) -> None:
        self._columns = columns or tuple(map(Column.parse, COLUMNS))
        self._mark = mark
        self._terminal = terminal
        self.head = self._row(column.name for column in self._columns)

    def event(self, record: Record) -> bytes:
        """One row."""
        return self.row(record.line)

    def row(self, line: bytes) -> bytes:
        """One row, of a line without its newline."""
        record = members(line)
        return self._row(column.value(line, record, self._mark) for column in self._columns)

    def _row(self, cells: Iterable[str]) -> bytes:
        return row(cells, terminal=self._terminal)


def members(line: bytes) -> dict[str, Any]:
    """The members of a record; of one that Python cannot read whole, as their JSON text."""
    if line.count(b"{") + line.count(b"[") <= _NESTED:
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:  # an integer of more digits than Python reads
            let_through(error)
        else:
            return found
    return {name: value_at(line, (name,)) for name in COLUMNS}


def _walked(record: Mapping[str, Any], path: Sequence[str | int]) -> Any:
    """The value at a path; empty where there is none."""
    value: Any = record
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return ""
    return "" if value is None else value


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
