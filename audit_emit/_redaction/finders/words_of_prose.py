"""Whether a value without quotes is a word of prose, or has the look of a secret."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.names import fold
from audit_emit._runtime.lazy import Pattern

__all__ = ["MARKED", "STRONG", "is_before_marked", "is_fact", "is_word", "unless_redacted"]

MARKED = Pattern(r"(?=.*[0-9])(?=.*[^\W\d_]).{4,}|.*[!#$%^*+~@=].*")
"""Digits and letters, or a character that words and names do not have."""

STRONG = Pattern(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).{6,}|(?=.*[^\W\d_]).*[!#$%^*+~@].*")
"""A digit, a capital and a small letter, or letters with such a character: no id, no version."""
_FACT = Pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?|\+[0-9]{1,15}|[0-9:.,/]+(?:[a-zA-Z%]{1,3})?"
    r"|[A-Fa-f0-9]{8}-[A-Fa-f0-9-]{27}|[\w.+\-]+@[\w\-]+\.[\w.\-]+|[a-z]{1,12}-[0-9]{1,6}|v[0-9][\w.]*|(?:[A-Za-z]+://|arn:|[./~]).*"
    r"|[A-Za-z0-9.\-]+\.[a-z]{2,10}(?::[0-9]+)?"
)

_WORD = Pattern(r"[^\W\d_]{1,24}[.,;:!?)\]]{0,3}")


def is_word(value: str) -> bool:
    """Whether a value is a word of prose, a name of a column, nothing at all."""
    value = value.strip()
    return _WORD.fullmatch(value) is not None or not value.strip("*-_.\u2022x") or fold(value) == ""


def is_before_marked(text: str, at: int) -> bool:
    """Whether one of the next words has digits and letters: ``password: found x``."""
    words = _FOLLOWING.match(text, at)
    return words is not None and any(
        MARKED.match(word) is not None and "=" not in word and not is_fact(word)
        for word in words.group().split()
    )


_FOLLOWING = Pattern(r"[ \t,:\-]{0,4}(?:[ \t]{1,4}[^\s]{1,64}){1,4}")


def is_fact(value: str) -> bool:
    """Whether a value is a time, an address, a number, an id: what prose says of a secret."""
    return _FACT.fullmatch(value.rstrip(".,;:!?")) is not None


def unless_redacted(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not PLACEHOLDER.fullmatch(text, start, end):
        yield start, end
