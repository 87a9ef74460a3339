"""Secrets in a text that are told by what stands before them: a scheme, a name, an option.

All patterns are linear: they start where a run of characters starts, and never look back.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

from audit_emit._lazy import Pattern

__all__ = ["Span", "assignments", "flags", "schemes"]

Span = tuple[int, int]
"""Where a part of a text starts and ends."""

# Authorization schemes.

_CREDENTIAL = Pattern(r"\s{1,8}([^\s\"',;<>]++)")
_NOT_CREDENTIAL = frozenset(
    "token tokens auth authentication authorization scheme is was of or and required must not "
    "missing invalid header headers credential credentials format error expected type method "
    "[redacted]".split()
)


def schemes(text: str) -> Iterator[Span]:
    """``Bearer x``, ``Basic dTpw``: what follows the scheme."""
    lower = text.lower()
    if len(lower) != len(text):
        # A few characters grow when lowered; the places must stay the same.
        lower = text.encode("ascii", "replace").decode().lower()
    for scheme in ("bearer", "basic"):
        at = lower.find(scheme)
        while at >= 0:
            at += len(scheme)
            match = _CREDENTIAL.match(text, at)
            if match is not None and _is_credential(scheme, match.group(1)):
                yield match.span(1)
            at = lower.find(scheme, at)


def _is_credential(scheme: str, word: str) -> bool:
    if scheme == "bearer":
        return word.lower().rstrip(".:!?)") not in _NOT_CREDENTIAL and not word.startswith("realm=")
    if len(word) < 6:
        return False
    try:
        return b":" in binascii.a2b_base64(word[:1024].rstrip("=")[: len(word) // 4 * 4])
    except (binascii.Error, ValueError):
        return False


# Names with values: password=…, "token": "…", api-key: …

_ASSIGN = Pattern(
    r"(?<![\w.\-$\[\]])([\w.\-$\[\]]++)(?:\\{0,7}[\"'])?[ \t\u00a0]{0,8}"
    r"(?::=|=>|==|[=:])[ \t\u00a0]{0,8}(?:[|>][+\-]?[ \t]{0,8}\r?\n[ \t]{1,16})?"
)
_QUOTED = Pattern(r"(?:[bBrRuU]{1,2}(?=[\"']))?(\\{0,7})([\"'])")
_CALL = Pattern(r"[\w.]{0,64}[\[({]")
_BARE = Pattern(
    r"(?:[^\s&;,\"'<\])}]"
    r"|[\])}](?![\s,;\])}\"']|\Z)"
    r"|[&;,](?!\s|[\"'\[{}\])]|[\w.\-%\[\]]{1,64}[\"']?[=:]|\Z)"
    r"|<(?![/!A-Za-z])"
    r"|(?<=\S)[\"'](?=\w))++"
)
_SCHEME = Pattern(
    r"(?:bearer|basic|digest|negotiate|token|apikey|aws4-hmac-sha256)[ \t]+", re.IGNORECASE
)
_LINE = Pattern(r"[^\r\n]*+")
_HELD = Pattern(r"\[redacted\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}(?![0-9a-f])")
_WHOLE_LINE = ("cookie", "authorization")
_ALSO = frozenset(("input_value", "sig", "signature", "x-amz-signature", "x-goog-signature"))


def assignments(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``password=x``, ``"token": "x"``, ``Cookie: a=b``: the value of a secret name."""
    if "=" not in text and ":" not in text:
        return
    done = 0
    for match in _ASSIGN.finditer(text):
        start = match.end()
        name = match.group(1)
        if start >= done and (is_secret(name) or name.lower() in _ALSO):
            before = text[max(0, match.start() - 1) : match.start()]
            start, done = _value(text, start, name.lower(), before)
            if done > start:
                yield start, done


def _value(text: str, start: int, name: str, before: str) -> Span:
    """What stands at ``start`` as the value of ``name``; empty when it is held back already.

    ``before`` is the character before the name: a quote there ends the value, too.
    """
    quote = _QUOTED.match(text, start)
    if quote is not None:
        start = quote.end()
        end = _closing(text, start, quote)
    else:
        end = _bare_end(text, start, name, before)
    held = _HELD.match(text, start)
    return (start, start) if held is not None and held.end() >= end else (start, end)


def _bare_end(text: str, start: int, name: str, before: str) -> int:
    if held := _HELD.match(text, start):
        return held.end()
    if name.endswith(_WHOLE_LINE):
        end = _LINE.match(text, start).end()  # type: ignore[union-attr]
        quote = text.find(before, start, end) if before in ("'", '"') else -1
        return quote if quote >= 0 else end
    if call := _CALL.match(text, start):
        return _bracket_end(text, call.end() - 1)
    scheme = _SCHEME.match(text, start)
    bare = _BARE.match(text, scheme.end() if scheme is not None else start)
    return bare.end() if bare is not None else start


def _closing(text: str, start: int, quote: re.Match[str]) -> int:
    """Where a quoted value ends: at the same quote escaped as often, else at the end.

    Each level of quoting doubles the backslashes and adds one, so an inner quote has more.
    """
    level = len(quote.group(1))
    at = text.find(quote.group(2), start)
    while at >= 0:
        before = text[max(start, at - 64) : at]
        slashes = len(before) - len(before.rstrip("\\"))
        if slashes < level or slashes % (2 * level + 2) == level:
            return at - min(slashes, level)
        at = text.find(quote.group(2), at + 1)
    return len(text)


_BRACKET = Pattern(r"[\[\](){}]")


def _bracket_end(text: str, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(text, start):
        depth += 1 if match.group() in "[({" else -1
        if depth <= 0:
            return match.end()
    return len(text)


_FLAG = Pattern(
    r"(?<![\w\-])--?([A-Za-z][\w\-]{1,63}+)(?:[ \t]{1,4}|[\"'],[ \t]{0,4})(?!-)(?![\"']-)"
)
_ELEMENT = Pattern(r"<(?:\w{1,32}:)?([\w.\-]{1,128}+)(?:\s[^<>]{0,256})?>([^<]++)")


_USER = Pattern(r"(?<![\w\-])(?:-u|--user)[ \t=]{0,4}[\"']?[^\s:\"']{0,256}+:([^\s\"']++)")


def flags(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """Command lines and markup: ``--password x``, ``<password>x</password>``."""
    if "--" in text:
        for match in _FLAG.finditer(text):
            start, end = _value(text, match.end(), "", "") if is_secret(match.group(1)) else (0, 0)
            if end > start:
                yield start, end
    if "-u" in text:
        for match in _USER.finditer(text):
            if not _HELD.fullmatch(match.group(1)):
                yield match.span(1)
    if "<" in text:
        for match in _ELEMENT.finditer(text):
            if is_secret(match.group(1)) and not _HELD.fullmatch(match.group(2)):
                yield match.span(2)
