"""Names with their values as prose has them, without ``=`` and ``:``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import Place, places
from audit_emit._redaction.finders.words_of_prose import MARKED, STRONG, is_fact, unless_redacted
from audit_emit._redaction.names import is_secret_value, looks_random
from audit_emit._runtime.lazy import Pattern

__all__ = ["LINKS", "callbacks", "sentences"]

IsSecret = Callable[[str], bool]

_VALUE = r"(?:\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})\\{0,7}[\"'`]|([^\s\"'`,;()]{1,256}))"


_BESIDE = Pattern(
    r"[ \t]{1,3}(?=[^\s0-9]{0,64}[0-9])"
    r"(?=[^\sA-Z!#$%^*+~@]{0,64}[A-Z!#$%^*+~@])(?=[^\sa-z]{0,64}[a-z])"
    r"([^\s\"'`,;:=()<>/\\\[\]{}|]{8,128})(?![^\s,;.!?)])"
)
_OPENING = frozenset(
    ("token", "tokens", "secret", "secrets", "bearer", "credential", "credentials")
)
"""Names that are words of prose, too: after them a value counts that looks drawn at random."""
_MEANS = "|".join(rf"{word}(?<!\w{word})" for word in ("with", "using", "by", "via"))
_OWNERS = "|".join(rf"{word}(?<!\w{word})" for word in ("user", "login", "account"))
_GIVEN = (
    Pattern(
        rf"(?:{_MEANS})[ \t](?:(?:the|a|an|new|old|temporary|his|her|its|their)[ \t]){{0,2}}"
        r"\S{2,128}\Z"
    ),
    Pattern(
        rf"(?:{_OWNERS})(?:name)?[ \t]{{1,3}}[^\s:=]{{1,64}}[ \t]{{1,3}}(?:and[ \t])?\S{{2,128}}\Z"
    ),
)
"""``with password``, ``user bob password``: what is given with it, or to whom it belongs. For
folded text: a pattern that begins with letters of one case passes quickly over all others."""
_TYPED = Pattern(
    r"[ \t]{1,3}(?=[^\s0-9]{0,64}[0-9])(?=[^\sA-Za-z]{0,64}[A-Za-z])"
    r"([^\s\"'`,;:=()<>/\\\[\]{}|]{8,128})(?![^\s,;.!?)])"
)
_BRACKETED = Pattern(
    r"[ \t]{0,2}[<\[{(]([^\s<>\[\]{}()]{6,256}((?:(?<=,)[ \t][^\s<>\[\]{}()]{1,256}){0,4}))[>\]})]"
)
_SENTENCE = Pattern(
    r"(?:[ \t]{1,3}(?:for|of)[ \t]{1,3}[^\s:=]{1,64})?"
    r"(?:[ \t]{1,3}(?:(?:is|was|has been)[ \t])?(?:changed|set|reset|updated|rotated|now)[ \t]to"
    r"[ \t:]{1,4}"
    r"|[ \t]{1,3}(?:is now|is|was|will be|now|ist|lautet|es|est|\u00e8|\u00e9|jest"
    r"|\u044d\u0442\u043e)[ \t:]{1,4}"
    r"|\u662f[ \t]?"
    rf"|[ \t]{{1,3}}[\-\u2013\u2014][ \t]{{1,3}}){_VALUE}",
    re.IGNORECASE,
)

_OF_DIGITS = Pattern(
    r"\b(?:[\w\-]{0,32}code|otp|pin|tan|password|passwd|pwd)"
    r"[ \t]{1,3}(?:is|was|now|ist|lautet|es|est|\u00e8|\u00e9)[ \t:]{1,4}"
    r"([0-9]{4,8}|[0-9]{3}[ \-][0-9]{3})(?![\w.]*\w)"
    r"(?![ \t]{1,3}(?:char|digit|letter|byte|bit|second|minute|hour|day|time|word))",
    re.IGNORECASE,
)
"""A code to be typed in, which has digits only: ``Your verification code is 483920``."""
_DIGITS_BEFORE = Pattern(
    r"(?<![\w.\-])(?:[A-Z]-)?([0-9]{4,8}|[0-9]{3}[ \-][0-9]{3})[ \t]{1,2}(?:is|as)[ \t]{1,2}"
    r"(?:your|the|an?|my|our)[ \t]{1,2}(?:[\w\-]{1,24}[ \t]{1,2}){0,3}"
    r"(?:[\w\-]{0,32}code|otp|pin|tan|password)\Z",
    re.IGNORECASE,
)
"""The same before its name: ``483920 is your verification code``."""
_A_NUMBER = Pattern("[0-9][0-9][0-9]")
"""What every code has that stands before its name."""
_LOOK_BACK = 128


def sentences(
    text: str, is_secret: IsSecret, is_meant: Callable[[int], bool] | None = None
) -> Iterator[Span]:
    """``Your password is x``, ``Client secret - x``: as far as ``x`` is no word of prose.

    ``is_meant`` says of the end of a name whether it is looked at; all are without it.
    """
    for place in places(text, is_secret):
        if is_meant is not None and not is_meant(place.end):
            continue
        weak = place.weak
        yield from _codes(text, place)
        match = _BESIDE.match(text, place.end)
        if match is not None:
            strong = place.of_two or not weak
            if strong or (place.name.lower() in _OPENING and looks_random(match.group(1))):
                yield from unless_redacted(text, *match.span(1))
        elif not weak and _is_given(text[max(0, place.end - _LOOK_BACK) : place.end]):
            match = _TYPED.match(text, place.end)
            if match is not None and not is_fact(match.group(1)):
                yield from unless_redacted(text, *match.span(1))
        match = _BRACKETED.match(text, place.end)
        if (
            match is not None
            and STRONG.match(match.group(1))
            and not is_fact(match.group(1))
            and not (weak and match.group(2))
        ):
            yield from unless_redacted(text, *match.span(1))
        match = _SENTENCE.match(text, place.end)
        if match is None:
            continue
        quoted, bare = match.groups()
        if (quoted and (place.of_two or not weak)) or MARKED.match(quoted or bare.rstrip(_STOPS)):
            start, end = match.span(1 if quoted else 2)
            if not quoted:
                end -= len(bare) - len(bare.rstrip(_STOPS))
            yield from unless_redacted(text, start, end)


def _codes(text: str, place: Place) -> Iterator[Span]:
    """What has digits only, after its name or before it."""
    match = _OF_DIGITS.match(text, place.end - len(place.name))
    if match is not None:
        yield from unless_redacted(text, *match.span(1))
    at = max(0, place.end - _LOOK_BACK)
    if _A_NUMBER.search(text, at, place.end) is not None:
        match = _DIGITS_BEFORE.search(text[at : place.end])
        if match is not None:
            yield from unless_redacted(text, at + match.start(1), at + match.end(1))


def _is_given(before: str) -> bool:
    folded = before.casefold()
    return any(pattern.search(folded) is not None for pattern in _GIVEN)


_STOPS = ".,;:!?"
_CODE = Pattern(
    r"(?:[?&#]|(?<![^\s\"'(])(?P<first>))"
    r"(?:code|auth_code|authuser_code|ticket|state_token)=(?P<value>[A-Za-z0-9_\-.~%/+]{8,512})"
)
_GRANT = "grant_type="
_MAX_FORM = 512
_KEY = Pattern(r"[?&](?:key|k|s|p)=([A-Za-z0-9_\-]{16,128})(?![^&#\s\"'])")
_LINK = Pattern(
    r"/(?:reset|reset[_\-]password|password[_\-]reset|verify|confirm|activate|invite|invitation|magic"
    r"|magic[_\-]link)/([A-Za-z0-9_\-]{16,256})(?![^/?#&\s\"'])"
)
LINKS = ("/reset", "/password", "/verify", "/confirm", "/activate", "/invit", "/magic")
_ALL_DIGITS = Pattern(r"[0-9]+\Z")


def callbacks(text: str) -> Iterator[Span]:
    """What a URL is good for: the code of OAuth (RFC 6749 section 4.1.2), a key, a link by mail."""
    for match in _CODE.finditer(text):
        if match.group("first") is not None and not _asks_for_token(text, match.start()):
            continue
        if not _ALL_DIGITS.match(match.group("value")):
            yield from unless_redacted(text, *match.span("value"))
    for pattern in (_KEY, _LINK):
        for match in pattern.finditer(text):
            if is_secret_value("url_key", match.group(1)):
                yield from unless_redacted(text, *match.span(1))


def _asks_for_token(text: str, start: int) -> bool:
    """Whether a form that begins with a code has a ``grant_type`` in it."""
    at = text.find(_GRANT, start, start + _MAX_FORM)
    return at >= 0 and not any(char.isspace() or char in "\"'" for char in text[start:at])
