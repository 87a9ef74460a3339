"""Names with their values in a text: ``password=…``, ``"token": "…"``, ``api-key: …``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._fields.beside import Beside
from audit_emit._fields.extent import HELD, Span, value_of
from audit_emit._fields.keys import NAME_NAMES, TYPE_NAMES, VALUE_NAMES
from audit_emit._lazy import Pattern

__all__ = ["assignments"]

_ASSIGN = Pattern(
    r"(?<![\w.\-$\[\]%])([\w.\-$\[\]%]+)(?:\\{0,7}[\"'`])?[ \t\u00a0]{0,8}"
    r"(?:::(?=[ \t])|:=|=>|==|[=:])[ \t\u00a0]{0,8}"
    r"(?:[|>][+\-0-9]{0,2}[ \t]{0,8}\r?\n(?P<block>[ \t]{1,16})"
    r"|\r?\n(?P<list>[ \t]{0,16})-[ \t]{1,8}(?!-)|[&!][\w!]{1,32}[ \t]{1,8}(?=\S))?"
)
_BESIDE = NAME_NAMES | VALUE_NAMES | TYPE_NAMES
_ALSO = frozenset(("input_value", "sig", "signature", "x-amz-signature", "x-goog-signature"))


def assignments(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``password=x``, ``"token": "x"``, ``Cookie: a=b``: the value of a secret name."""
    if "=" not in text and ":" not in text:
        return
    done = 0
    beside = Beside(text, is_secret)
    for match in _ASSIGN.finditer(text):
        if match.end() < done:
            continue
        name = match.group(1)
        lower = name.lower()
        if is_secret(name) or lower in _ALSO:
            start, done = _block(text, match) or value_of(text, match, lower)
            if done > start:
                yield start, done
        elif lower == "netloc":
            start, end = value_of(text, match, lower)
            sign = text.rfind("@", start, end)
            if sign > start and not HELD.fullmatch(text, start, sign):
                yield start, sign
        elif lower in _BESIDE:
            for start, end in beside.spans(match, lower):
                done = max(done, end)
                yield start, end


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
