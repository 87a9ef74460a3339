"""Values below or beside a name: on the next line, in the cells of a table, in a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.words_of_prose import MARKED, STRONG, is_word, unless_redacted
from audit_emit._redaction.names import fold
from audit_emit._redaction.words import COMMON_COLUMNS
from audit_emit._runtime.lazy import Pattern

__all__ = ["BARS", "cells", "lines"]

IsSecret = Callable[[str], bool]

_LINE = Pattern(
    r"(?:^[ \t]{0,16}|(?P<behind>:)[ \t]{1,2})"
    r"(?P<bullet>[-*\u2022>#]{1,4}[ \t]{1,4}|[0-9]{1,2}[.)][ \t]{1,4})?"
    rf"[*_\[\"'<`]{{0,3}}(?P<name>[{LETTERS}.\- ]{{2,48}}?)[*_\]\"'>`]{{0,3}}[,;]?"
    r"(?:[ \t]{0,4}\\?(?:\r?\n[ \t]{0,16}){1,3}(?:[\-=~]{3,64}[ \t]{0,4}\r?\n[ \t]{0,16})?"
    r"(?:(?:[-*\u2022>:=]|[0-9]{1,2}[.)])[ \t]{1,4}|(?:value|default)[ \t]{0,4}[:=][ \t]{0,4})?"
    r"|\t[ \t]{0,8})"
    r"(?=[\"'`]?(?P<value>[^\s:=\"'`][^\s:=]{3,255})[ \t]{0,8}(?:\r?\n|\Z|\t))",
    re.MULTILINE,
)


def lines(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """A name alone on its line, or before a tab, and a value after it."""
    if "\n" in text or "\t" in text:
        for match in _LINE.finditer(text):
            name = match.group("name").strip().replace(" ", "_")
            # A list may be one of names; what is below a name alone is its value.
            looks = STRONG if match.group("bullet") or match.group("behind") else MARKED
            if is_secret(name) and looks.match(match.group("value")):
                start, end = match.span("value")
                yield from unless_redacted(text, start, end - (text[end - 1] in "\"'`,;"))


BARS = "|\u2502\u2503\u2551"
"""What stands between the cells of a table."""
_CELL = Pattern(
    rf"(?:[{BARS}^]|(?:\A|\n)[ \t]{{1,16}}(?=\w))[ \t]{{0,16}}"
    rf"([{LETTERS}.\- ]{{2,48}}?)[ \t]{{0,16}}[{BARS}]{{1,2}}[ \t]{{0,16}}"
    rf"([^{BARS}\s][^{BARS}\r\n]{{0,256}}?)[ \t]{{0,16}}(?=[{BARS}]|\r?\n|\Z)"
)
_LED = Pattern(
    rf"(?:\A|\n)[ \t]{{0,16}}([{LETTERS}.\- ]{{2,48}}?)[ \t]?(?:[.]{{3,64}}|&)[ \t]{{1,4}}"
    r"(\S{4,256})"
)
"""A name and a value with dots between them, or as LaTeX has cells."""
_QUOTED_CELL = Pattern(
    r"(?<![\w])(\\{0,7}[\"'])([\w.\- ]{2,48})\1[ \t]{0,2}[,;][ \t]{0,2}\1([^\"'\\\r\n]{1,256})\1"
)
_BARE_CELL = Pattern(
    r"(?:\A|\n)([\w.\-]{2,48})(?:([;,])|[ \t]{1,8}(\|)[ \t]{1,8})([^\s;,|]{4,256})"
    r"(?=[ \t]{0,8}(?:;|\||\r?\n|\Z))"
)
_MOST_ROWS = 64
_MAX_HEADS = 4
"""Lines that may be the head of a table: others may be before it."""
_HEAD = Pattern(r"[^\r\n]{3,1024}(?=\r?\n)")
_RULE_LINE = Pattern(r"[ \t|+:\-\u2500-\u257f]+")
_CELL_TEXT = Pattern(r"[ \t]*[\"']?([\w.\-# ]{1,48}?)[\"']?[ \t]*")
_QUOTED_COMMA = Pattern(r"\"[^\"\n]{0,512}\"|'[^'\n]{0,512}'")
_ALIGNED_HEAD = Pattern(
    r"(?:\A|\n)([ \t]{0,16}[A-Za-z][^\n|,;:=\"'(){}<>]{2,512}[^\s])[ \t]{0,8}(?=\r?\n)"
)
_ALIGNED_NAME = Pattern(r"[^\s](?:[^\s]| (?! )){1,47}")
_MAX_ALIGNED = 4


def cells(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``| password | x |``, ``"password","x"``: the cell after a name in a table."""
    yield from _columns(text, is_secret)
    for pattern, name, value in (
        (_CELL, 1, 2),
        (_QUOTED_CELL, 2, 3),
        (_BARE_CELL, 1, 4),
        (_LED, 1, 2),
    ):
        for match in pattern.finditer(text):
            if pattern is _QUOTED_CELL and not _is_row(text, match):
                continue
            if pattern in (_BARE_CELL, _LED) and not MARKED.match(match.group(value)):
                continue
            if is_secret(match.group(name).strip()) and not is_word(match.group(value)):
                yield from unless_redacted(text, *match.span(value))


