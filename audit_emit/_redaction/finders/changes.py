"""Old and new value of what has the name of a secret, as prose and reports have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from audit_emit._redaction.finders.assignments import ARROWS, LETTERS
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import Place, places
from audit_emit._redaction.finders.prose import is_permission
from audit_emit._redaction.finders.words_of_prose import (
    MARKED,
    STRONG,
    is_fact,
    is_word,
    unless_redacted,
)
from audit_emit._redaction.names import is_weak
from audit_emit._redaction.words import SIDES
from audit_emit._runtime.lazy import Pattern

__all__ = ["changes"]

IsSecret = Callable[[str], bool]


class Value(NamedTuple):
    """A value in a text.

    Attributes:
        start: where it begins, and ``end``: without its quotes.
        after: where the text goes on.
        quoted: whether it stands in quotes.
        said: the value.
    """

    start: int
    end: int
    after: int
    quoted: bool
    said: str


class Values:
    """The values of a text, each found in time that does not depend on its length.

    Names of secrets may follow each other in one long word (``key={key={key={``), of which each
    has all of the rest for its value: where the word ends is looked for once.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = self._end = 0
        self._known: tuple[int, Value | None] = (-1, None)
        self.sided: dict[tuple[int, bool], tuple[Span | None, int] | None] = {}
        """What ``_sided`` found: several names may stand before one side."""

    def at(self, at: int) -> Value | None:
        """The value that begins there."""
        if self._known[0] != at:
            self._known = at, self._found(at)
        return self._known[1]

    def _found(self, at: int) -> Value | None:
        text = self._text
        match = _IN_QUOTES.match(text, at)
        if match is not None:
            return Value(*match.span(1), match.end(), True, match.group(1))
        if not self._start <= at < self._end:
            match = _WORD.match(text, at)
            if match is None:
                return None
            self._start, self._end = match.span()
        end = min(self._end, at + _MAX_VALUE)
        return Value(at, end, end, False, text[at:end])


_QUOTED = r"\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})\\{0,7}[\"'`]"
_ARROW = rf"(?:[\-=~]{{1,3}}>|[{ARROWS}\u2b62\u00bb])"
_MAX_VALUE = 256
_BARE = rf"(?:(?!{_ARROW})[^\s\"'`,;()\[\]])"
_VALUE = rf"(?:{_QUOTED}|({_BARE}{{1,{_MAX_VALUE}}}))"
_IN_QUOTES = Pattern(_QUOTED)
_WORD = Pattern(f"{_BARE}+")
_FROM_TO = Pattern(
    rf"\bfrom[ \t:]{{1,4}}[\[(<]?(?:\"\"|''|{_VALUE})[\])>]?[ \t]{{1,3}}(?:in)?to[ \t:]{{1,4}}"
    rf"[\[(<]?{_VALUE}",
    re.IGNORECASE,
)
_ELSEWHERE = ("von ", "de ", "van ", "da ")
_FROM_TO_ELSEWHERE = Pattern(
    rf"\b(?:von|de|van|da)[ \t]{{1,2}}{_QUOTED}[ \t]{{1,2}}(?:zu|auf|in|\u00e0|a|para|naar)"
    rf"[ \t]{{1,2}}{_QUOTED}",
    re.IGNORECASE,
)
"""The same in other languages, with quotes around the values."""
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
    r"[\"'`\])]{0,2}(?:[ \t]{0,3}[:,(=\[]){0,2}[ \t]{0,3}"
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
    rf"[\"'`]?(?:[ \t]{{0,3}}[,;(][ \t]{{0,3}}|[ \t]{{1,3}})(?={_SIDE}[ \t:=])", re.IGNORECASE
)
"""Behind a value: the side of another one."""
_LABELLED = Pattern(
    rf"[ \t]{{0,3}}\([ \t]{{0,2}}{_SIDE}[ \t]{{0,2}}\)[,;]?[ \t]{{0,3}}", re.IGNORECASE
)
"""Behind a value: its side, ``x (old)``."""
_BECOMES = Pattern(
    rf"[ \t]{{0,3}}(?:{_ARROW}|[ \t]to[ \t]|\b(?:with|by|for|becomes)\b)[ \t]{{0,3}}"
)
"""Between two values."""
_SET_BEFORE = Pattern(
    r"\b(?:set|reset|chang\w{1,3}|updat\w{1,3}|rotat\w{1,3}|renew\w{0,3})[ \t]{1,2}"
    r"(?:(?:the|a|an|your|his|her|their|my|our|new|user|admin|root)[ \t]{1,2}){0,2}\Z",
    re.IGNORECASE,
)
_TO = Pattern(
    # Whose it is may come before: ``set the password for the user bob to x``.
    r"([ \t]{1,3}(?:for|of|on|at|in)(?:[ \t]{1,3}[^\s,;:=]{1,64}){1,3}?)?"
    rf"[ \t]{{1,3}}(?:to|as)[ \t:]{{1,3}}{_VALUE}",
    re.IGNORECASE,
)
_GIVEN_BY = ("with", "by", "for")
_LOOK_BACK = 48
_MAX_SIDES = 6


def changes(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``changed password from 'x' to 'y'``, ``password (old: x, new: y)``, ``password: was x``."""
    yield from _from_to(text, is_secret)
    done, values = 0, Values(text)
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
                yield from unless_redacted(text, *found.span(found.lastindex or 0))
            done = end
            continue
        for span in _after(text, place, values):
            done = max(done, span[1])
            yield from unless_redacted(text, *span)


def _after(text: str, place: Place, values: Values) -> Iterator[Span]:
    """The values behind the name of a secret."""
    lead = _LEAD.match(text, place.end)
    at = lead.end() if lead is not None else place.end
    if at == place.end:
        return
    weak = place.weak and not place.of_two
    value = values.at(at)
    then = _THEN_SIDED.match(text, value.after) if value is not None else None
    if value is not None and then is not None and _is_value(value, sign="", weak=weak):
        yield value[:2]
        at = then.end()
    for _ in range(_MAX_SIDES):
        key = at, weak
        if key not in values.sided:
            values.sided[key] = _sided(text, at, values, weak=weak)
        found = values.sided[key]
        if found is None:
            break
        span, at = found
        if span is not None:
            yield span
    old = values.at(at)
    between = _BECOMES.match(text, old.after) if old is not None else None
    new = values.at(between.end()) if between is not None else None
    if old and between and new and not _is_prose(old, between.group(), new, weak=weak):
        yield from (one[:2] for one in (old, new) if one.quoted or not is_word(one.said))
    match = _TO.match(text, place.end)
    if match is not None and _is_set(text, place, match):
        yield _span(match, 2, 3)


def _is_set(text: str, place: Place, match: re.Match[str]) -> bool:
    """Whether ``set`` is before a name, and a value behind it that is no word."""
    value = match.group(2) or match.group(3)
    looks = STRONG if place.weak and match.group(1) else MARKED
    start = place.end - len(place.name)
    before = [text[max(0, start - _LOOK_BACK) : start]]
    if place.of_two:
        before.append(before[0].rstrip(" \t").rpartition(" ")[0] + " ")
    return looks.match(value) is not None and any(map(_SET_BEFORE.search, before))


def _sided(text: str, at: int, values: Values, *, weak: bool) -> tuple[Span | None, int] | None:
    """A value with its side before or behind it, as far as it is one, and where that ends."""
    match = _SIDED.match(text, at)
    if match is not None:
        said = match.group(3) or match.group(4)
        value = Value(*_span(match, 3, 4), match.end(), match.group(3) is not None, said)
        is_value = _is_value(value, sign=match.group("sign").strip(), weak=weak)
        return value[:2] if is_value else None, match.end()
    found = values.at(at)
    label = _LABELLED.match(text, found.after) if found is not None else None
    if found is None or label is None:
        return None
    return found[:2] if _is_value(found, sign="=", weak=weak) else None, label.end()


def _is_value(value: Value, *, sign: str, weak: bool) -> bool:
    """Whether what stands beside ``was``, ``old`` and their like is a value, and no prose."""
    if value.quoted:
        return True
    said = value.said
    if is_word(said) or (is_fact(said) and not sign):
        return False
    return (STRONG if weak and not sign else MARKED).match(said) is not None or sign != ""


def _is_prose(old: Value, between: str, new: Value, *, weak: bool) -> bool:
    """Whether neither of two values is more than a word, a number, an id."""
    values = [old.said, new.said]
    if weak and (is_permission(old.said) or (between.strip() in _GIVEN_BY and is_word(old.said))):
        return True
    if old.quoted or new.quoted:
        return False
    wanted = MARKED if weak else STRONG
    arrow = between.lstrip(" \t")[:1] not in "twbf"
    if arrow and not weak:
        return all(is_word(value) or is_fact(value) for value in values)
    return not any(wanted.match(value) and not is_fact(value) for value in values)


def _from_to(text: str, is_secret: IsSecret) -> Iterator[Span]:
    found = [*_FROM_TO.finditer(text)] if "from" in text.lower() else []
    if any(word in text for word in _ELSEWHERE):
        found += _FROM_TO_ELSEWHERE.finditer(text)
    for match in found:
        before = _BEFORE.findall(text[max(0, match.start() - 64) : match.start()])[-4:]
        several = [
            "_".join(before[at : at + n]) for n in (2, 3) for at in range(len(before) - n + 1)
        ]
        names = [name for name in (*before, *several) if is_secret(name)]
        if names:
            weak = all(is_weak(name) for name in names)
            for at, value in enumerate(match.groups(), 1):
                quoted = match.re.groups == 2 or at % 2 == 1
                if value and (quoted or not (is_word(value) or (weak and is_fact(value)))):
                    yield from unless_redacted(text, *match.span(at))


def _span(match: re.Match[str], quoted: int, bare: int) -> Span:
    return match.span(quoted if match.group(quoted) else bare)
