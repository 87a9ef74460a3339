"""Rows of a table for programs and spreadsheets (RFC 4180): every cell quoted, CRLF. Pure.

A spreadsheet runs what looks like a formula, also after the separators at which it cuts a cell in
half of Europe, whatever is quoted (OWASP, CSV Injection); a ``'`` stands before it here. What a
terminal would obey or not show is spelled out, as the end of a pipe may be one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from audit_emit._format.printable import visible

_FORMULA = re.compile(
    r"(^(?=[\t\r\n])|(?:^|[;|\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠]))"  # noqa: RUF001
)
"""Where a spreadsheet would begin to read a formula."""

_BREAKS = re.compile(r"([\t\r\n])")


def row(cells: Iterable[str], *, terminal: bool = False) -> bytes:
    """One row.

    Args:
        terminal: line breaks and tabs, which may stand in a quoted cell, are spelled out, too.
    """
    shown = visible if terminal else _but_breaks
    text = io.StringIO(newline="")
    harmless = (_FORMULA.sub(r"\1'", shown(cell)) for cell in cells)
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(harmless)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _but_breaks(cell: str) -> str:
    """``visible`` but for line breaks and tabs."""
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_BREAKS.split(cell)))
