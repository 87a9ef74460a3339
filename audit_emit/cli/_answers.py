"""The records of an answer as ``query`` prints them: a table, CSV, sentences."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import click

from audit_emit._facade.exports import COLUMNS, Column, Mark, Table, members
from audit_emit._facade.text import shown_value, visible, visible_bytes
from audit_emit.cli._marks import mark
from audit_emit.cli._subject_keys import told as told_fields

_Function = TypeVar("_Function", bound=Callable[..., Any])


def columns_option(function: _Function) -> _Function:
    """``--columns``, as the parameter ``columns``."""
    return click.option(
        "--columns",
        metavar="NAME,NAME",
        callback=_chosen_columns,
        help="With --format csv: these members of the records, such as ts,user_id,fields.key; also "
        "mark, and record, the whole line in Base64.",
    )(function)


def _chosen_columns(_: click.Context, __: click.Parameter, value: str | None) -> tuple[Column, ...]:
    if value is None:
        return ()
    try:
        return tuple(Column.parse(name.strip()) for name in value.split(","))
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


def columns_of(form: str, chosen: Sequence[Column]) -> Sequence[Column]:
    """The columns that were chosen, or all the usual ones.

    Raises:
        UsageError: some were chosen, and the format has none.
    """
    if chosen and form != "csv":
        raise click.UsageError("--columns belongs to --format csv")
    return chosen or tuple(map(Column.parse, COLUMNS))


def for_programs(
    form: str, lines: Iterable[bytes], columns: Sequence[Column], mark: Mark, *, terminal: bool
) -> Iterator[bytes]:
    """Records as JSON, as lines of JSON or as CSV, piece by piece as they come."""
    if form == "csv":
        yield from as_csv(lines, columns, mark, terminal=terminal)
    elif form == "jsonl":
        yield from as_lines(lines, terminal=terminal)
    else:
        yield from as_array(lines, terminal=terminal)


def as_lines(lines: Iterable[bytes], *, terminal: bool) -> Iterator[bytes]:
    """The records as they are, one a line; on a terminal without anything that it would obey."""
    for line in lines:
        yield (visible_bytes(line, len(line)).encode() if terminal else line) + b"\n"


def as_array(lines: Iterable[bytes], *, terminal: bool) -> Iterator[bytes]:
    """One JSON array with the records as they are, one a line."""
    before = b"["
    for line in as_lines(lines, terminal=terminal):
        yield before + b"\n" + line[:-1]
        before = b","
    yield b"[]\n" if before == b"[" else b"\n]\n"


def as_csv(
    lines: Iterable[bytes], columns: Sequence[Column], mark: Mark, *, terminal: bool
) -> Iterator[bytes]:
    """A table; see ``audit_emit._export.formats.csv``."""
    table = Table(columns, mark, terminal=terminal)
    yield table.head
    yield from map(table.row, lines)


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

    There is a column of marks where a record has one. On a terminal the cells are folded to its
    width, if rich is installed (extra ``cli``).

    Args:
        mark: what stands there.
    """
    marks = [mark(line) for line in lines]
    rows = [_cells(members(line), line) for line in lines]
    header = [name for name, _, _ in _HEADER]
    if any(marks):
        header.append("mark")
        rows = [[*row, marked] for row, marked in zip(rows, marks, strict=True)]
    if not (sys.stdout.isatty() and _fold(header, rows)):
        # Whoever reads a file or a pipe cuts lines himself.
        _print_plain(header, rows)


def _print_plain(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for number, row in enumerate([header, *rows]):
        text = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(click.style(text.rstrip(), bold=True) if number == 0 else text.rstrip())


def _fold(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Print it as wide as the terminal is; false without rich."""
    try:
        from rich.console import Console  # noqa: PLC0415 - only this needs it
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ModuleNotFoundError:
        return False
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, style, whole in _HEADER[: len(header)]:
        table.add_column(name, style=style, overflow="fold", no_wrap=whole)
    table.columns[_FIELDS].min_width = _LEAST
    if len(header) > len(_HEADER):
        table.add_column(header[-1], style="bold red", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    text = io.StringIO()
    width = shutil.get_terminal_size().columns
    Console(file=text, highlight=False, force_terminal=True, width=width).print(table)
    click.echo(text.getvalue(), nl=False)
    return True


_FIELDS = 5
"""The number of their column."""

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


def _cells(record: dict[str, Any], line: bytes) -> list[str]:
    fields = told_fields(record.get("fields"), line)
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
