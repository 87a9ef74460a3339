"""Text from a log, made safe for a terminal: what it would obey is shown instead.

A record may hold what an attacker sent. Escape sequences, line breaks and bidirectional controls
are spelled out, whatever else the file claims to be.
"""

from __future__ import annotations

import json
import unicodedata

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_PICTURES = 0x2400
"""Unicode's Control Pictures: the picture of control character n is at 0x2400 + n."""

_PUNCTUATION = frozenset(' "=\\()@#')


def visible(text: str) -> str:
    r"""``text`` with every control, format and surrogate character spelled out.

    C0 controls become their picture (``␛``), others an escape (``\u202e``).
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _OBEYED:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(_PICTURES + code)
    if code == 0x7F:
        return "␡"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible_bytes(raw: bytes, limit: int) -> str:
    """The first ``limit`` bytes of something that need not be text, on one line."""
    text = visible(raw[:limit].decode("utf-8", "backslashreplace"))
    return text if len(raw) <= limit else f"{text}… ({len(raw)} bytes)"


def shown_value(value: object) -> str:
    """A value on one line: plain text as it is, anything else as JSON.

    Text that could be taken for the punctuation around it is quoted, so that a user who calls
    himself ``root(admin)`` does not look like an admin.
    """
    if isinstance(value, str) and value and not _PUNCTUATION.intersection(value):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
