"""Where a text holds a secret: the value patterns of redaction, all of them linear.

Every pattern has a cheap necessary condition (a literal, or a run of a class of characters), and
``suspicious`` is the union of those conditions. They only ask for what is *in* the text, so an
encoded record is suspicious whenever a text in it is, and can be asked instead of each value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate

from audit_emit._fields import named, urls, vendor
from audit_emit._fields.named import Span
from audit_emit._lazy import Pattern

__all__ = ["find", "is_card", "suspicious"]

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

character_classes = _table({_DIGITS + _LETTERS: "a", " =@<'\\\x7f" + _NOT_ASCII: MARK})
"""Letters and digits are one class; ``MARK`` is what wants a closer look at each value."""

digit_classes = _table({_DIGITS + " -?": "0", "ktpiyX": "k"})
"""Digits and what may stand between them are one class (``?`` is a character that is not ASCII);
the letters before the dash of a vendor's prefix are another."""

HARMFUL_WORDS = tuple(
    word.encode() for word in (*vendor.DOT_MARKS, *vendor.DASH_MARKS, vendor.GOOGLE_MARK, "--")
)
"""What makes an encoded text of harmless characters ``suspicious`` all the same, beside its digits
and the letters before its dashes."""

_STEMS = (
    "pass pwd psw pw secret token key auth cred cookie pin otp cvv cvc cvn csc ssn iban bearer jwt "
    "csrf xsrf sess sid code card conn mnemonic phrase senha kennwort number string cc contras mot "
    "value sig plaintext cleartext psk dsn dek kek pword answer saml magic ticket"
).split()


def suspicious(text: str) -> bool:
    """Whether ``find`` has to look: False only when it would find nothing."""
    if len(text) < len(RUN) and text.isalnum():
        return False
    raw = text.encode("ascii", "replace")
    return (
        ((":" in text or "=" in text or "<" in text or "--" in text) and _has_stem(text))
        or urls.suspicious(text)
        or ("-u" in text and ":" in text)
        or (" -p" in text and ("mysql" in text or "mariadb" in text or "sshpass" in text))
        or (("'" in text or '"' in text) and ("[" in text or "(" in text) and _has_stem(text))
        or suspicious_tokens(text, raw)
    )


def suspicious_tokens(text: str, raw: bytes) -> bool:
    """``suspicious`` for all but names with values; ``raw`` is the text as ASCII."""
    if vendor.suspicious(text, RUN in raw.translate(character_classes).decode()):
        return True
    if (" " in text or "\n" in text or "\t" in text) and _suspicious_phrase(text):
        return True
    return DIGIT_RUN in raw.translate(digit_classes).decode() and _digits_beside_ids(text)


def suspicious_dash(text: str, raw: bytes) -> bool:
    """``suspicious`` for a text with a dash and without a space, a little too careful."""
    classes = raw.translate(digit_classes).decode()
    if "k0" in classes or "--" in text or any(mark in text for mark in vendor.DASH_MARKS):
        return True
    return DIGIT_RUN in classes and _digits_beside_ids(text)


def _digits_beside_ids(text: str) -> bool:
    """Whether a run of digits is left without the UUIDs, of which every twentieth has one."""
    rest = _ID.sub("x", text).encode("ascii", "replace")
    return DIGIT_RUN in rest.translate(digit_classes).decode()


