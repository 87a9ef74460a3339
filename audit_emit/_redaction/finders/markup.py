"""Elements of markup, and parts of a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.names import fold
from audit_emit._runtime.lazy import Pattern

__all__ = ["elements", "parts"]

_ELEMENT = Pattern(rf"<((?:\w{{1,32}}:)?([{LETTERS}.\-]{{1,128}}))(\s[^<>]{{0,256}})?(?<!/)>")
_ATTRIBUTE = Pattern(
    r"\s(?:\w{0,16}name|key|id|field|for|label|property|option)\s?=\s?\\?[\"']([\w.\-]{1,128})\\?[\"']",
    re.IGNORECASE,
)
_TEXT = Pattern(r"\s{0,64}<!\[CDATA\[(?:[^\]]|\](?!\]>))*|[^<]*")
_PROPERTY = Pattern(r"<key>([^<]{1,128})</key>\s{0,64}<(?:string|data|integer)>([^<]+)")
_MAX_INNER = 2048
_EMPTY = frozenset(("input", "meta", "br", "img", "link"))
"""Elements of HTML that have nothing within; those of XML that are called so are closed."""
_NEXT = Pattern(
    r">\s{0,8}([\w.\- ]{2,64}?):?\s{0,8}(?:</[\w:.\-]{1,32}>\s{0,16}){1,3}"
    r"(?:<[\w:.\-]{1,32}(?:\s[^<>]{0,128})?>\s{0,8}){1,3}([^<>\s][^<>]{0,1024})"
)
"""What stands in the element after one with a name in it: cells of a table, terms of a list."""
_VALUE_OF = Pattern(
    r"<(?:\w{1,32}:)?([\w.\-]{1,128})(?:\s[^<>]{0,256}?)?\svalue\s?=\s?[\"']([^\"'<>]{1,1024})"
)


def elements(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``<password>x</password>``, whatever elements are within it, and what is beside them."""
    if "<" in text and ">" in text:
        yield from _within(text, is_secret)
        if "</" in text:
            for pattern in (_NEXT, _PROPERTY):
                for match in pattern.finditer(text):
                    said = match.group(2).strip().lower()
                    if said in ("required", "optional", "yes", "no", "string"):
                        continue  # a table of what the members of something are
                    if is_secret(match.group(1)) and not PLACEHOLDER.match(match.group(2)):
                        yield match.span(2)


def _within(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    for match in _VALUE_OF.finditer(text):
        if is_secret(match.group(1)) and not PLACEHOLDER.fullmatch(match.group(2)):
            yield match.span(2)
    done = 0
    for match in _ELEMENT.finditer(text):
        if match.group(2).lower() in _EMPTY and (
            text.find(f"</{match.group(1)}", match.end(), match.end() + _MAX_INNER) < 0
        ):
            continue
        of = _ATTRIBUTE.search(match.group(3) or "")
        secret = is_secret(match.group(2)) or (of is not None and is_secret(of.group(1)))
        if secret and match.start() >= done:
            start = match.end()
            done = text.find(f"</{match.group(1)}", start, start + _MAX_INNER)
            if done < 0 and _is_placeholder(text, match):
                done = start
            elif done < 0:
                done = _TEXT.match(text, start).end()  # type: ignore[union-attr]
            label = of is not None and fold(text[start:done]) == fold(of.group(1))
            if done > start and not label and not PLACEHOLDER.fullmatch(text, start, done):
                yield start, done


def _is_placeholder(text: str, match: re.Match[str]) -> bool:
    """``token=<token>``, ``--token <token>``: the name stands for a value, and is no element."""
    if text[match.end() : match.end() + 1].strip(" \t\r\n,;.)]}\"'&|"):
        return False  # what follows at once is the value
    before = text[max(0, match.start() - 160) : match.start()].rstrip(" \t=:").lower()
    return before.endswith(match.group(2).lower())


_PART = Pattern(
    r"form-data;[ \t]{0,8}name=\"?(?=([^\"\r\n;]{1,128}))\1\"?[^\r\n]{0,256}"
    r"(?:\r?\n[^\r\n]{1,256}){0,4}\r?\n\r?\n",
    re.IGNORECASE,
)


def parts(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """The part of a form (``multipart/form-data``) of a secret name."""
    if "name=" in text and "\n" in text:
        for match in _PART.finditer(text):
            end = text.find("\n--", match.end())
            end = len(text) if end < 0 else end - (text[end - 1] == "\r")
            held = end <= match.end() or PLACEHOLDER.fullmatch(text, match.end(), end)
            if not held and is_secret(match.group(1)):
                yield match.end(), end
