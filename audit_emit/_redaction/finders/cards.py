"""Card numbers, told by their digits alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate

from audit_emit._redaction.finders.extent import Span
from audit_emit._runtime.lazy import Pattern

__all__ = ["ID", "cards", "is_card"]

_INVISIBLE = r"\u00ad\u200b-\u200d\u2060\ufeff"
_SPACE = r" \u00a0\u2000-\u200a\u202f\u205f\u3000"
_RUN_OF_DIGITS = Pattern(rf"[0-9](?:[{_SPACE}\-\u2010-\u2015{_INVISIBLE}]?[0-9])*")
_SEPARATOR = r"[._/+\t\n]|\r\n|[ \u00a0]{2,4}"
_BEFORE = r"(?<![0-9][0-9]{4})(?<![0-9][._/+\t\n ][0-9]{4})"
_PRINTED = Pattern(
    rf"[0-9]{{4}}{_BEFORE}(?:"
    rf"(?P<a>{_SEPARATOR})[0-9]{{4}}(?P=a)[0-9]{{4}}(?P=a)[0-9]{{4}}(?!(?P=a)?[0-9])"
    rf"|(?P<b>{_SEPARATOR})[0-9]{{6}}(?P=b)[0-9]{{5}}(?!(?P=b)?[0-9]))"
)
"""Grouped as on a card; what else stands between digits does so in dates, versions, addresses."""
_GROUP = Pattern(r"[0-9]+")
ID = Pattern(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32,}")
"""UUIDs and digests: one digit run in them out of ten would pass for a card number."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


_ELSEWHERE = {ord(zero) + n: str(n) for zero in "\uff10\u0660\u06f0\u0966" for n in range(10)}


def cards(text: str) -> Iterator[Span]:
    """Card numbers, however they are spaced, in the digits of any script."""
    if not text.isascii():
        text = text.translate(_ELSEWHERE)
    yield from _spaced(text)
    for match in _PRINTED.finditer(text):
        digits = "".join(_GROUP.findall(match.group()))
        if is_card(digits):
            yield match.span()


def _spaced(text: str) -> Iterator[Span]:
    ids: list[Span] | None = None
    for run in _RUN_OF_DIGITS.finditer(text):
        start, end = run.span()
        if end - start < 13:
            continue
        if ids is None:
            ids = [match.span() for match in ID.finditer(text)][::-1]
        while ids and ids[-1][1] <= start:
            ids.pop()
        if not (ids and ids[-1][0] < end) and not _is_other(text, start, end):
            yield from _cards_of_run(text, start, end)


def _cards_of_run(text: str, start: int, end: int) -> Iterator[Span]:
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    digits = "".join([text[a:b] for a, b in groups])
    if 14 <= len(digits) <= 19 and is_card(digits):
        yield start, end
    elif len(groups) > 1 and len(digits) > 14:
        yield from _cards_of_groups(groups, digits)


def _cards_of_groups(groups: list[Span], digits: str) -> Iterator[Span]:
    """Other numbers may stand before and after; no card has groups of one or two within it."""
    places = list(accumulate((b - a for a, b in groups), initial=0))
    sums = _luhn_sums(digits)
    done = 0
    for i, (first, _) in enumerate(groups):
        if first < done or digits[places[i]] not in "2345689":
            continue
        start = places[i]
        for j in range(i, min(i + 6, len(groups))):
            end = places[j + 1]
            if end - places[j] < 3 or end - start > 19:
                break
            total = sums[end % 2]
            if end - start >= 14 and (total[end] - total[start]) % 10 == 0:
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


def _is_other(text: str, start: int, end: int) -> bool:
    """Whether digits are those of a fraction, or of a telephone number (15 at most)."""
    before = text[max(0, start - 2) : start]
    if (
        before[-1:].isalpha()
        or before[-1:] == "_"
        or (before[-2:-1] in ("_", "=") and before[-1:] == "-")
    ):
        return True
    if before[-1:] == "-" and not before[:-1].strip():
        return True
    if text[end : end + 1].isalpha() or text[end : end + 1] == "_" or _is_iban(text, start):
        return True
    if text[start - 1 : start] == "+":
        return sum(map(str.isdigit, text[start:end])) <= 15
    return start > 1 and text[start - 1] == "." and text[start - 2].isdigit()


_ISSUERS: tuple[tuple[int, int, range], ...] = (
    (4, 4, range(16, 17)),
    (51, 55, range(16, 17)),
    (2221, 2720, range(16, 17)),
    (34, 34, range(15, 16)),
    (37, 37, range(15, 16)),
    (300, 305, range(14, 20)),
    (3095, 3095, range(14, 20)),
    (36, 36, range(14, 20)),
    (38, 39, range(14, 20)),
    (3528, 3589, range(16, 20)),
    (6011, 6011, range(16, 20)),
    (644, 659, range(16, 20)),
    (60, 60, range(16, 17)),
    (62, 62, range(16, 20)),
    (81, 82, range(16, 20)),
    (2200, 2204, range(16, 20)),
    (50, 50, range(16, 20)),
    (56, 58, range(16, 20)),
    (63, 63, range(16, 20)),
    (67, 67, range(16, 20)),
    (9792, 9792, range(16, 17)),
)
"""The first digits of issuers (ISO/IEC 7812) and the lengths of their numbers: Visa, Mastercard,
American Express, Diners Club, JCB, Discover, RuPay, UnionPay, Mir, Maestro, Troy."""


@lru_cache(maxsize=1)
def _lengths() -> list[int]:
    """For each four first digits, a bit for each length that a card's number with them has."""
    known = [0] * 10_000
    for first, last, lengths in _ISSUERS:
        some = 10 ** (4 - len(str(last)))
        for prefix in range(first * some, (last + 1) * some):
            known[prefix] |= sum(1 << length for length in lengths)
    return known


def is_card(digits: str) -> bool:
    """Whether 14 to 19 digits are a card number: the range of an issuer, and Luhn's sum."""
    if not _lengths()[int(digits[:4])] >> len(digits) & 1:
        return False
    if digits.count(digits[0]) == len(digits):
        return False
    numbers = list(map(int, digits))
    return (sum(numbers[-1::-2]) + sum([_DOUBLED[n] for n in numbers[-2::-2]])) % 10 == 0


_IBAN = Pattern(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")


def _is_iban(text: str, start: int) -> bool:
    """Whether the digits from ``start`` on are those of an account (ISO 13616): these are shown."""
    match = _IBAN.match(text, start - 2) if start >= 2 else None
    if match is None:
        return False
    number = match.group().replace(" ", "")
    for end in range(len(number), 14, -1):
        moved = number[4:end] + number[:4]
        if int("".join(str(int(char, 36)) for char in moved)) % 97 == 1:
            return True
    return False
