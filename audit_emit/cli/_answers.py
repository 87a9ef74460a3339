"""The records of an answer as ``query`` prints them: a table, CSV, sentences."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from audit_emit._loki.json_stage import value_at
from audit_emit.cli._marks import mark
from audit_emit.cli._text import shown_value, visible, visible_bytes

Mark = Callable[[bytes], str]

COLUMNS = (
    "ts event_type workspace_id user_id actor_kind correlation_id service id trace_id span_id "
    "chain seq hash fields record"
).split()
"""Of the CSV; ``record`` is the whole line."""

_FORMULA = re.compile(
    # A cell, and what follows a separator in it: where a spreadsheet expects semicolons or tabs, as
    # in half of Europe, it cuts there, whatever is quoted.
    r"(^(?=[\t\r\n])|(?:^|[;|\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠]))"  # noqa: RUF001
)
"""Where a spreadsheet would begin to read a formula (OWASP, CSV Injection)."""

_LINES = re.compile(r"([\t\r\n])")

_NESTED = 500
"""Objects and arrays in a record that Python can show whatever is in what."""


def members(line: bytes) -> dict[str, Any]:
    """The members of a record; those of one that may be nested very deep as their JSON text."""
    if line.count(b"{") + line.count(b"[") > _NESTED:
        return {name: value_at(line, (name,)) for name in COLUMNS}
    found: dict[str, Any] = json.loads(line)
    return found


def as_lines(lines: Iterable[bytes], *, terminal: bool) -> Iterator[bytes]:
    """The records as they are, one a line; on a terminal without anything that it would obey."""
    for line in lines:
        yield (visible_bytes(line, len(line)).encode() if terminal else line) + b"\n"


def as_csv(lines: Iterable[bytes], *, terminal: bool, with_record: bool = True) -> Iterator[bytes]:
    """RFC 4180 with every cell quoted, and a header; ``fields`` is JSON, ``record`` Base64.

    What a terminal would obey or not show is spelled out wherever it goes, as the end of a pipe may
    be one; line breaks and tabs, which may stand in a quoted cell, only on a terminal. Where a
    spreadsheet would begin to read a formula there is a ``'``. Only ``record`` is exact.

    Args:
        with_record: whether there is a column for the whole record.
    """
    columns = COLUMNS if with_record else COLUMNS[:-1]
    yield _csv(columns)
    for line in lines:
        record = {**members(line), "fields": value_at(line, ("fields",))}
        cells = [_cell(record.get(name, "")) for name in COLUMNS[:-1]]
        shown = [_harmless(visible(cell) if terminal else _but_lines(cell)) for cell in cells]
        # In Base64 no spreadsheet reads into it, and a program gets the very bytes.
        yield _csv([*shown, b64encode(line).decode()] if with_record else shown)


def _csv(row: Iterable[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(row)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _but_lines(cell: str) -> str:
    """``visible`` but for line breaks and tabs."""
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_LINES.split(cell)))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _harmless(cell: str) -> str:
    return _FORMULA.sub(r"\1'", cell)


def told(line: bytes, mark: Mark = mark) -> str:
    """One sentence: who, where, when, in which request, and what it was.

    Args:
        mark: what stands beside a record that does not hold.
    """
    record = members(line)
    fields = record.get("fields")
    fields = fields if isinstance(fields, dict) else {}
    what = [record.get("event_type"), fields.get("operation"), fields.get("outcome")]
    parts = [
        f"{_or_dash(record.get('user_id'))} ({_or_dash(record.get('actor_kind'))})",
        f" in workspace {_or_dash(record.get('workspace_id'))}",
        f", at {_or_dash(record.get('ts'))}",
        f", request {_or_dash(record.get('correlation_id'))}",
        f": {', '.join(shown_value(one) for one in what if one not in {None, '', 'success'})}",
        f" [{marked}]" if (marked := mark(line)) else "",
    ]
    return "".join(parts)


def _or_dash(value: Any) -> str:
    return shown_value(value) if value else "-"


def print_table(lines: Sequence[bytes], mark: Mark = mark) -> None:
    """For people: one row a record, nothing cut off, control characters spelled out.

    There is a column of marks where a record has one.

    Args:
        mark: what stands there.
    """
    from rich.table import Table  # noqa: PLC0415 - only tables need it
    from rich.text import Text  # noqa: PLC0415

    from audit_emit.cli._console import Plain  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, style, whole in _HEADER:
        table.add_column(name, style=style, overflow="fold", no_wrap=whole)
    table.columns[-1].min_width = _LEAST
    marks = [mark(line) for line in lines]
    if any(marks):
        table.add_column("mark", style="bold red", no_wrap=True)
    for line, marked in zip(lines, marks, strict=True):
        table.add_row(*map(Text, _cells(members(line))), *([marked] if any(marks) else []))
    console = Plain()
    if not console.is_terminal:
        # Whoever reads a file or a pipe cuts lines himself.
        console.width = _WIDE
    console.print(table)


_WIDE = 1_000_000
_LEAST = 24
"""Characters that the fields get, however narrow a terminal is."""

_HEADER = (
    ("time", "", True),
    ("type", "cyan", True),
    ("actor", "yellow", False),
    ("workspace", "", False),
    ("request", "dim", False),
    ("fields", "", False),
)
"""Names, styles, and whether a line may not be broken there."""

_MILLISECONDS = re.compile(r"(.{19}\.\d{3})\d{6}Z")


def _cells(record: dict[str, Any]) -> list[str]:
    fields = record.get("fields")
    if isinstance(fields, dict):
        text = " ".join(f"{shown_value(n)}={shown_value(v)}" for n, v in fields.items())
    else:
        text = shown_value(fields)
    return [
        _MILLISECONDS.sub(r"\1Z", shown_value(record.get("ts"))),
        shown_value(record.get("event_type")),
        f"{_or_dash(record.get('user_id'))}({_or_dash(record.get('actor_kind'))})",
        _or_dash(record.get("workspace_id")),
        _or_dash(record.get("correlation_id")),
        text,
    ]
