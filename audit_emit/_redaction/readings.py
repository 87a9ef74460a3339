"""What a text says once its escapes are undone, and where each part of that stands in it.

A secret stays one in percent-encoding (RFC 3986), behind escapes of JSON (RFC 8259), in HTML's
character references, between the colours of a terminal (ECMA-48) and in full-width letters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from audit_emit._redaction.rule import Span
from audit_emit._runtime.lazy import Pattern

__all__ = ["ESCAPES", "MARKS", "Reading", "escaped", "quoted", "readings"]

_COLOURS = (
    r"(?:\x1b|\u241b|\^\[|\\{1,8}(?:u001[bB]|x1[bB]|033|e))"
    r"(?:\[[0-9;:]{0,24}[A-Za-z]|\([0-9A-Za-z]|\][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\))"
    r"|\x9b[0-9;:]{0,24}[A-Za-z]"
)
_WIDE = "\uff01-\uff5e"
_INVISIBLE = "\u200b-\u200f\u2060-\u2064\ufeff\u00ad"
_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_LINE_ENDS = "\x85\u2028\u2029"
_QUOTES = Pattern(r"\\(?P<itself>[\\\"'/`])")
"""What is escaped in a quoted text because of the quotes around it."""
_HEX = "[0-9A-Fa-f]"
_MORE = f"(?:%(?:25){{0,3}}[89abAB]{_HEX})"
_ESCAPE = Pattern(
    # Its first character, before what takes longer to look for.
    rf"(?=[%\\&\x1b\u241b\x9b^{_INVISIBLE}{_WIDE}{_SPACES}{_LINE_ENDS}])(?:"
    # Two to four bytes of UTF-8 are one letter.
    rf"(?P<letters>%(?:25){{0,3}}"
    rf"(?:[cdCD]{_HEX}{_MORE}|[eE]{_HEX}{_MORE}{{2}}|[fF][0-4]{_MORE}{{3}}))"
    # A variable of Windows (``%DB_PASS%``) is no escape.
    rf"|%(?![A-Z][A-Z0-9]{{1,32}}_[A-Z0-9_]{{1,64}}%)(?:25){{0,3}}(?P<hex1>{_HEX}{{2}})|%u(?P<hex2>{_HEX}{{4}})"
    rf"|\\{{1,8}}u(?P<pair>[dD][89abAB]{_HEX}{{2}}\\{{1,8}}u[dD][c-fC-F]{_HEX}{{2}})"
    rf"|\\{{1,8}}u(?P<hex3>{_HEX}{{4}})|\\{{1,8}}u\{{(?P<hex4>{_HEX}{{1,6}})\}}"
    rf"|\\{{1,8}}x(?P<hex5>{_HEX}{{2}})|&#x(?P<hex6>{_HEX}{{1,6}})(?:;|(?![0-9A-Za-z]))"
    r"|&#(?P<decimal>[0-9]{1,7});?"
    r"|&(?P<named>amp|quot|apos|lt|gt|equals|colon|nbsp|shy|Tab|NewLine);"
    r"|\\{1,8}(?P<letter>[nrtbf])"
    rf"|\\{{1,8}}(?P<octal>[01][0-7]{{2}})(?![0-9])|{_COLOURS}"
    rf"|(?P<wide>[{_WIDE}])|(?P<space>[{_SPACES}])|(?P<line>[{_LINE_ENDS}])"
    rf"|[{_INVISIBLE}])"
)
_NAMED = {
    "amp": "&",
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "equals": "=",
    "colon": ":",
    "nbsp": " ",
    "shy": "",
    "Tab": "\t",
    "NewLine": "\n",
}
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_REFERENCE = Pattern(rf"&(?:#|{'|'.join(_NAMED)})")
MARKS = Pattern(rf"[&%\\\x1b\x9b\u241b{_INVISIBLE}{_WIDE}{_SPACES}{_LINE_ENDS}]|\^\[\[")
"""What is in each text that reads otherwise."""
_ROUNDS = 3
ESCAPES: tuple[str, ...] = (
    *(f"%{digit}" for digit in "0123456789abcdefABCDEF"),
    *(f"\\{char}" for char in "\\uxnrtbfe01"),
    "%u",
    "^[[",
    "&#",
    *(f"&{name};" for name in _NAMED),
    "\x1b[",
)
"""Texts of ASCII characters, one of which is in each ASCII text that reads otherwise."""


def escaped(text: str) -> bool:
    """Whether a text may hold escapes: most have none of the characters that they need."""
    if "&" in text and _REFERENCE.search(text) is not None:
        return True
    if text.isascii():  # four looks for one character take a quarter of one for any of many
        return "%" in text or "\\" in text or "\x1b" in text or "^[[" in text
    return MARKS.search(text) is not None


class Reading:
    """A text with its escapes undone.

    Attributes:
        text: of as many characters or fewer.
        differs: whether anything was escaped.
    """

    __slots__ = ("_escaped", "_plain", "differs", "text")

    def __init__(self, text: str, escape: Pattern = _ESCAPE) -> None:
        self._plain = [0]
        self._escaped = [0]
        parts: list[str] = []
        at = length = 0
        for match in escape.finditer(text):
            said = _said(match)
            parts += (text[at : match.start()], said)
            length += match.start() - at + len(said)
            at = match.end()
            self._plain.append(length)
            self._escaped.append(at)
        self.differs = bool(parts)
        self.text = "".join(parts) + text[at:] if parts else text

    def span(self, span: Span) -> Span:
        """Where a part of ``text`` stands in the escaped one."""
        return self._place(span[0]), self._place(span[1])

    def _place(self, plain: int) -> int:
        at = bisect_right(self._plain, plain) - 1
        return self._escaped[at] + plain - self._plain[at]


def readings(text: str) -> Iterator[list[Reading]]:
    """The readings of a text, each undoing the escapes of the one before: at most three."""
    steps: list[Reading] = []
    for _ in range(_ROUNDS):
        if not escaped(text):
            return
        reading = Reading(text)
        if not reading.differs:
            return
        steps = [*steps, reading]
        yield steps
        text = reading.text


def quoted(text: str) -> list[Reading]:
    """The readings of what stands between quotes: at last what it says."""
    steps = [Reading(text, _QUOTES)]
    further = list(readings(steps[0].text))
    return [*steps, *further[-1]] if further else steps


def _said(match: re.Match[str]) -> str:
    """What an escape stands for; nothing, where it is a colour or invisible."""
    group = match.lastgroup or ""
    found = match.group(group) if group else ""
    if group.startswith("hex"):
        return _character(int(found, 16))
    if group == "letters":
        code = bytes.fromhex("".join(part[-2:] for part in found.split("%")))
        return code.decode("utf-8", "replace")[:1]
    if group == "pair":
        high, low = int(found[:4], 16), int(found[-4:], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10 | low & 0x3FF))
    if group in ("decimal", "octal"):
        return _character(int(found, 10 if group == "decimal" else 8))
    if group == "itself":
        return found
    if group == "wide":
        return chr(ord(found) - 0xFEE0)
    known = {"named": _NAMED, "letter": _SHORT}.get(group)
    if known is not None:
        return known[found]
    return " " if group == "space" else "\n" if group == "line" else ""


def _character(code: int) -> str:
    return chr(code) if 0 < code < 0xD800 or 0xE000 <= code <= 0x10FFFF else "\ufffd"
