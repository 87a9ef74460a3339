"""Old and new value of what has the name of a secret, as prose and reports have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.assignments import ARROWS, LETTERS
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import Place, places
from audit_emit._redaction.finders.words_of_prose import (
    MARKED,
    STRONG,
    is_fact,
    is_word,
    unless_held,
)
from audit_emit._redaction.names import is_weak
from audit_emit._redaction.words import SIDES
from audit_emit._runtime.lazy import Pattern

__all__ = ["changes"]

IsSecret = Callable[[str], bool]

_QUOTED = r"\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})\\{0,7}[\"'`]"
_ARROW = rf"(?:[\-=~]{{1,3}}>|[{ARROWS}\u2b62\u00bb])"
_VALUE = rf"(?:{_QUOTED}|((?:(?!{_ARROW})[^\s\"'`,;()\[\]]){{1,256}}))"
_FROM_TO = Pattern(
    rf"\bfrom[ \t:]{{1,4}}[\[(<]?{_VALUE}[\])>]?[ \t]{{1,3}}(?:in)?to[ \t:]{{1,4}}[\[(<]?{_VALUE}",
    re.IGNORECASE,
)
_BEFORE = Pattern(rf"[{LETTERS}.\-]{{2,64}}")
_SIDES = "|".join(
    sorted(
        (*(side for side in SIDES if "_" not in side), "previously", "formerly", "originally"),
        key=len,
        reverse=True,
    )
)
_SIDE = rf"[\"']?\b(?:value[_ ]?)?(?:{_SIDES})(?:[_ ]?(?:values?|val|data|text))?[\"']?"
_OLD_NEW = Pattern(
    r"[\"'`]?[ \t]{0,4}[:=]?[ \t]{0,4}[({\[]"
    rf"(?=[ \t]{{0,4}}{_SIDE}[ \t]{{0,4}}[:=])",
    re.IGNORECASE,
)
_OLD = Pattern(rf"{_SIDE}[ \t]{{0,4}}[:=][ \t]{{0,4}}{_VALUE}", re.IGNORECASE)
_MAX_CHANGE = 1024
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_VERB = (
    r"(?:(?:has been|was|were|is|got)[ \t]{1,2})?"
    r"(?:changed?|updated?|modified|set|reset|rotated?|renewed|replaced|altered|edited)"
)
_LEAD = Pattern(
    r"[\"'`\])]{0,2}(?:[ \t]{0,3}[:,(=]){0,2}[ \t]{0,3}"
    rf"(?:{_VERB}\b[ \t]{{0,2}}[:,(=]?[ \t]{{0,3}})?",
    re.IGNORECASE,
)
"""What may stand between a name and its first value: a sign, a bracket, what happened to it."""
_SIDED = Pattern(
    rf"(?:(?:and|but)[ \t]{{1,2}})?({_SIDE})"
    rf"(?P<sign>[ \t]{{0,2}}[:=][ \t]{{0,2}}|[ \t]{{1,3}}){_VALUE}"
    r"[\"'`]?[ \t]{0,3}[,;)]?[ \t]{0,3}",
    re.IGNORECASE,
)
"""A value with its side before it: ``was x``, ``old value = "x"``."""
_THEN_SIDED = Pattern(
    rf"{_VALUE}[\"'`]?(?:[ \t]{{0,3}}[,;(][ \t]{{0,3}}|[ \t]{{1,3}})(?={_SIDE}[ \t:=])",
    re.IGNORECASE,
)
_LABELLED = Pattern(
    rf"{_VALUE}[ \t]{{0,3}}\([ \t]{{0,2}}{_SIDE}[ \t]{{0,2}}\)[,;]?[ \t]{{0,3}}", re.IGNORECASE
)
"""A value with its side behind it: ``x (old)``."""
_BECOMES = Pattern(
    rf"{_VALUE}[ \t]{{0,3}}(?:{_ARROW}|[ \t]to[ \t]|\b(?:with|by|for|becomes)\b)"
    rf"[ \t]{{0,3}}{_VALUE}"
)
_SET_BEFORE = Pattern(
    r"\b(?:set|reset|chang\w{1,3}|updat\w{1,3}|rotat\w{1,3}|renew\w{0,3})[ \t]{1,2}"
    r"(?:(?:the|a|an|your|his|her|their|my|our|new|user|admin|root)[ \t]{1,2}){0,2}\Z",
    re.IGNORECASE,
)
_TO = Pattern(rf"[ \t]{{1,3}}(?:to|as)[ \t:]{{1,3}}{_VALUE}", re.IGNORECASE)
_LOOK_BACK = 48
_MAX_SIDES = 6


def changes(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``changed password from 'x' to 'y'``, ``password (old: x, new: y)``, ``password: was x``."""
    if "from" in text.lower():
        yield from _from_to(text, is_secret)
    done = 0
    for place in places(text, is_secret):
        if place.end < done:
            continue
        match = _OLD_NEW.match(text, place.end) if place.whole else None
        if match is not None:
            most = match.end() + _MAX_CHANGE
            closing = _CLOSING[match.group()[-1]]
            end = text.find(closing, match.end(), most)
            end = end if end >= 0 else min(len(text), most)
            for found in _OLD.finditer(text, max(done, match.end()), end):
                yield from unless_held(text, *found.span(found.lastindex or 0))
            done = end
            continue
        for span in _after(text, place):
            done = max(done, span[1])
            yield from unless_held(text, *span)


