"""Names with their values as prose and code have them, without ``=`` and ``:``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.assignments import LETTERS
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import places
from audit_emit._redaction.finders.words_of_prose import MARKED, is_word, unless_held
from audit_emit._redaction.names import is_weak, split_name
from audit_emit._redaction.words import SIDES
from audit_emit._runtime.lazy import Pattern

__all__ = ["callbacks", "calls", "changes", "sentences"]

IsSecret = Callable[[str], bool]

_CALL = Pattern(
    r"(?<![\w.\-])((?:[\w]{1,64}\.){0,4}[\w.\-]{2,64})[ \t]{0,4}"
    r"(?:(?P<call>\()[ \t]{0,4}|[ \t]{1,4})"
    r"(\\{0,7}[\"'])(?=[^\"'\\\s])([^\"'\\\r\n]{1,256})(?=\3)"
)
_VERBS = frozenset(
    "set with change update reset put add store use new login authenticate save encrypt verify "
    "check hash compare".split()
)
_WORDS = Pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def _may_be_prose(name: str) -> bool:
    """Whether a secret's name is a word with other meanings: ``token``, not ``client_secret``."""
    return is_weak(name) and len(split_name(name)) == 1


def calls(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``password "x"``, ``#define PASSWORD "x"``, ``setPassword("x")``."""
    for match in _CALL.finditer(text):
        name = match.group(1).rpartition(".")[2]
        if not is_secret(name):
            continue
        if match.group("call"):
            words = [word.lower() for word in _WORDS.findall(name)]
            if is_weak(name) and words[:1] and words[0] not in _VERBS:
                continue  # the name of a secret is asked for: getSecret("db")
        elif is_word(match.group(4)) or (_may_be_prose(name) and not MARKED.match(match.group(4))):
            continue
        yield from unless_held(text, *match.span(4))


_VALUE = r"(?:\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})\\{0,7}[\"'`]|([^\s\"'`,;()]{1,256}))"
_FROM_TO = Pattern(
    rf"\bfrom[ \t:]{{1,4}}{_VALUE}[ \t]{{1,3}}to[ \t:]{{1,4}}{_VALUE}", re.IGNORECASE
)
_BEFORE = Pattern(rf"[{LETTERS}.\-]{{2,64}}")
_SIDES = "|".join(sorted((side for side in SIDES if "_" not in side), key=len, reverse=True))
_SIDE = rf"[\"']?\b(?:value[_ ]?)?(?:{_SIDES})(?:[_ ]?(?:values?|val|data|text))?[\"']?"
_OLD_NEW = Pattern(
    r"[\"'`]?[ \t]{0,4}[:=]?[ \t]{0,4}[({\[]"
    rf"(?=[ \t]{{0,4}}{_SIDE}[ \t]{{0,4}}[:=])",
    re.IGNORECASE,
)
_OLD = Pattern(rf"{_SIDE}[ \t]{{0,4}}[:=][ \t]{{0,4}}{_VALUE}", re.IGNORECASE)
_MAX_CHANGE = 1024
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_QUOTED_SIDES = Pattern(
    rf"[\"'`]?,?[ \t]{{1,4}}{_SIDE}[ \t]{{1,4}}"
    rf"(?:\\{{0,7}}[\"'`]([^\"'`\\\r\n]{{1,256}})\\{{0,7}}[\"'`])"
    rf"(?:,?[ \t]{{1,4}}{_SIDE}[ \t]{{1,4}}(?:\\{{0,7}}[\"'`]([^\"'`\\\r\n]{{1,256}})))?",
    re.IGNORECASE,
)
"""``password old 'x' new 'y'``."""
_ARROW = r"[ \t]{0,3}(?:[-=]{1,2}>|\u2192|\u21d2|\u27f6|\u279c|[ \t]to[ \t])[ \t]{0,3}"
_BECOMES = Pattern(rf"[ \t]{{0,4}}[(\[][ \t]{{0,4}}{_VALUE}{_ARROW}{_VALUE}")


def changes(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``changed password from 'x' to 'y'``, ``password (old: x, new: y)``."""
    if "from" in text.lower():
        yield from _from_to(text, is_secret)
    done = 0
    for place in places(text, is_secret):
        if place.whole:
            match = _OLD_NEW.match(text, place.end)
            if match is not None:
                most = match.end() + _MAX_CHANGE
                closing = _CLOSING[match.group()[-1]]
                end = text.find(closing, match.end(), most)
                end = end if end >= 0 else min(len(text), most)
                for found in _OLD.finditer(text, max(done, match.end()), end):
                    yield from unless_held(text, *found.span(found.lastindex or 0))
                done = max(done, end)
            yield from _two_values(text, place.end)


def _two_values(text: str, start: int) -> Iterator[Span]:
    match = _QUOTED_SIDES.match(text, start)
    if match is not None:
        for group in (1, 2):
            if match.group(group):
                yield from unless_held(text, *match.span(group))
    match = _BECOMES.match(text, start)
    if match is not None:
        for quoted, bare in ((1, 2), (3, 4)):
            if match.group(quoted) or not is_word(match.group(bare)):
                yield from unless_held(text, *_span(match, quoted, bare))


def _from_to(text: str, is_secret: IsSecret) -> Iterator[Span]:
    for match in _FROM_TO.finditer(text):
        told = _BEFORE.findall(text[max(0, match.start() - 64) : match.start()])[-4:]
        pairs = ["_".join(told[at : at + 2]) for at in range(len(told) - 1)]
        if any(map(is_secret, (*told, *pairs))):
            for quoted, bare in ((1, 2), (3, 4)):
                if match.group(quoted) or not is_word(match.group(bare)):
                    yield from unless_held(text, *_span(match, quoted, bare))


def _span(match: re.Match[str], quoted: int, bare: int) -> Span:
    return match.span(quoted if match.group(quoted) else bare)


_BESIDE = Pattern(
    r"[ \t]{1,3}(?=[^\s0-9]{0,64}[0-9])"
    r"(?=[^\sA-Z!#$%^*+~@]{0,64}[A-Z!#$%^*+~@])(?=[^\sa-z]{0,64}[a-z])"
    r"([^\s\"'`,;:=()<>/\\\[\]{}|]{8,128})(?![^\s,;.!?)])"
)
_SENTENCE = Pattern(
    r"(?:[ \t]{1,3}(?:for|of)[ \t]{1,3}[^\s:=]{1,64})?"
    r"(?:[ \t]{1,3}(?:(?:is|was|has been)[ \t])?(?:changed|set|reset|updated|rotated|now)[ \t]to"
    r"[ \t:]{1,4}"
    r"|[ \t]{1,3}(?:is|was|will be|now|is now|ist|lautet|es|est|\u00e8|\u00e9|jest"
    r"|\u044d\u0442\u043e)[ \t:]{1,4}"
    r"|\u662f[ \t]?"
    rf"|[ \t]{{1,3}}[\-\u2013\u2014][ \t]{{1,3}}){_VALUE}",
    re.IGNORECASE,
)


def sentences(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``Your password is x``, ``Client secret - x``: as far as ``x`` is no word of prose."""
    for place in places(text, is_secret):
        weak = _may_be_prose(place.name)
        if place.whole and not weak:
            match = _BESIDE.match(text, place.end)
            if match is not None:
                yield from unless_held(text, *match.span(1))
        match = _SENTENCE.match(text, place.end)
        if match is None:
            continue
        quoted, bare = match.groups()
        if (quoted and (place.of_two or not weak)) or MARKED.match(quoted or bare.rstrip(_STOPS)):
            start, end = match.span(1 if quoted else 2)
            if not quoted:
                end -= len(bare) - len(bare.rstrip(_STOPS))
            yield from unless_held(text, start, end)


_STOPS = ".,;:!?"
_CODE = Pattern(
    r"[?&](?:code|auth_code|authuser_code|ticket|state_token)=([A-Za-z0-9_\-.~%/+]{8,512})"
)
_ALL_DIGITS = Pattern(r"[0-9]+\Z")


def callbacks(text: str) -> Iterator[Span]:
    """The code that OAuth puts into the URL of a callback (RFC 6749 section 4.1.2)."""
    for match in _CODE.finditer(text):
        if not _ALL_DIGITS.match(match.group(1)):
            yield from unless_held(text, *match.span(1))
