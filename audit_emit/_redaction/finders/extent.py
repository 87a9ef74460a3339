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
    "MOST_NAMES",
    "PLACEHOLDER",
    "QUOTED",
    "TAG",
    "Extents",
    "Span",
    "closing_quote",
    "value",
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
_CALL = Pattern(r"(?:new[ \t])?\$?[\w.]{0,64}[\[({]")
_BARE_CHARACTER = (
    r"(?:[^\s&;,\"'<\])}\\]"
    rf"|\\(?!\\{{0,6}}[\"']{END})"
    rf"|[\])}}](?!{END})"
    rf"|&(?!\s|[\w.\-%\[\]]{{1,64}}[\"']?[=:]|{END})"
    r"|[;,](?!\s|\\{0,7}[\"'][^\"'\r\n]{0,64}[\"']|[\[{}\])]|[\w.\-%\[\]]{1,64}[\"']?[=:]|\Z)"
    rf"|<(?!{TAG})"
    rf"|(?<=\S)[\"'](?!{END}))"
)
_BARE_TEXT = rf"{_BARE_CHARACTER}+"
BARE = Pattern(_BARE_TEXT)
_GOES_ON = Pattern(rf"(?![.:!?](?:\s|\Z)|`{END}|`\Z){_BARE_CHARACTER}")
"""What stands behind the first part of a value, as against what ends it."""
_CLOSES = Pattern(r"\\{0,7}[\"'](?:[\])}]{0,4},[ \t]{0,4}[\"'{\[]|[\])}]{1,4}[,\s]|[\])}]{0,4}\Z)")
"""A quote that ends what a name stands in: ``"enter the password:", "n": 1``."""
_TAIL = Pattern(rf"(?![\s,;&)\]}}>|]|[.:!?]\\{{0,7}}[\"']|{END}){_BARE_TEXT}")
"""What stands behind a quote or bracket that did not end the value."""
_SCHEME = Pattern(
    r"(?:bearer|basic|digest|negotiate|token|apikey|aws4-hmac-sha256)[ \t]+", re.IGNORECASE
)
_LINE = Pattern(r"[^\r\n]*")
PLACEHOLDER = Pattern(r"\[redacted\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}(?![0-9a-f])")
"""What stands where a value was held back before."""
MOST_NAMES = 192
"""Names of secrets that are looked at in one text; what follows them is held back. That is a name
for every 42 characters of the longest text."""
_LONGER = 1024
"""More characters than a reference has."""
_LITERAL = Pattern(r"(?:true|false|null|True|False|None|[0-9]{1,18})(?=\s{0,4}[,}\])])")
"""A member of a dict that is no text."""
_NO_COOKIE = Pattern(
    r"[\w.\-]{1,128}=(?:\"\"|deleted)?"
    r"(?:;[ \t]{0,4}(?i:expires=[\w ,:+\-]{0,40}|max-age=-?[0-9]{0,10}"
    r"|(?:path|domain|samesite|priority)=[^;=\s,\"']{0,64}|secure|httponly|partitioned)){1,10}"
    r"(?=;?[ \t]{0,4}(?:[\r\n\"'\\]|\Z))"
)
"""A cookie that is taken away, with nothing behind it but its attributes: no other cookie."""
_WHOLE_LINE = ("cookie", "authorization")
_PHRASE = Pattern(
    rf"{_BARE_TEXT}(?:,?[ \t]{{1,4}}(?![\w.\-]{{1,64}}[\"']?[=:]){_BARE_TEXT}){{0,32}}"
)
_OF_WORDS = ("phrase", "mnemonic")


class Extents:
    """The values in one text, each found in time that does not depend on the length of the text.

    Many names may stand before, or in, one long value, and each asks for where it ends.

    Args:
        text: all of it.
    """

    __slots__ = ("_brackets", "_line", "_run", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._run = self._line = (0, 0)
        self._brackets: dict[int, int] = {}

    def of(self, match: re.Match[str], name: str) -> Span:
        """The value behind a name and a sign."""
        before = self._text[max(0, match.start() - 1) : match.start()]
        return self.value(match.end(), name, before)

    def value(self, start: int, name: str, before: str) -> Span:
        """What is at ``start`` as the value of ``name``; empty when that is no secret by its form.

        ``before`` is the character before the name: a quote there ends the value, too.
        """
        text = self._text
        quote = QUOTED.match(text, start)
        if quote is not None:
            if _CLOSES.match(text, start) and text.count(quote.group(2), 0, start) % 2:
                return start, start
            start = quote.end()
            end = closing_quote(text, start, str(quote.group(1)), str(quote.group(2)))
            if tail := _TAIL.match(text, end + len(quote.group(1)) + 1):
                start, end = quote.start(), tail.end()
        else:
            end = self._bare_end(start, name, before)
        held = PLACEHOLDER.match(text, start)
        if held is not None and held.end() >= end:
            return start, start
        scheme = _SCHEME.match(text, start, end)
        first = start if scheme is None else scheme.end()
        if is_reference(text[first : min(end, first + _LONGER)]):
            return start, start
        return start, end

    def _bare_end(self, start: int, name: str, before: str) -> int:
        text = self._text
        if held := PLACEHOLDER.match(text, start):
            return held.end()
        if name.endswith("cookie") and _NO_COOKIE.match(text, start) is not None:
            return start
        if name.endswith(_WHOLE_LINE):
            if before in ("'", '"'):
                if literal := _LITERAL.match(text, start):
                    return literal.end()
                if text[start : start + 1] in ("{", "["):
                    return self._bracket_end(start)
            end = self._line_end(start)
            quote = text.find(before, start, end) if before in ("'", '"') else -1
            return quote if quote >= 0 else end
        of_words = name.endswith(_OF_WORDS)
        end = start if of_words else reference_end(text, start)
        if end > start and _GOES_ON.match(text, end) is None:
            return end
        if angled := _ANGLED.match(text, start):
            return angled.end()
        if call := _CALL.match(text, start):
            return self._end_of_run(self._bracket_end(call.end() - 1))
        if of_words and (phrase := _PHRASE.match(text, start)):
            return phrase.end()
        scheme = _SCHEME.match(text, start)
        return self._end_of_run(scheme.end() if scheme is not None else start)

    def _end_of_run(self, start: int) -> int:
        """Where a bare value ends. That is the same from each place in it."""
        if not self._run[0] <= start < self._run[1]:
            bare = BARE.match(self._text, start)
            if bare is None:
                return start
            self._run = bare.span()
        return self._run[1]

    def _line_end(self, start: int) -> int:
        if not self._line[0] <= start < self._line[1]:
            self._line = _LINE.match(self._text, start).span()  # type: ignore[union-attr]
        return self._line[1]

    def _bracket_end(self, start: int) -> int:
        """Where what a bracket opens is closed; that of those within is known then, too."""
        known = self._brackets.get(start)
        if known is not None:
            return known
        opened: list[int] = []
        for match in _BRACKET.finditer(self._text, start):
            if match.group() in "[({":
                opened.append(match.start())
            else:
                self._brackets[opened.pop()] = match.end()
                if not opened:
                    return match.end()
        self._brackets.update(dict.fromkeys(opened, len(self._text)))
        return len(self._text)


_BRACKET = Pattern(r"[\[\](){}]")


def value(text: str, start: int, name: str, before: str) -> Span:
    """One value of a text: ``Extents.value``."""
    return Extents(text).value(start, name, before)


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
