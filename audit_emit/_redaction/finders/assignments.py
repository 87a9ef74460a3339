"""Names with their values in a text: ``password=…``, ``"token": "…"``, ``api-key: …``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import HELD, QUOTED, Span, value, value_of
from audit_emit._redaction.finders.name_value import Beside
from audit_emit._redaction.finders.prose import annotation_end, is_plain
from audit_emit._redaction.names import fold, is_vendor_key
from audit_emit._redaction.words import NAME_NAMES, TYPE_NAMES, VALUE_NAMES
from audit_emit._runtime.lazy import Pattern

__all__ = ["LETTERS", "assignments"]

IsSecret = Callable[[str], bool]

LETTERS = r"\w\u0300-\u036f\u0610-\u065f\u0900-\u0dff\u0e00-\u0eff\u200c\u200d"
"""Letters, digits and the marks that belong to letters in the alphabets of India and others."""
_ASSIGN = Pattern(
    rf"(?<![{LETTERS}.\-$\[\]%])([{LETTERS}.\-$\[\]%]+)(?:\\{{0,7}}[\"'`])?\]{{0,2}}"
    r"([ \t\u00a0]{0,8}"
    r"(?:::(?=[ \t])|[?+|:]{0,2}={1,3}[>~]?|->|<-|[:\u2192\u21d2])[ \t\u00a0]{0,8})"
    r"(?:[|>][+\-0-9]{0,2}[ \t]{0,8}\r?\n(?P<block>[ \t]{1,16})"
    r"|\r?\n(?P<list>[ \t]{0,16})-[ \t]{1,8}(?!-)"
    r"|\r?\n[ \t]{0,16}(?=[^\s:=\-{\[#][^\s:=]{3,128}[ \t]{0,8}(?:\r?\n|\Z))"
    r"|[&!][\w!]{1,32}[ \t]{1,8}(?=\S))?"
)
_WORDS_BEFORE = Pattern(rf"(?:[{LETTERS}\-]{{1,32}}[ \t]{{1,3}}){{1,4}}\Z")
_FOR = Pattern(
    rf"([{LETTERS}\-]{{2,32}}(?:[ \t][{LETTERS}\-]{{2,32}})?)[ \t]{{1,3}}(?:for|of|f\u00fcr|von|de)"
    r"[ \t]{1,3}[^\s:=]{0,64}\Z"
)
_IS = Pattern(r"\A(?:is|was|lautet|ist|es|est)\Z")
_TYPE_WORDS = frozenset(("string", "str", "text", "varchar", "bytes", "char"))
_BEFORE = 80
_ALSO = frozenset(("inputvalue", "sig", "signature", "xamzsignature", "xgoogsignature"))
_BESIDE = NAME_NAMES | VALUE_NAMES | TYPE_NAMES
_THEN = Pattern(r"[\"'`]?[ \t]{0,4}(?:->|=>|\u2192|\u21d2|\u279c|\bto\b)[ \t]{0,4}")
_KEY_VALUE = Pattern(r"[\"'`]?([A-Za-z0-9+/_\-]{16,256}={0,2})(?![A-Za-z0-9+/_\-])")
_ARN = Pattern(r"arn:[\w\-]{1,24}:[^\s\"'<>]{1,512}")


def assignments(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``password=x``, ``"token": "x"``, ``Cookie: a=b``: the value of a secret name."""
    done = 0
    beside = Beside(text, is_secret)
    objects = [match.span() for match in _ARN.finditer(text)] if "arn:" in text else []
    for match in _ASSIGN.finditer(text):
        if match.end() < done or any(a <= match.start() < b for a, b in objects):
            continue
        name = match.group(1)
        lower = name.lower()
        named = is_secret(name) or fold(name) in _ALSO
        if named or _is_of_words(text, match, is_secret):
            spans = list(_values(text, match, lower, of_words=not named))
            done = max([done, *(end for _, end in spans)])
            yield from spans
        elif lower == "netloc":
            start, end = value_of(text, match, lower)
            sign = text.rfind("@", start, end)
            if sign > start and not HELD.fullmatch(text, start, sign):
                yield start, sign
        elif fold(name) in _BESIDE:
            for start, end in beside.spans(match, fold(name)):
                done = max(done, end)
                yield start, end
        elif lower.endswith("key"):
            found = _KEY_VALUE.match(text, match.end())
            if found is not None and is_vendor_key(name, found.group(1)):
                done = found.end()
                yield found.span(1)


def _is_of_words(text: str, match: re.Match[str], is_secret: IsSecret) -> bool:
    """Whether a name of several words ends here: ``API key:``, ``Password for u-17:``."""
    sign = match.group(2).strip()
    if (
        match.group(2) == ":"
        or not (sign[:1] in ":=\u2192" or sign == "->")
        or match.group(0)[len(match.group(1))] in "\"'`"
    ):
        return False
    before = text[max(0, match.start() - _BEFORE) : match.start()]
    words = _WORDS_BEFORE.search(before)
    if words is None:
        return False
    name = match.group(1)
    if sign[-1:] == "=":
        last = words.group().split()[-1]
        return name.lower() in _TYPE_WORDS and is_secret(last)
    if _IS.match(name.lower()):
        return is_secret("_".join(words.group().split()[-2:])) or is_secret(
            words.group().split()[-1]
        )
    told = words.group().split()[-2:]
    if any(is_secret("_".join((*told[at:], name))) for at in range(len(told))):
        return True
    of = _FOR.search(before + name)
    return of is not None and (
        is_secret(of.group(1).replace(" ", "_")) or is_secret(of.group(1).split()[-1])
    )


def _values(text: str, match: re.Match[str], lower: str, *, of_words: bool) -> Iterator[Span]:
    """The value of a secret name, and what it becomes: ``"x" -> "y"``."""
    block = _block(text, match)
    if block is not None:
        if block[1] > block[0]:
            yield block
        return
    before = text[max(0, match.start() - 1) : match.start()]
    start, end = value(text, annotation_end(text, match.end()), lower, before)
    quoted = QUOTED.match(text, match.end()) is not None or "\n" in match.group(0)
    plain = not quoted and is_plain(text, (start, end), lower, match.group(2))
    if of_words and not quoted:
        end = start + len(text[start:end].rstrip(".,;:!?"))
    if end > start and not plain and not _is_nothing(text[start:end]):
        yield start, end
    if plain and match.group(2).strip() == ":" and _THEN.match(text, end) is None:
        return
    then = _THEN.match(text, end)
    if then is not None and end > start:
        second = value(text, then.end(), lower, before)
        if second[1] > second[0] and not is_plain(text, second, lower, ": "):
            yield second


def _is_nothing(word: str) -> bool:
    return word in ("true", "false", "null", "None", "True", "False", "0", "1", "***", "****")


def _block(text: str, match: re.Match[str]) -> Span | None:
    """The lines of a block of YAML, or of a list, that is the value of a name."""
    indent, outer = match.group("block", "list")
    if indent is None and outer is None:
        return None
    indents = (f"{outer}-", f"{outer} ") if indent is None else (indent, "\n")
    start = end = match.end()
    while True:
        newline = text.find("\n", end)
        line = text[start : newline if newline >= 0 else len(text)]
        if newline < 0 or not text.startswith((*indents, "\n", "\r\n"), newline + 1):
            break
        end = newline + 1
    end = start + len(line.rstrip())
    return (start, start) if HELD.fullmatch(text, start, end) else (start, end)
