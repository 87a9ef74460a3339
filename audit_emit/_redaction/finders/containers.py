"""Dicts and lists within a text as they are read: their members, and where each of them stands."""

from __future__ import annotations

import re
from typing import Any

from audit_emit._redaction.finders.extent import Span, closing_quote
from audit_emit._runtime.lazy import Pattern

__all__ = ["BEGIN", "MAX_TOKENS", "Container", "parse"]

MAX_TOKENS = 2048
"""Words and signs of dicts and lists that are read in one text."""
_MAX_OPENED = 4  # never closed, so maybe none, as in ``[INFO: got {…}``

BEGIN = Pattern(
    r"[{\[(](?=[ \t\r\n]{0,16}"
    r"(?:[{\[(]|[bBrRuU]{0,2}\\{0,7}[\"']|:?[\w.\-]{1,64}[ \t]?(?:=>|[:=])))"
)
"""The first bracket of a structure: what follows is another one, a quoted text, or a name.

A text without one has no containers."""
_TOKEN = Pattern(
    r"(?<!\w)[bBrRuU]{0,2}(\\{0,7})([\"'])"
    r"|([{\[(])|([}\])])|(=>|[:=]+)|(,)"
    r"|[^\s{}\[\](),:=\"'\\]+"
)
_LITERALS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_NUMBER = Pattern(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+\-]?[0-9]{1,3})?")
_DIGITS = Pattern(r"-?[0-9]{1,18}")
_CLOSED_BY = {"{": "}", "[": "]", "(": ")"}
_WORD = Pattern(r"[A-Za-z_][\w.\-]{0,63}")


class Container:
    """A dict or a list in a text.

    Attributes:
        start: where its first bracket is.
        end: the place behind its last one; that of the text where it was cut.
        kind: ``dict``, ``list`` or ``tuple``, known when it is closed.
        entries: pairs of a name and a value, or values; what is not quoted is a number, or None.
        parts: for each entry where its value stands, and the container that it is.
        whole: whether it is written as JSON or Python has it, with nothing else in it.
    """

    __slots__ = (
        "_key",
        "_last",
        "bracket",
        "end",
        "entries",
        "kind",
        "parts",
        "quotes",
        "start",
        "whole",
    )

    def __init__(self, bracket: str, start: int) -> None:
        self.bracket = bracket
        self._key: str | None = None
        self._last: tuple[Any, Span, Container | None, str] | None = None
        self.start = start
        self.end = start
        self.kind = "list"
        self.entries: list[Any] = []
        self.parts: list[tuple[Span, Container | None]] = []
        self.quotes = False
        self.whole = False

    @property
    def plain(self) -> Any:
        """The dict, list or tuple that it stands for."""
        if self.kind == "dict":
            return dict(self.entries)
        return tuple(self.entries) if self.kind == "tuple" else self.entries

    def add(self, value: Any, span: Span, child: Container | None, bare: str = "") -> None:
        """Another value, or what may turn out to be the name of one."""
        if self._last is not None:
            if bare and self._last[3]:  # several words
                self._last = (None, (self._last[1][0], span[1]), None, f"{self._last[3]} {bare}")
                return
            self.flush()
        self._last = (value, span, child, bare)

    def sign(self) -> None:
        """What was last is the name of what follows."""
        if self._last is not None:
            value, _, _, bare = self._last
            self._key = value if type(value) is str else bare.lstrip(":")
            self._last = None

    def flush(self) -> None:
        """What was last is a value."""
        if self._last is None:
            self._key = None
            return
        value, span, child, _ = self._last
        if self._key is not None and self.kind != "dict":
            self.kind = "dict"
            self.entries, self.parts = [], []  # arguments without a name before those with one
        if self.kind != "dict":
            self.entries.append(value)
            self.parts.append((span, child))
        elif self._key is not None:
            self.entries.append((self._key, value))
            self.parts.append((span, child))
        self._key = self._last = None

    def close(self, end: int) -> None:
        """Its last bracket, or the end of the text."""
        self.flush()
        self.end = end
        if self.kind == "list" and self.bracket == "(" and self.quotes:
            self.kind = "tuple"


