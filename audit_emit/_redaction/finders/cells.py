"""Values below or beside a name: on the next line, in the cells of a table, in a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.words_of_prose import MARKED, is_word, unless_held
from audit_emit._runtime.lazy import Pattern

__all__ = ["cells", "lines"]

IsSecret = Callable[[str], bool]

_LINE = Pattern(
    rf"(?:\A|\n)[ \t]{{0,16}}([{LETTERS}.\- ]{{2,48}})"
    r"(?:[ \t]{0,4}\r?\n[ \t]{0,16}|\t[ \t]{0,8})"
    r"([^\s:=]{4,256})[ \t]{0,8}(?=\r?\n|\Z|\t)"
)


def lines(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """A name alone on its line, or before a tab, and a value after it."""
    if "\n" in text or "\t" in text:
        for match in _LINE.finditer(text):
            name = match.group(1).strip().replace(" ", "_")
            if is_secret(name) and MARKED.match(match.group(2)):
                yield from unless_held(text, *match.span(2))


_CELL = Pattern(
    rf"[|\u2502][ \t]{{0,16}}([{LETTERS}.\- ]{{2,48}}?)[ \t]{{0,16}}[|\u2502][ \t]{{0,16}}"
    r"([^|\u2502\s][^|\u2502\r\n]{0,256}?)[ \t]{0,16}(?=[|\u2502]|\r?\n|\Z)"
)
_QUOTED_CELL = Pattern(
    r"(?<![\w])(\\{0,7}[\"'])([\w.\- ]{2,48})\1[ \t]{0,2}[,;][ \t]{0,2}\1([^\"'\\\r\n]{1,256})\1"
)
_BARE_CELL = Pattern(
    r"(?:\A|\n)([\w.\-]{2,48})(?:([;,])|[ \t]{1,8}(\|)[ \t]{1,8})([^\s;,|]{4,256})"
    r"(?=[ \t]{0,8}(?:;|\||\r?\n|\Z))"
)
_MOST_ROWS = 64
_HEAD = Pattern(r"[^\r\n]{3,1024}(?=\r?\n)")
_RULE_LINE = Pattern(r"[ \t|+:\-\u2500-\u257f]+")
_COLUMN_NAME = Pattern(r"[ \t]?[\"']?([\w.\-]{1,48})[\"']?")
_CELL_TEXT = Pattern(r"[ \t]*[\"']?([\w.\- ]{1,48}?)[\"']?[ \t]*")


def cells(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``| password | x |``, ``"password","x"``: the cell after a name in a table."""
    yield from _columns(text, is_secret)
    for pattern, name, value in ((_CELL, 1, 2), (_QUOTED_CELL, 2, 3), (_BARE_CELL, 1, 4)):
        for match in pattern.finditer(text):
            if pattern is _QUOTED_CELL and not _is_row(text, match):
                continue
            if pattern is _BARE_CELL and not MARKED.match(match.group(value)):
                continue
            if is_secret(match.group(name).strip()) and not is_word(match.group(value)):
                yield from unless_held(text, *match.span(value))


def _columns(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``user,password`` in the first line of a table: that column in the lines below."""
    head = _HEAD.match(text)
    if head is None:
        return
    line = head.group()
    for sign in ("|", "\u2502", "\t", ";", ","):
        pattern = _COLUMN_NAME if sign in ";," else _CELL_TEXT
        names = [pattern.fullmatch(name) for name in line.split(sign)]
        if len(names) > 1 and all(name is not None or sign in "|\u2502" for name in names):
            secret = [at for at, name in enumerate(names) if name and is_secret(name.group(1))]
            if secret and len(secret) < len(names):
                yield from _below(text, head.end(), sign, len(names), secret)
                return


def _below(text: str, end: int, sign: str, width: int, secret: list[int]) -> Iterator[Span]:
    """The cells of some columns in the lines of a table that begin at ``end``."""
    for _ in range(_MOST_ROWS):
        start = end + (2 if text.startswith("\r\n", end) else 1)
        if start >= len(text):
            return
        newline = text.find("\n", start)
        end = newline if newline >= 0 else len(text)
        cells = text[start:end].split(sign)
        if len(cells) != width or _RULE_LINE.fullmatch(text, start, end):
            continue
        for at in secret:
            first = start + sum(len(cell) + 1 for cell in cells[:at])
            cell = cells[at]
            shown = cell.strip(" \t\r\"'")
            first += len(cell) - len(cell.lstrip(" \t\r\"'"))
            if shown and not _is_empty(shown):
                yield from unless_held(text, first, first + len(shown))
    if end < len(text):
        yield end, len(text)


def _is_empty(cell: str) -> bool:
    return cell.lower() in ("null", "none", "true", "false", "nan", "0", "1") or not cell.strip(
        "*-_.\u2022x"
    )


def _is_row(text: str, match: re.Match[str]) -> bool:
    """Whether a name and a value are all that a line, or a list of headers, has there."""
    before = text[max(0, match.start() - 2) : match.start()].strip(" \t")
    return before[-1:] in ("", "\n", ",", ";", "(", "[")