def _suspicious_phrase(text: str) -> bool:
    lower = text.lower()
    return (
        "bearer" in lower
        or "basic" in lower
        or "PRIVATE KEY" in text
        or "failing row contains" in lower
        or "[parameters:" in lower
        or ("'" in text and ("password" in lower or "identified" in lower))
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
    spans = [
        *_private_keys(text),
        *vendor.tokens(text),
        *urls.users(text),
        *named.schemes(text),
        *named.assignments(text, is_secret),
        *named.flags(text, is_secret),
        *named.pairs(text, is_secret),
        *named.programs(text),
        *vendor.hooks(text),
        *_cards(text),
        *_rows(text),
    ]
    return _merge(spans) if spans else spans


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


# Private keys. A key without its end reaches to the end of the text, one without its beginning
# from the start of it: a cut key is still a key.

_BEGIN = Pattern(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END = Pattern(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-{0,5}")


def _private_keys(text: str) -> Iterator[Span]:
    if "PRIVATE KEY" not in text:
        return
    at = 0
    begins = [match.start() for match in _BEGIN.finditer(text)]
    for end in _END.finditer(text):
        start = next((begin for begin in begins if at <= begin < end.start()), at)
        yield start, end.end()
        at = end.end()
        begins = [begin for begin in begins if begin >= at]
    if begins:
        yield begins[0], len(text)


# Card numbers.

_RUN_OF_DIGITS = Pattern(r"[0-9](?:[ \-\u00a0\u2010-\u2015]?[0-9])*+")
_GROUP = Pattern(r"[0-9]+")
_ID = Pattern(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32,}+")
"""UUIDs and digests: one digit run in them out of ten would pass for a card number."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _cards(text: str) -> Iterator[Span]:
    ids: list[Span] | None = None
    for run in _RUN_OF_DIGITS.finditer(text):
        start, end = run.span()
        if end - start < 13:
            continue
        if ids is None:
            ids = [match.span() for match in _ID.finditer(text)][::-1]
        while ids and ids[-1][1] <= start:
            ids.pop()
        if not (ids and ids[-1][0] < end) and not _is_fraction(text, start):
            yield from _cards_of_run(text, start, end)


def _cards_of_run(text: str, start: int, end: int) -> Iterator[Span]:
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    digits = "".join([text[a:b] for a, b in groups])
    if 13 <= len(digits) <= 19 and is_card(digits):
        yield start, end
    elif len(groups) > 1 and len(digits) > 13:
        yield from _cards_of_groups(groups, digits)


def _cards_of_groups(groups: list[Span], digits: str) -> Iterator[Span]:
    """Other numbers may stand before and after; no card has groups of one or two within it."""
    places = list(accumulate((b - a for a, b in groups), initial=0))
    sums = _luhn_sums(digits)
    done = 0
    for i, (first, _) in enumerate(groups):
        if first < done or digits[places[i]] not in "23456":
            continue
        start = places[i]
        for j in range(i, min(i + 6, len(groups))):
            end = places[j + 1]
            if end - places[j] < 3 or end - start > 19:
                break
            total = sums[end % 2]
            if end - start >= 13 and (total[end] - total[start]) % 10 == 0:
                if not is_card(digits[start:end]):
                    continue
                done = groups[j][1]
                yield first, done


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """The sums of the digits before each place, those at even, or at odd, places doubled."""
    numbers = list(map(int, digits))
    doubled = [_DOUBLED[n] for n in numbers]
    even, odd = numbers.copy(), numbers
    even[::2], odd[1::2] = doubled[::2], doubled[1::2]
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))


def _is_fraction(text: str, start: int) -> bool:
    return start > 1 and text[start - 1] == "." and text[start - 2].isdigit()


def is_card(digits: str) -> bool:
    """Whether 13 to 19 digits are a card number: a first digit in use, and Luhn's sum."""
    if digits[0] not in "3456" and not 2221 <= int(digits[:4]) <= 2720:
        return False
    if digits.count(digits[0]) == len(digits):
        return False
    numbers = list(map(int, digits))
    return (sum(numbers[-1::-2]) + sum([_DOUBLED[n] for n in numbers[-2::-2]])) % 10 == 0


# What databases say about a row that they refused.

_ROW = Pattern(r"\[parameters: |failing row contains ", re.IGNORECASE)


def _rows(text: str) -> Iterator[Span]:
    for match in _ROW.finditer(text):
        end = text.find("\n", match.end())
        end = end if end >= 0 else len(text)
        if not text.startswith(("[redacted]", "hmac-sha256:"), match.end()) and end > match.end():
            yield match.end(), end
