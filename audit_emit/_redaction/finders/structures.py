r"""Dicts and lists within a text: JSON, and what Python, Ruby, JavaScript or Java print of them.

What is secret in them by its place (a name and its value, columns and rows, old and new value) is
decided as in the fields of an event (``siblings``). Their strings are given back to be looked at as
texts of their own: ``{"note": "first line\npassword: x"}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from audit_emit._redaction.finders.containers import MAX_TOKENS, Container, parse
from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.finders.prose import is_plain_number, is_plain_value
from audit_emit._redaction.finders.remarks import is_complaint
from audit_emit._redaction.names import depends_on_value, fold, is_described, is_secret_value
from audit_emit._redaction.siblings import Siblings, find_siblings, is_looked_into
from audit_emit._runtime.lazy import Pattern

__all__ = ["Judged", "strings"]

IsSecret = Callable[[str], bool]

_MAX_DEPTH = 16
_MAX_NAME = 256
_SHORTEST = 3
_LONG = 2048
_NOT_A_WORD = Pattern(r"[\s=:;,|<>(\\%&]|[^\x00-\x7f]")


class Judged:
    """What is secret in the containers of a text by its place, decided as in fields.

    Args:
        text: the text.
        is_secret: whether a member of a name is held back.
        most: so many words and signs of them are read.

    Attributes:
        containers: the outermost ones.
        tokens: how many words and signs were read; ``cut`` says that there may be more.
        held: where what is secret stands.
        shown: where members begin of what is written as JSON or Python has it, and where their
            container ends: what is said of them is said here.
    """

    __slots__ = ("containers", "cut", "held", "is_secret", "shown", "text", "tokens")

    def __init__(self, text: str, is_secret: IsSecret, most: int = MAX_TOKENS) -> None:
        self.text = text
        self.is_secret = is_secret
        self.held: list[Span] = []
        self.shown: dict[int, int] = {}
        self.containers: list[Container]
        self.containers, self.tokens = parse(text, most)
        self.cut: bool = self.tokens >= most
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
            entry = container.entries[at]
            return not (_is_nothing(entry) or (type(entry) is str and is_complaint(entry)))
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