def parse(text: str, most: int = MAX_TOKENS) -> tuple[list[Container], int]:
    """The outermost containers of a text; one that is never closed reaches to the end.

    Args:
        text: the text.
        most: so many words and signs of them are read.

    Returns:
        The containers, and how many words and signs were read.
    """
    found: list[Container] = []
    at = count = opened = 0
    begin = BEGIN.search(text)
    while begin is not None and count < most:
        outermost, count = _container(text, begin.start(), count, most)
        found += [outermost] if outermost.quotes else []
        opened += (unclosed := outermost.end == len(text) and not outermost.whole)
        at = begin.end() if unclosed and opened <= _MAX_OPENED else outermost.end
        begin = BEGIN.search(text, at)
    return found, count


def _container(text: str, at: int, count: int, most: int) -> tuple[Container, int]:
    stack: list[Container] = []
    outermost: Container | None = None
    form = _Form()
    while count < most:
        match = _TOKEN.search(text, at)
        if match is None:
            break
        count += 1
        slashes, quote, opening, closed, sign, comma = match.groups()
        form.next(text[at : match.start()], match, stack[-1].bracket if stack else "")
        at = match.end()
        if opening:
            container = Container(opening, match.start())
            if outermost is None:
                outermost = container
            stack.append(container)
            continue
        top = stack[-1]
        if quote:
            at = closing_quote(text, at, slashes, quote)
            top.add(text[match.end() : at], (match.end(), at), None)
            form.holds = form.holds and at < len(text)
            at = min(at + len(slashes) + 1, len(text))
            _mark_quoted(stack)
        elif closed:
            _close(stack, at)
            if not stack:
                break
        elif sign:
            top.sign()
        elif comma:
            top.flush()
        else:
            top.add(_bare(match.group(), top), match.span(), None, match.group())
    assert outermost is not None  # noqa: S101 - ``at`` is that of a bracket
    outermost.whole = form.holds and not stack
    while stack:
        _close(stack, len(text) if count < most else at)
    return outermost, count


class _Form:
    """Whether what was read of a structure is as JSON, or Python, writes it.

    Attributes:
        holds: the answer up to now.
    """

    __slots__ = ("_last", "holds")

    def __init__(self) -> None:
        self._last = ","
        self.holds = True

    def next(self, between: str, match: re.Match[str], bracket: str) -> None:
        """Another token.

        Args:
            between: what is between the last one and this one.
            match: of the token.
            bracket: that of the container that it is in.
        """
        if not self.holds:
            return
        _, quote, opening, closed, sign, comma = match.groups()
        if sign:
            self.holds = self._last == "value" and sign in (":", "=>")
            self._last = ":"
        elif comma:
            self.holds = self._last in ("value", "}")
            self._last = comma
        elif closed:
            self.holds = self._last != ":" and _CLOSED_BY.get(bracket) == closed
            self._last = "}"
        else:
            self.holds = self._last not in ("value", "}") and (
                bool(quote or opening)
                or match.group() in _LITERALS
                or _NUMBER.fullmatch(match.group()) is not None
            )
            self._last = "," if opening else "value"
        self.holds = self.holds and not between.strip(" \t\r\n")


def _mark_quoted(stack: list[Container]) -> None:
    for container in reversed(stack):
        if container.quotes:
            break
        container.quotes = True


def _close(stack: list[Container], end: int) -> None:
    container = stack.pop()
    container.close(end)
    if stack:
        stack[-1].add(container.plain, (container.start, end), container)


def _bare(word: str, container: Container) -> float | str | None:
    """A value without quotes: a number; a word in a list, which may be the name of a column."""
    if number := _NUMBER.fullmatch(word):
        return float(word) if any(number.groups()) else int(word)
    if word in _LITERALS:
        return _LITERALS[word]
    if _DIGITS.fullmatch(word):
        return word  # 0000 is no number, and may be somebody's PIN
    return word if container.bracket == "[" and _WORD.fullmatch(word) else None
