"""Whether a value without quotes is a word of prose, or has the look of a secret."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._redaction.finders.extent import HELD, Span
from audit_emit._redaction.names import fold
from audit_emit._runtime.lazy import Pattern

__all__ = ["MARKED", "is_word", "unless_held"]

MARKED = Pattern(r"(?=.*[0-9])(?=.*[^\W\d_]).{4,}|.*[!#$%^*+~@=].*")
"""Digits and letters, or a character that words and names do not have."""

_WORD = Pattern(r"[^\W\d_]{1,24}[.,;:!?)\]]{0,3}")


def is_word(value: str) -> bool:
    """Whether a value is a word of prose, a name of a column, nothing at all."""
    value = value.strip()
    return _WORD.fullmatch(value) is not None or not value.strip("*-_.\u2022x") or fold(value) == ""


def unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not HELD.fullmatch(text, start, end):
        yield start, end
