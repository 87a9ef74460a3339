"""Elements of markup, and parts of a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._fields.extent import HELD, Span
from audit_emit._lazy import Pattern

__all__ = ["elements", "parts"]

_ELEMENT = Pattern(r"<(?:\w{1,32}:)?([\w.\-]{1,128}+)(\s[^<>]{0,256})?>([^<]++)")
_ATTRIBUTE = Pattern(r"\s(?:name|key|id|field)\s?=\s?[\"']([\w.\-]{1,128})[\"']")


def elements(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``<password>x</password>``."""
    if "<" in text:
        for match in _ELEMENT.finditer(text):
            of = _ATTRIBUTE.search(match.group(2) or "")
            secret = is_secret(match.group(1)) or (of is not None and is_secret(of.group(1)))
            if secret and not HELD.fullmatch(match.group(3)):
                yield match.span(3)


_PART = Pattern(
    r"form-data;[ \t]{0,8}name=\"?([^\"\r\n;]{1,128}+)\"?[^\r\n]{0,256}+"
    r"(?:\r?\n[^\r\n]{1,256}+){0,4}+\r?\n\r?\n",
    re.IGNORECASE,
)


def parts(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """The part of a form (``multipart/form-data``) of a secret name."""
    if "name=" in text and "\n" in text:
        for match in _PART.finditer(text):
            end = text.find("\n--", match.end())
            end = len(text) if end < 0 else end - (text[end - 1] == "\r")
            held = end <= match.end() or HELD.fullmatch(text, match.end(), end)
            if not held and is_secret(match.group(1)):
                yield match.end(), end
