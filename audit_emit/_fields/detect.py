"""Where a text holds a secret: the value patterns of redaction, all of them linear.

Every pattern has a cheap necessary condition (a literal, or a run of a class of characters), and
``suspicious`` is the union of those conditions. They only ask for what is *in* the text, so an
encoded record is suspicious whenever a text in it is, and can be asked instead of each value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from audit_emit._fields import (
    beside,
    cards,
    database,
    markup,
    named,
    private,
    programs,
    schemes,
    urls,
    vendor,
)
from audit_emit._fields.encoded import Decoded
from audit_emit._fields.extent import HELD, Span
from audit_emit._lazy import Pattern

__all__ = ["find", "suspicious"]

MARK = "\x01"
RUN = "a" * 13
DIGIT_RUN = "0" * 13


def _table(classes: dict[str, str]) -> bytes:
    table = bytearray(range(256))
    for characters, mark in classes.items():
        for character in characters:
            table[ord(character)] = ord(mark)
    return bytes(table)


_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOT_ASCII = "".join(map(chr, range(128, 256)))

character_classes = _table(
    {_DIGITS + _LETTERS: "a", "._/+": ".", " =@<'\\%\x7f" + _NOT_ASCII: MARK}
)
"""Letters and digits are one class; ``MARK`` is what wants a closer look at each value."""

PRINTED = ("aaaa.aaaa.aaaa.aaaa", "aaaa.aaaaaa.aaaaa")
"""What a card number with anything but dashes between its groups is in these classes."""

digit_classes = _table({_DIGITS + " -?": "0", "._/+": ".", "ktpiyX": "k"})
"""Digits and what may stand between them are one class (``?`` is a character that is not ASCII);
what may so only between the groups of a card number is another, and so are the letters before the
dash of a vendor's prefix."""

_BETWEEN = b" -._/+\t\r\n"
"""What may stand between the digits of a card number."""

HARMFUL_WORDS = tuple(
    word.encode() for word in (*vendor.DOT_MARKS, *vendor.DASH_MARKS, *vendor.MARKS, "--")
)
"""What makes an encoded text of harmless characters ``suspicious`` all the same, beside its digits
and the letters before its dashes."""

_STEMS = (
    "pass pwd psw pw secret token key auth cred cookie pin otp cvv cvc cvn csc ssn iban bearer jwt "
    "csrf xsrf sess sid code card conn mnemonic phrase senha kennwort number string cc contras mot "
    "netloc mdp pwrd passw wachtwoord haslo account value sig plaintext cleartext psk dsn dek kek "
    "pword answer saml magic ticket"
).split()


def suspicious(text: str) -> bool:
    """Whether ``find`` has to look: False only when it would find nothing."""
    if len(text) < len(RUN) and text.isalnum():
        return False
    if _suspicious(text):
        return True
    decoded = Decoded(text)
    return decoded.differs and _suspicious(decoded.text)


def _suspicious(text: str) -> bool:
    raw = text.encode("ascii", "replace")
    option = programs.has_option(text)
    return (
        ((":" in text or "=" in text or "<" in text or option) and _has_stem(text))
        or urls.suspicious(text)
        or ("-u" in text and ":" in text)
        or (option and programs.suspicious(text))
        or (("'" in text or '"' in text) and ("[" in text or "(" in text) and _has_stem(text))
        or suspicious_tokens(text, raw)
    )


def suspicious_tokens(text: str, raw: bytes) -> bool:
    """``suspicious`` for all but names with values; ``raw`` is the text as ASCII."""
    if vendor.suspicious(text, RUN in raw.translate(character_classes).decode()):
        return True
    if private.suspicious(text):
        return True
    if (" " in text or "\n" in text or "\t" in text) and _suspicious_phrase(text):
        return True
    return _has_digits(raw) and _digits_beside_ids(text)


def _has_digits(raw: bytes) -> bool:
    """Whether there are digits enough for a card number, however they are spaced."""
    return DIGIT_RUN.encode() in raw.translate(digit_classes, _BETWEEN)


def suspicious_dash(text: str, raw: bytes) -> bool:
    """``suspicious`` for a text with a dash and without a space, a little too careful."""
    classes = raw.translate(digit_classes).decode()
    if "k0" in classes or "--" in text or any(mark in text for mark in vendor.DASH_MARKS):
        return True
    return DIGIT_RUN in classes and _digits_beside_ids(text)


def _digits_beside_ids(text: str) -> bool:
    """Whether a run of digits is left without the UUIDs, of which every twentieth has one."""
    return _has_digits(cards.ID.sub("x", text).encode("ascii", "replace"))


def _suspicious_phrase(text: str) -> bool:
    lower = text.lower()
    return (
        schemes.suspicious(lower)
        or database.suspicious(lower)
        or (
            (database.suspicious_beside_names(lower) or schemes.complains(lower))
            and _has_stem(text)
        )
        or ("login" in text and "password" in text)
    )


def _has_stem(text: str) -> bool:
    if not text.isascii():
        return True
    lower = text.lower()
    return any(stem in lower for stem in _STEMS) or bool("pat" in lower and _PAT.search(lower))


_PAT = Pattern("pat[^a-z]")


def find(text: str, is_secret: Callable[[str], bool]) -> list[Span]:
    """The parts of a text that must not be shown, in order, not overlapping.

    Args:
        text: at most some KiB; the cost is linear in it.
        is_secret: the key rule, for names with a value (``password=…``).
    """
    spans = _find(text, is_secret)
    decoded = Decoded(text)
    if decoded.differs:
        spans += map(decoded.span, _find(decoded.text, is_secret))
    if spans:
        spans = _beside_held(text, spans)
    return _merge(spans) if spans else spans


def _beside_held(text: str, spans: list[Span]) -> list[Span]:
    """The parts that are not, or do not begin in, what stands for a value held back before."""
    held = [match.span() for match in HELD.finditer(text)]
    if not held:
        return spans
    starts = [start for start, _ in held]
    kept = []
    for start, end in spans:
        at = bisect_right(starts, start) - 1
        first, last = held[at] if at >= 0 else (0, 0)
        if start >= last or (start == first and end > last):
            kept.append((start, end))
    return kept


def _find(text: str, is_secret: Callable[[str], bool]) -> list[Span]:
    return [
        *private.keys(text),
        *vendor.tokens(text),
        *vendor.shaped(text),
        *urls.users(text),
        *schemes.schemes(text),
        *schemes.complaints(text),
        *named.assignments(text, is_secret),
        *beside.pairs(text, is_secret),
        *beside.inputs(text, is_secret),
        *programs.flags(text, is_secret),
        *programs.programs(text),
        *markup.elements(text, is_secret),
        *markup.parts(text, is_secret),
        *database.statements(text, is_secret),
        *database.rows(text, is_secret),
        *vendor.hooks(text),
        *cards.cards(text),
    ]


def _merge(spans: list[Span]) -> list[Span]:
    spans.sort()
    merged = [spans[0]]
    for start, end in spans[1:]:
        last = merged[-1]
        if start < last[1]:
            merged[-1] = (last[0], max(last[1], end))
        else:
            merged.append((start, end))
    return merged
