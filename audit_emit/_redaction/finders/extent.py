"""Where a value in a text ends: a quoted one, one in brackets, a bare one.

All patterns are linear: they start where a run of characters starts, and never look back.
"""

from __future__ import annotations

import re

from audit_emit._redaction.finders.references import is_reference, reference_end
from audit_emit._runtime.lazy import Pattern

__all__ = [
    "BARE",
    "END",
    "PLACEHOLDER",
    "QUOTED",
    "TAG",
    "Span",
    "closing_quote",
    "value",
    "value_of",
]

Span = tuple[int, int]
"""Where a part of a text starts and ends."""

TAG = r"(?:/?[A-Za-z][\w:.\-]{0,64}(?:\s[^<>]{0,256})?/?>|!--|!\[)"
"""What follows the ``<`` of markup, as against that of a password."""

_CLOSING = r"\\{0,7}[\"'`]"
_BRACKETS = r"[\])}]"
END = (
    # Brackets and one quote among them, all that there are: none is left for what must follow.
    rf"(?:{_BRACKETS}{{0,8}}{_CLOSING}{_BRACKETS}{{0,8}}"
    rf"|(?!{_BRACKETS}{{0,8}}{_CLOSING}){_BRACKETS}{{0,16}})(?!{_BRACKETS})"
    rf"(?:[\s,;&]|\\{{1,7}}[nrtu\"'`,;)\]}}]|(?<=[\"'])>|>(?!\w)|/>|[.:!?](?:\s|\Z)|<{TAG}|\Z)"
)
"""What follows a quote or a bracket that ends something, as against one in a password."""

QUOTED = Pattern(r"(?:[bBrRuUfFL@$]{1,2}(?=[\"']))?(\\{0,7})([\"'])")
_ANGLED = Pattern(r"<(?=[^\s0-9<>]{0,64}[0-9])[^\s<>/=\"']{6,128}>(?=[\s,;.]|\Z)")
"""A value in angle brackets, as against an element."""
_CALL = Pattern(r"\$?[\w.]{0,64}[\[({]")
_BARE_TEXT = (
    r"(?:[^\s&;,\"'<\])}\\]"
    rf"|\\(?!\\{{0,6}}[\"']{END})"
    rf"|[\])}}](?!{END})"
    rf"|&(?!\s|[\w.\-%\[\]]{{1,64}}[\"']?[=:]|{END})"
    r"|[;,](?!\s|\\{0,7}[\"'][^\"'\r\n]{0,64}[\"']|[\[{}\])]|[\w.\-%\[\]]{1,64}[\"']?[=:]|\Z)"
    rf"|<(?!{TAG})"
    rf"|(?<=\S)[\"'](?!{END}))+"
)
BARE = Pattern(_BARE_TEXT)
_TAIL = Pattern(rf"(?![\s,;&)\]}}>|]|{END}){_BARE_TEXT}")
"""What stands behind a quote or bracket that did not end the value."""
_SCHEME = Pattern(
    r"(?:bearer|basic|digest|negotiate|token|apikey|aws4-hmac-sha256)[ \t]+", re.IGNORECASE
)
_LINE = Pattern(r"[^\r\n]*")
PLACEHOLDER = Pattern(r"\[redacted\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}(?![0-9a-f])")
"""What stands where a value was held back before."""
_LONGER = 1024
"""More characters than a reference has."""
_WHOLE_LINE = ("cookie", "authorization")
_PHRASE = Pattern(
    rf"{_BARE_TEXT}(?:,?[ \t]{{1,4}}(?![\w.\-]{{1,64}}[\"']?[=:]){_BARE_TEXT}){{0,32}}"
)
_OF_WORDS = ("phrase", "mnemonic")


def value_of(text: str, match: re.Match[str], lower: str) -> Span:
    before = text[max(0, match.start() - 1) : match.start()]
    return value(text, match.end(), lower, before)


def value(text: str, start: int, name: str, before: str) -> Span:
    """What stands at ``start`` as the value of ``name``; empty when that is no secret by its form.

    ``before`` is the character before the name: a quote there ends the value, too.
    """
    quote = QUOTED.match(text, start)
    if quote is not None:
        start = quote.end()
        end = closing_quote(text, start, str(quote.group(1)), str(quote.group(2)))
        if tail := _TAIL.match(text, end + len(quote.group(1)) + 1):
            start, end = quote.start(), tail.end()
    else:
        end = _bare_end(text, start, name, before)
    held = PLACEHOLDER.match(text, start)
    if held is not None and held.end() >= end:
        return start, start
    scheme = _SCHEME.match(text, start, end)
    first = start if scheme is None else scheme.end()
    return (start, start) if is_reference(text[first : min(end, first + _LONGER)]) else (start, end)


def _bare_end(text: str, start: int, name: str, before: str) -> int:
    if held := PLACEHOLDER.match(text, start):
        return held.end()
    if (end := reference_end(text, start)) > start:
        return end
    if name.endswith(_WHOLE_LINE):
        end = _LINE.match(text, start).end()  # type: ignore[union-attr]
        quote = text.find(before, start, end) if before in ("'", '"') else -1
        return quote if quote >= 0 else end
    if angled := _ANGLED.match(text, start):
        return angled.end()
    if call := _CALL.match(text, start):
        end = _bracket_end(text, call.end() - 1)
        tail = BARE.match(text, end)
        return tail.end() if tail is not None else end
    if name.endswith(_OF_WORDS) and (phrase := _PHRASE.match(text, start)):
        return phrase.end()
    scheme = _SCHEME.match(text, start)
    bare = BARE.match(text, scheme.end() if scheme is not None else start)
    return bare.end() if bare is not None else start


def closing_quote(text: str, start: int, slashes: str, quote: str) -> int:
    """Where a quoted value ends: at the same quote escaped as often, else at the end.

    Each level of quoting doubles the backslashes and adds one, so an inner quote has more.
    """
    level = len(slashes)
    at = text.find(quote, start)
    while at >= 0:
        before = text[max(start, at - 64) : at]
        found = len(before) - len(before.rstrip("\\"))
        if found < level or found % (2 * level + 2) == level:
            return at - min(found, level)
        at = text.find(quote, at + 1)
    return len(text)


_BRACKET = Pattern(r"[\[\](){}]")


def _bracket_end(text: str, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(text, start):
        depth += 1 if match.group() in "[({" else -1
        if depth <= 0:
            return match.end()
    return len(text)
