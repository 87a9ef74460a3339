"""Names with their values as prose, code and tables have them, without ``=`` and ``:``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import HELD, Span
from audit_emit._redaction.names import fold, is_weak
from audit_emit._runtime.lazy import Pattern

__all__ = ["callbacks", "calls", "cells", "changes", "lines", "sentences"]

IsSecret = Callable[[str], bool]

_CALL = Pattern(
    r"(?<![\w.\-])((?:[\w]{1,64}\.){0,4}[\w.\-]{2,64})[ \t]{0,4}"
    r"(?:(?P<call>\()[ \t]{0,4}|[ \t]{1,4})"
    r"(\\{0,7}[\"'])(?=[^\"'\\\s])([^\"'\\\r\n]{1,256})(?=\3)"
)
_VERBS = frozenset(
    "set with change update reset put add store use new login authenticate save encrypt verify "
    "check hash compare".split()
)
_WORDS = Pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def calls(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``password "x"``, ``#define PASSWORD "x"``, ``setPassword("x")``."""
    for match in _CALL.finditer(text):
        name = match.group(1).rpartition(".")[2]
        if not is_secret(name):
            continue
        if match.group("call"):
            words = [word.lower() for word in _WORDS.findall(name)]
            if is_weak(name) and words[:1] and words[0] not in _VERBS:
                continue  # the name of a secret is asked for: getSecret("db")
        elif is_weak(name) or _is_word(match.group(4)):
            continue
        yield from _unless_held(text, *match.span(4))


_VALUE = r"(?:\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})\\{0,7}[\"'`]|([^\s\"'`,;()]{1,256}))"
_FROM_TO = Pattern(
    rf"\bfrom[ \t:]{{1,4}}{_VALUE}[ \t]{{1,3}}to[ \t:]{{1,4}}{_VALUE}", re.IGNORECASE
)
_BEFORE = Pattern(rf"[{LETTERS}.\-]{{2,64}}")
_SIDE = r"[\"']?(?:old|new|before|after|was|now|from|to|previous|current)[\"']?"
_OLD_NEW = Pattern(
    rf"(?<![{LETTERS}.\-])([{LETTERS}.\-]{{2,64}})[\"'`]?[ \t]{{0,4}}[:=]?[ \t]{{0,4}}[({{\[]"
    rf"(?=[ \t]{{0,4}}{_SIDE}[ \t]{{0,4}}[:=])",
    re.IGNORECASE,
)
_OLD = Pattern(rf"{_SIDE}[ \t]{{0,4}}[:=][ \t]{{0,4}}{_VALUE}", re.IGNORECASE)
_MAX_CHANGE = 1024


