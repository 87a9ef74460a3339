r"""The text that Loki's ``| json`` makes of a value in a record, as Loki 3.7 was measured to do it.

Pure. A string is its text, a number or boolean as it is written, an object its JSON, an array its
JSON without escapes. What is missing or ``null`` is the empty text; so is a string or array with
half a surrogate pair, as ``\ud800`` alone. U+FFFD becomes a space.
"""

from __future__ import annotations

import re

import msgspec

Path = tuple[str | int, ...]
"""From the record on: names, and numbers in arrays."""

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
        # Half a pair anywhere makes msgspec refuse the line; JSON allows it.
        return _text_of(_ESCAPE.sub(_restored, _walked(_ESCAPE.sub(_replaced, line), path)))
    except _ERRORS:
        return ""


def _walked(line: bytes, path: Path) -> bytes:
    """The JSON text of a value; ``null`` when there is none."""
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


def _replaced(escape: re.Match[bytes]) -> bytes:
    """Half a pair, as a character of a private area, U+E000 to U+E7FF."""
    text = escape[0]
    if len(text) != 6 or text[2:3] not in b"dD" or int(text[3:4], 16) < 8:
        return text
    return b"\\ue%x%b" % (int(text[3:4], 16) - 8, text[4:])


def _restored(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    if len(text) != 6 or text[2:3] != b"e" or int(text[3:4], 16) > 7:
        return text
    return b"\\ud%x%b" % (int(text[3:4], 16) + 8, text[4:])


def _text_of(raw: bytes) -> str:
    if raw == b"null":
        return ""
    if raw[:1] == b"[":
        # Its quotes are taken for a part of the text, its escapes for escapes.
        raw = b'"%b"' % _BARE.sub(lambda found: found[0] if len(found[0]) > 1 else b'\\"', raw)
    return _TEXT.decode(raw).replace("\ufffd", " ") if raw[:1] == b'"' else raw.decode()
