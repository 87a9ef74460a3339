"""Text from a log, made safe for a terminal: characters that it obeys or hides are escaped.

A record may hold what an attacker sent: escape sequences, line breaks, bidirectional controls, and
characters without any ink, with which two users can have names that look the same.
"""

from __future__ import annotations

import json
import re
import unicodedata

_SPELLED_OUT = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
"""General categories of characters that a terminal may obey, of blanks, and of those that may have
no glyph."""

_NO_INK = re.compile(
    "["
    # Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt (versions 4.1 to 17),
    # except those whose category is among the ones above.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
    # Blank by their glyph in Unicode's code charts: the Braille pattern without dots, the musical
    # null notehead, the Khitan filler.
    "\u2800\U0001d159\U00016fe4"
    # The pictures that stand for control characters here: text with a picture of its own is
    # something else.
    "\u2400-\u241f\u2421"
    "]"
)
_PICTURES = 0x2400
"""Unicode's Control Pictures: the picture of control character n is at 0x2400 + n."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}:/+)(\S*)")
"""With any number of slashes: an address that is taken for a path loses one of them."""
_PUNCTUATION = frozenset(' "=\\()@#')


def visible(text: str) -> str:
    r"""``text`` with every character escaped that a terminal would obey or not show.

    C0 controls become their picture (``␛``), others an escape (``\u202e``, ``\u3164``); of blanks
    only the space stays. Two texts that differ do not become the same by it, unless one of them
    holds a backslash: ``shown_value`` doubles those.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == " " or (
        unicodedata.category(character) not in _SPELLED_OUT and not _NO_INK.match(character)
    ):
        return character
    code = ord(character)
    if code < 0x20:
        return chr(_PICTURES + code)
    if code == 0x7F:
        return "␡"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def without_passwords(text: str) -> str:
    """``text`` in which no address (RFC 3986) has a password, nor a query that may hold one.

    A mistyped command may have an address where none is expected.
    """
    if ":/" not in text:
        return text
    return _ADDRESS.sub(_without_password, text)


def _without_password(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    login, at, place = rest.rpartition("@")
    user = login.partition(":")[0]
    if "?" in login:
        # The @ may belong to the query, or the ? to the password: that cannot be decided.
        return f"{scheme}{user.partition('?')[0]}?…"
    address, asked, _ = place.partition("?")
    return f"{scheme}{user}{at}{address}{'?…' if asked else ''}"


def visible_bytes(raw: bytes, limit: int) -> str:
    """The first ``limit`` bytes of data that may be no text, on one line."""
    text = visible(raw[:limit].decode("utf-8", "backslashreplace"))
    return text if len(raw) <= limit else f"{text}… ({len(raw)} bytes)"


def shown_value(value: object) -> str:
    """A value on one line: plain text as it is, anything else as JSON.

    Text that could be taken for the punctuation around it is quoted, so that a user named
    ``root(admin)`` does not look like an admin.
    """
    if isinstance(value, str) and value and not _PUNCTUATION.intersection(value):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