def _after(text: str, place: Place) -> Iterator[Span]:
    """The values behind the name of a secret."""
    lead = _LEAD.match(text, place.end)
    at = lead.end() if lead is not None else place.end
    if at == place.end:
        return
    weak = place.weak and not place.of_two
    first = _THEN_SIDED.match(text, at)
    if first is not None and _is_value(first, sign="", weak=weak):
        yield _span(first, 1, 2)
        at = first.end()
    for _ in range(_MAX_SIDES):
        found = _sided(text, at, weak=weak)
        if found is None:
            break
        span, at = found
        if span is not None:
            yield span
    match = _BECOMES.match(text, at)
    if match is not None and not _is_prose(match, weak=weak):
        for quoted, bare in ((1, 2), (3, 4)):
            if match.group(quoted) or not is_word(match.group(bare)):
                yield _span(match, quoted, bare)
    match = _TO.match(text, place.end)
    if match is not None and MARKED.match(match.group(1) or match.group(2)):
        start = place.end - len(place.name)
        if _SET_BEFORE.search(text[max(0, start - _LOOK_BACK) : start]) is not None:
            yield _span(match, 1, 2)


def _sided(text: str, at: int, *, weak: bool) -> tuple[Span | None, int] | None:
    """A value with its side before or behind it, as far as it is one, and where that ends."""
    match = _SIDED.match(text, at)
    if match is not None:
        is_value = _is_value(match, sign=match.group("sign").strip(), weak=weak, group=3)
        return _span(match, 3, 4) if is_value else None, match.end()
    match = _LABELLED.match(text, at)
    if match is None:
        return None
    return _span(match, 1, 2) if _is_value(match, sign="=", weak=weak) else None, match.end()


def _is_value(match: re.Match[str], *, sign: str, weak: bool, group: int = 1) -> bool:
    """Whether what stands beside ``was``, ``old`` and their like is a value, and no prose."""
    if match.group(group):
        return True
    value = match.group(group + 1)
    if is_word(value) or (is_fact(value) and not sign):
        return False
    return (STRONG if weak and not sign else MARKED).match(value) is not None or sign != ""


def _is_prose(match: re.Match[str], *, weak: bool) -> bool:
    """Whether neither of two values is more than a word, a number, an id."""
    values = [match.group(1) or match.group(2), match.group(3) or match.group(4)]
    if match.group(1) or match.group(3):
        return False
    wanted = MARKED if weak else STRONG
    arrow = match.group()[len(values[0]) :].lstrip(" \t")[:1] not in "twbf"
    if arrow and not weak:
        return all(is_word(value) or is_fact(value) for value in values)
    return not any(wanted.match(value) and not is_fact(value) for value in values)


def _from_to(text: str, is_secret: IsSecret) -> Iterator[Span]:
    for match in _FROM_TO.finditer(text):
        before = _BEFORE.findall(text[max(0, match.start() - 64) : match.start()])[-4:]
        pairs = ["_".join(before[at : at + 2]) for at in range(len(before) - 1)]
        names = [name for name in (*before, *pairs) if is_secret(name)]
        if names:
            weak = all(is_weak(name) for name in names)
            for quoted, bare in ((1, 2), (3, 4)):
                value = match.group(bare)
                if match.group(quoted) or not (is_word(value) or (weak and is_fact(value))):
                    yield from unless_held(text, *_span(match, quoted, bare))


def _span(match: re.Match[str], quoted: int, bare: int) -> Span:
    return match.span(quoted if match.group(quoted) else bare)