def _columns(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``user,password`` in the first line of a table: that column in the lines below."""
    at = 0
    for _ in range(_MAX_HEADS):
        head = _HEAD.match(text, at)
        if head is None:
            break
        line = head.group()
        for sign in (*BARS, "\t", ";", ","):
            if sign not in line:
                continue
            names = [_CELL_TEXT.fullmatch(name) for name in line.split(sign)]
            secret = _secret_columns(names, sign, is_secret, first=at == 0)
            if secret:
                yield from _below(text, head.end(), sign, len(names), secret)
                return
        at = head.end() + (2 if text.startswith("\r\n", head.end()) else 1)
    yield from _aligned(text, is_secret)


def _secret_columns(
    names: list[re.Match[str] | None], sign: str, is_secret: IsSecret, *, first: bool
) -> list[int]:
    """The places of secrets in a line that may be the head of a table; none where it is not.

    A line that is not the first one may be any: what else it names has to be what columns are.
    """
    if len(names) < 2 or not all(name is not None or sign in BARS for name in names):
        return []
    secret = [
        at
        for at, name in enumerate(names)
        if name and len(name.group(1).split()) < 4 and is_secret(name.group(1))
    ]
    others = [name.group(1) for at, name in enumerate(names) if name and at not in secret]
    if len(secret) == len(names):
        return []
    if first or (sign in BARS and len(names) > 2):
        return secret
    return secret if all(fold(name) in COMMON_COLUMNS for name in others) else []


def _aligned(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``USER   PASSWORD`` above values in the same columns, as programs print tables."""
    done = tables = 0
    for head in _ALIGNED_HEAD.finditer(text):
        if head.start() < done:
            continue
        start = head.start(1)
        names = [match.span() for match in _ALIGNED_NAME.finditer(text, start, head.end(1))]
        if len(names) == 1:  # one space between names, too
            names = [match.span() for match in _WORD.finditer(text, start, head.end(1))]
        if not 1 < len(names) <= _MOST_ROWS:
            continue
        secret = [span for span in names if is_secret(text[slice(*span)])]
        if not secret or len(secret) == len(names):
            continue
        tables += 1
        if tables > _MAX_ALIGNED:
            return
        done = yield from _below_aligned(text, head.end(), len(names), names, secret)


_WORD = Pattern(r"\S{1,48}")


def _below_aligned(
    text: str, end: int, width: int, names: list[Span], secret: list[Span]
) -> Generator[Span, None, int]:
    """The words of the lines below that are in as many columns, and in one of a secret."""
    for _ in range(_MOST_ROWS):
        start = end + (2 if text.startswith("\r\n", end) else 1)
        newline = text.find("\n", start)
        end = newline if newline >= 0 else len(text)
        if start >= len(text) or not text[start:end].strip():
            break
        if _RULE_LINE.fullmatch(text, start, end) or text[start] == "=":
            continue
        words = [match.span() for match in _WORD.finditer(text, start, end)]
        if len(words) != width:
            break
        for at, name in enumerate(names):
            if name in secret and MARKED.match(text[slice(*words[at])]):
                yield from unless_redacted(text, *words[at])
    return end


def _below(text: str, end: int, sign: str, width: int, secret: list[int]) -> Iterator[Span]:
    """The cells of some columns in the lines of a table that begin at ``end``."""
    for _ in range(_MOST_ROWS):
        start = end + (2 if text.startswith("\r\n", end) else 1)
        if start >= len(text):
            return
        newline = text.find("\n", start)
        end = newline if newline >= 0 else len(text)
        # A separator within quotes is none: it is replaced by a character of the same width.
        line = text[start:end]
        if sign in ",;" and ('"' in line or "'" in line):
            line = _QUOTED_COMMA.sub(lambda cell: cell.group().replace(sign, " "), line)
        cells = line.split(sign)
        if len(cells) != width or _RULE_LINE.fullmatch(text, start, end):
            continue
        for at in secret:
            first = start + sum(len(cell) + 1 for cell in cells[:at])
            cell = cells[at]
            shown = cell.strip(" \t\r\"'")
            first += len(cell) - len(cell.lstrip(" \t\r\"'"))
            if shown and not _is_empty(shown):
                yield from unless_redacted(text, first, first + len(shown))
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
