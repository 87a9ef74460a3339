r"""Computes the text that LogQL's ``| json`` extracts from a record. Pure.

As measured with Loki 3.7. A string gives its text, a number or boolean its literal, an object its
JSON, and an array its JSON without escapes. A missing value and ``null`` give the empty text; so
does a string or array that contains half a surrogate pair, such as ``\ud800`` alone. U+FFFD becomes
a space.
"""

from __future__ import annotations

import re

import msgspec

Path = tuple[str | int, ...]
"""The path from the record to a value: names of members, and indexes in arrays."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_BARE = re.compile(rb'\\.|"', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL
)
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def value_at(line: bytes, path: Path) -> str:
    """The text of the value at a path."""
    try:
        return _text_of(_walked(line, path))
    except _ERRORS:
        pass
    try:
        # JSON allows half a surrogate pair, but msgspec refuses a line with one. So replace each
        # half by a private character while walking, and restore it in the value.
        return _text_of(_ESCAPE.sub(_restored, _walked(_ESCAPE.sub(_replaced, line), path)))
    except _ERRORS:
        return ""


def _walked(line: bytes, path: Path) -> bytes:
    """The JSON text of the value at a path; ``null`` when there is none."""
    raw = line
    for step in path:
        if raw[:1] != (b"{" if isinstance(step, str) else b"["):
            return b"null"
        try:
            found = _MEMBERS.decode(raw)[step] if isinstance(step, str) else _LIST.decode(raw)[step]
        except LookupError:
            return b"null"
        raw = bytes(found)
    return raw


def without_halves(text: bytes) -> bytes:
    """JSON in which U+FFFD stands for each half of a surrogate pair, which many readers refuse."""
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if _is_half(escape[0]) else escape[0], text)


def _is_half(escape: bytes) -> bool:
    return len(escape) == 6 and escape[2:3] in b"dD" and int(escape[3:4], 16) >= 8


def _replaced(escape: re.Match[bytes]) -> bytes:
    """Replace half a pair by a character of the private use area, U+E000 to U+E7FF."""
    text = escape[0]
    return b"\\ue%x%b" % (int(text[3:4], 16) - 8, text[4:]) if _is_half(text) else text


def _restored(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    if len(text) != 6 or text[2:3] != b"e" or int(text[3:4], 16) > 7:
        return text
    return b"\\ud%x%b" % (int(text[3:4], 16) + 8, text[4:])


def _text_of(raw: bytes) -> str:
    if raw == b"null":
        return ""
    if raw[:1] == b"[":
        # Loki treats the quotes in an array's JSON as text, and its escapes as escapes.
        raw = b'"%b"' % _BARE.sub(lambda found: found[0] if len(found[0]) > 1 else b'\\"', raw)
    return _TEXT.decode(raw).replace("\ufffd", " ") if raw[:1] == b'"' else raw.decode()
