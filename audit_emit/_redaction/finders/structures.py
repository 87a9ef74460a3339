r"""Dicts and lists within a text: JSON, and what Python, Ruby, JavaScript or Java print of them.

What is secret in them by its place (a name and its value, columns and rows, old and new value) is
decided as in the fields of an event (``siblings``). Their strings are given back to be looked at as
texts of their own: ``{"note": "first line\npassword: x"}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span, closing_quote
from audit_emit._redaction.finders.prose import is_plain_number, is_plain_value
from audit_emit._redaction.names import depends_on_value, fold, is_described, is_secret_value
from audit_emit._redaction.siblings import Siblings, find_siblings, is_looked_into
from audit_emit._runtime.lazy import Pattern

__all__ = ["Container", "Judged", "parse", "strings"]

IsSecret = Callable[[str], bool]

_MAX_TOKENS = 2048
_MAX_DEPTH = 16
_MAX_NAME = 256
_MAX_OPENED = 4  # never closed, so maybe none, as in ``[INFO: got {…}``
_SHORTEST = 3
_LONG = 2048

_BEGIN = Pattern(
    r"[{\[(](?=[ \t\r\n]{0,16}"
    r"(?:[{\[(]|[bBrRuU]{0,2}\\{0,7}[\"']|:?[\w.\-]{1,64}[ \t]?(?:=>|[:=])))"
)
"""The first bracket of a structure: what follows is another one, a quoted text, or a name."""
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
_NOT_A_WORD = Pattern(r"[\s=:;,|<>(\\%&]|[^\x00-\x7f]")


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


def parse(text: str) -> list[Container]:
    """The outermost containers of a text; one that is never closed reaches to the end."""
    found: list[Container] = []
    at = count = opened = 0
    begin = _BEGIN.search(text)
    while begin is not None and count < _MAX_TOKENS:
        outermost, count = _container(text, begin.start(), count)
        found += [outermost] if outermost.quotes else []
        opened += (unclosed := outermost.end == len(text) and not outermost.whole)
        at = begin.end() if unclosed and opened <= _MAX_OPENED else outermost.end
        begin = _BEGIN.search(text, at)
    return found


def _container(text: str, at: int, count: int) -> tuple[Container, int]:
    stack: list[Container] = []
    outermost: Container | None = None
    form = _Form()
    while count < _MAX_TOKENS:
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
        _close(stack, len(text) if count < _MAX_TOKENS else at)
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


class Judged:
    """What is secret in the containers of a text by its place, decided as in fields.

    Args:
        text: the text.
        is_secret: whether a member of a name is held back.

    Attributes:
        containers: the outermost ones.
        held: where what is secret stands.
        shown: where members begin of what is written as JSON or Python has it, and where their
            container ends: what is said of them is said here.
    """

    __slots__ = ("containers", "held", "is_secret", "shown", "text")

    def __init__(self, text: str, is_secret: IsSecret) -> None:
        self.text = text
        self.is_secret = is_secret
        self.held: list[Span] = []
        self.shown: dict[int, int] = {}
        self.containers: list[Container] = parse(text)
        for outermost in self.containers:
            self._judge(outermost)

    def settles(self, found: tuple[int, int, str]) -> bool:
        """Whether a span is that of a member that is shown, and of what is behind it there.

        One to the end of the text is all the rest of it, of which nobody knows more.
        """
        return found[1] <= self.shown.get(found[0], 0) and found[1] < len(self.text)

    def _names_secret(self, value: object) -> bool:
        return type(value) is str and len(value) <= _MAX_NAME and self.is_secret(value)

    def _judge(self, outermost: Container) -> None:
        siblings = _siblings(outermost, self._names_secret, None)
        stack = [(outermost, siblings, False)]
        while stack:
            container, siblings, strict = stack.pop()
            is_dict = container.kind == "dict"
            for at, (span, child) in enumerate(container.parts):
                if _is_held(container, siblings, at, self.is_secret, strict=strict):
                    if not PLACEHOLDER.fullmatch(self.text, *span):
                        self.held.append(span)
                    continue
                if outermost.whole and (is_dict or container is not outermost):
                    self.shown[span[0]] = outermost.end
                    if child is None and self.text[span[0] - 1] in "\"'":
                        self.shown[span[0] - 1] = outermost.end
                if child is not None and len(stack) < _MAX_DEPTH:
                    name = container.entries[at][0] if is_dict else ""
                    if is_dict:
                        siblings.label = name
                    inner = _siblings(child, self._names_secret, siblings)
                    stack.append((child, inner, strict or (is_dict and self.is_secret(name))))
                elif child is not None:
                    self.shown.pop(span[0], None)


def _siblings(container: Container, names_secret: Any, above: Siblings | None) -> Siblings:
    siblings = Siblings()
    is_tuple = container.kind == "tuple"
    find_siblings(
        "list" if is_tuple else container.kind,
        container.entries,
        names_secret,
        above,
        is_tuple=is_tuple,
        into=siblings,
    )
    return siblings


def _is_held(
    container: Container, siblings: Siblings, at: int, is_secret: IsSecret, *, strict: bool
) -> bool:
    """Whether an entry is secret because of the others, or of its name."""
    child = container.parts[at][1]
    if container.kind != "dict":
        if strict and child is None:
            return not _is_nothing(container.entries[at])
        return at in siblings.by_place and not (
            _is_nothing(container.entries[at]) or _is_option(container.entries, at)
        )
    name, value = container.entries[at]
    if _is_nothing(value) or (child is not None and not child.entries):
        return False
    if fold(name) in siblings.by_name:
        return True
    if type(value) is str and depends_on_value(name) and is_secret_value(name, value):
        return True
    if not (is_secret(name) or (strict and child is None and not is_described(name))):
        return False
    if type(value) is str and is_plain_value(name, value):
        return False
    if type(value) is int and is_plain_number(name, value):
        return False
    return child is None or not (strict or is_looked_into(name, child.kind, child.entries))


def _is_option(words: list[Any], at: int) -> bool:
    """Whether only a part of a word of a command line may be secret: other finders know which."""
    word, before = words[at], words[at - 1] if at else None
    if type(word) is not str:
        return False
    return word[:1] == "-" or (type(before) is str and before[:1] == "-" and ":" in word)


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or value is True or value is False or _is_bit(value)


def _is_bit(value: object) -> bool:
    return type(value) is int and value in (0, 1)


def strings(containers: list[Container], length: int) -> Iterator[Span]:
    """The quoted texts in some containers that may have more to say than one word.

    One that is not closed is all the rest of the text, of ``length`` characters: where that is
    long, it is looked at as that only, as each look takes its time.
    """
    stack = [*containers]
    while stack:
        container = stack.pop()
        for at, (span, child) in enumerate(container.parts):
            if child is not None:
                stack.append(child)
                continue
            if span[1] == length and span[1] - span[0] > _LONG:
                continue
            value = container.entries[at]
            value = value[1] if container.kind == "dict" else value
            if type(value) is str and len(value) > _SHORTEST and _NOT_A_WORD.search(value):
                yield span