def changes(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``changed password from 'x' to 'y'``, ``password (old: x, new: y)``."""
    lower = text.lower()
    if "from" in lower:
        for match in _FROM_TO.finditer(text):
            told = _BEFORE.findall(text[max(0, match.start() - 64) : match.start()])[-4:]
            pairs = ["_".join(told[at : at + 2]) for at in range(len(told) - 1)]
            if any(map(is_secret, (*told, *pairs))):
                for quoted, bare in ((1, 2), (3, 4)):
                    if match.group(quoted) or not _is_word(match.group(bare)):
                        yield from _unless_held(
                            text, *match.span(quoted if match.group(quoted) else bare)
                        )
    done = 0
    for match in _OLD_NEW.finditer(text):
        if is_secret(match.group(1)):
            most = match.end() + _MAX_CHANGE
            end = text.find({"(": ")", "{": "}", "[": "]"}[match.group()[-1]], match.end(), most)
            end = end if end >= 0 else min(len(text), most)
            for found in _OLD.finditer(text, max(done, match.end()), end):
                yield from _unless_held(text, *found.span(found.lastindex or 0))
            done = max(done, end)


_SENTENCE = Pattern(
    rf"(?<![{LETTERS}.\-])([{LETTERS}.\-]{{2,64}})"
    r"(?:[ \t]{1,3}(?:for|of)[ \t]{1,3}[^\s:=]{1,64})?"
    r"(?:[ \t]{1,3}(?:is|was|will be|now|is now|ist|lautet|es|est)[ \t:]{1,4}|\u662f[ \t]?"
    rf"|[ \t]{{1,3}}[\-\u2013\u2014][ \t]{{1,3}}){_VALUE}",
    re.IGNORECASE,
)
_TWO = Pattern(rf"([{LETTERS}\-]{{2,32}})[ \t]{{1,3}}\Z")
_MARKED = Pattern(r"(?=.*[0-9])(?=.*[^\W\d_]).{4,}|.*[!#$%^*+~@=].*")


def sentences(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``Your password is x``, ``Client secret - x``: as far as ``x`` is no word of prose."""
    for match in _SENTENCE.finditer(text):
        name = match.group(1)
        before = _TWO.search(text, max(0, match.start() - 40), match.start())
        told = before is not None and is_secret(f"{before.group(1)}_{name}")
        if not told and not (is_secret(name) and not is_weak(name)):
            continue
        quoted, bare = match.group(2), match.group(3)
        if quoted or _MARKED.match(bare.rstrip(".,;:!?")):
            start, end = match.span(2 if quoted else 3)
            if not quoted:
                end -= len(bare) - len(bare.rstrip(".,;:!?"))
            yield from _unless_held(text, start, end)


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
            if is_secret(name) and _MARKED.match(match.group(2)):
                yield from _unless_held(text, *match.span(2))


_CELL = Pattern(
    rf"[|\u2502][ \t]{{0,16}}([{LETTERS}.\- ]{{2,48}}?)[ \t]{{0,16}}[|\u2502][ \t]{{0,16}}"
    r"([^|\u2502\s][^|\u2502\r\n]{0,256}?)[ \t]{0,16}(?=[|\u2502]|\r?\n|\Z)"
)
_QUOTED_CELL = Pattern(
    r"(?<![\w])(\\{0,7}[\"'])([\w.\- ]{2,48})\1[ \t]{0,2}[,;][ \t]{0,2}\1([^\"'\\\r\n]{1,256})\1"
)
_BARE_CELL = Pattern(r"(?:\A|\n)([\w.\-]{2,48});([^\s;]{4,256})(?=;|\r?\n|\Z)")


def cells(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``| password | x |``, ``"password","x"``: the cell after a name in a table."""
    for pattern, name, value in ((_CELL, 1, 2), (_QUOTED_CELL, 2, 3), (_BARE_CELL, 1, 2)):
        for match in pattern.finditer(text):
            if pattern is _QUOTED_CELL and not _is_row(text, match):
                continue
            if is_secret(match.group(name).strip()) and not _is_word(match.group(value)):
                yield from _unless_held(text, *match.span(value))


def _is_row(text: str, match: re.Match[str]) -> bool:
    """Whether a name and a value are all that a line, or a list of headers, has there."""
    before = text[max(0, match.start() - 2) : match.start()].strip(" \t")
    return before[-1:] in ("", "\n", ",", ";", "(", "[")


_CODE = Pattern(
    r"[?&](?:code|auth_code|authuser_code|ticket|state_token)=([A-Za-z0-9_\-.~%/+]{8,512})"
)
_ALL_DIGITS = Pattern(r"[0-9]+\Z")


def callbacks(text: str) -> Iterator[Span]:
    """The code that OAuth puts into the URL of a callback (RFC 6749 section 4.1.2)."""
    for match in _CODE.finditer(text):
        if not _ALL_DIGITS.match(match.group(1)):
            yield from _unless_held(text, *match.span(1))


_WORD = Pattern(r"[^\W\d_]{1,24}[.,;:!?)\]]{0,3}")


def _is_word(value: str) -> bool:
    """Whether a value is a word of prose, a name of a column, nothing at all."""
    value = value.strip()
    return _WORD.fullmatch(value) is not None or not value.strip("*-_.\u2022x") or fold(value) == ""


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not HELD.fullmatch(text, start, end):
        yield start, end
