"""The one form of letters in which names are compared, and keywords are looked for.

A name is the same in full-width letters, in bold ones of mathematics, with or without its accents,
and with letters of other alphabets that look like those of Latin (Unicode UTS 39).
"""

from __future__ import annotations

from typing import Any

from audit_emit._runtime.lazy import Pattern

__all__ = ["folded_text", "plain_letters"]

_INVISIBLE = dict.fromkeys((*range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF, 0xAD))
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0501\u0261\u03bf\u03b1\u03c1\u0131"
    "\u0410\u0415\u041e\u0420\u0421\u0423\u0425\u0422\u041c\u041d\u041a\u0412\u0406\u0405",
    "aeopcyxisdgoapiAEOPCYXTMHKBIS",
) | {0x3C2: "\u03c3"}
_READ_AS: dict[int, Any] = {**_LOOKALIKES, **_INVISIBLE}
_ACCENTS = Pattern("[\u0300-\u036f\u0483-\u0487\u0610-\u061a\u064b-\u065f\u3099\u309a]+")
_OTHERS = Pattern("[\u0131\u0261\u0370-\u052f\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def plain_letters(text: str) -> str:
    """A text in the letters that are read; of an ASCII text, the text itself."""
    if text.isascii():
        return text
    from unicodedata import normalize  # noqa: PLC0415 - only texts beyond ASCII need it

    text = _ACCENTS.sub("", normalize("NFKD", text))
    if _OTHERS.search(text) is not None:
        text = text.translate(_READ_AS)
    return normalize("NFC", text)


def folded_text(text: str) -> str:
    """The same where case does not count: keywords are looked for in it."""
    if text.isascii():
        return text.lower()
    return plain_letters(text.lower()).lower()
