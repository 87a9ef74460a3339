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

_BEFORE_FORMULA = re.compile(r'(?<![;|\s"])[;|\s"]*(?=[=+\-@＝＋－＠])')  # noqa: RUF001
"""Separators, blanks and quotes up to where a formula may begin; only all of them together, so that
a cell of nothing but blanks takes time that is linear in its length."""

_BREAKS = re.compile(r"([\t\r\n])")


def row(cells: Iterable[str], *, terminal: bool = False) -> bytes:
    """One row.

    Args:
        terminal: line breaks and tabs, which may stand in a quoted cell, are spelled out, too.
    """
    shown = visible if terminal else _but_breaks
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(_harmless(shown(cell)) for cell in cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _harmless(cell: str) -> str:
    cell = _BEFORE_FORMULA.sub(_marked, cell)
    return f"'{cell}" if cell.startswith(("\t", "\r", "\n")) else cell


def _marked(found: re.Match[str]) -> str:
    """What stands before a formula, with a ``'`` wherever that would begin to be one."""
    before = found.group()
    cut = max(before.rfind(";"), before.rfind("|")) + 1
    begins = "'" if cut or not found.start() else ""
    return before[:cut] + begins + _BREAKS.sub(r"\1'", before[cut:])


def _but_breaks(cell: str) -> str:
    """``visible`` but for line breaks and tabs."""
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_BREAKS.split(cell)))
