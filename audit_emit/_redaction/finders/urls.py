"""Secrets in URLs: the user information, whole."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._redaction.finders.extent import END, PLACEHOLDER, TAG, Span
from audit_emit._redaction.finders.references import is_reference
from audit_emit._redaction.names import looks_random
from audit_emit._runtime.lazy import Pattern

__all__ = ["suspicious", "users"]

_SIGN = Pattern(r":(?:\\{0,7}/){2}|//(?<![:\w/\\]//)")
_OUTSIDE = Pattern(r"[\s\"'<>`]|\Z")
_WIDE = Pattern(rf"(?:[^\s\"'<>`]|[\"'`>](?!{END})|<(?!{TAG}))*")
"""The same as far as a password reaches that holds such characters: none of them ends anything."""
_SPACE = Pattern(r"\s|\Z")
_PATH = Pattern(r"[/?#]|\Z")
_PORT = Pattern(r"[^:]*:[0-9]{0,5}\\{0,7}\Z")
_MARKS = ("//", "\\/", "@tcp(", "@unix(", "oracle:", "sqlplus", "sip:", "sips:")
_QUOTES = "'\"`"
_MAX_URL = 2048


def suspicious(text: str) -> bool:
    """Whether ``users`` has to look: False only when it would find nothing."""
    return "@" in text and any(mark in text for mark in _MARKS)


def users(text: str) -> Iterator[Span]:
    """``user:password`` before an ``@``, in URLs and as Go has it."""
    if "@" in text:
        for match in _SIP.finditer(text) if "sip" in text else ():
            yield match.span(1)
        for start, end in _urls(text):
            user, _, password = text[start:end].partition(":")
            # Some services take a token as the user, and any password beside it.
            if not is_reference(password) or looks_random(user):
                yield start, end
        if "@tcp(" in text or "@unix(" in text:
            for match in _DSN.finditer(text):
                yield match.span(1)
        if "oracle:" in text or "sqlplus" in text:
            yield from _oracle(text)


_SIP = Pattern(r"\bsips?:([^\s:@/\"'<>;]{1,128}:[^\s@\"'<>;]{1,128})@")
"""A user with a password (RFC 3261, section 19.1.1)."""
_ORACLE = Pattern(
    r"(?:jdbc:oracle:\w{1,16}:|\bsqlplus\s{1,4}(?:-\w{1,8}\s{1,4}){0,4})"
    r"[^\s/@\"']{1,128}/"
)
_ORACLE_END = Pattern(r"[\s@\"']|\Z")
_DSN = Pattern(r"(?<![^\s\"'=])([^\s\"'@:=]{1,128}:[^\s\"']{0,256})@(?:tcp|unix)\(")


def _oracle(text: str) -> Iterator[Span]:
    end = -1
    for match in _ORACLE.finditer(text):
        start = match.end()
        if end < start:
            end = _ORACLE_END.search(text, start).start()  # type: ignore[union-attr]
        if (
            start < end < len(text)
            and text[end] == "@"
            and not PLACEHOLDER.fullmatch(text, start, end)
        ):
            yield start, end


def _urls(text: str) -> Iterator[Span]:
    done = sign = stop = wide = space = -1
    for match in _SIGN.finditer(text):
        start = match.end()
        if start < done:
            continue
        if sign < start and (sign := text.find("@", start)) < 0:
            return
        if sign - start > _MAX_URL:
            continue
        if stop < start:
            stop = _OUTSIDE.search(text, start).start()  # type: ignore[union-attr]
        if wide < start:
            wide = _WIDE.match(text, start).end()  # type: ignore[union-attr]
        if space < start:
            space = _SPACE.search(text, start).start()  # type: ignore[union-attr]
        if sign >= space:
            continue
        head = text[start : min(stop, start + _MAX_URL)]
        end = _userinfo_end(head) if sign < stop else 0
        if space > stop and ":" in head:
            reach = space if _is_login(head) else wide if text[stop] in _QUOTES else stop
            end = max(end, text.rfind("@", stop, min(reach, start + _MAX_URL)) - start)
        if end > 0 and (match.group()[0] == ":" or ":" in text[start : start + end]):
            yield start, start + end
            done = start + end


def _is_login(head: str) -> bool:
    """Whether a URL up to a quote begins with a user and a password, not with host and port."""
    authority = head[: _PATH.search(head).start()]  # type: ignore[union-attr]
    return ":" in authority and (authority[-1] == ":" or not _PORT.match(authority))


def _userinfo_end(segment: str) -> int:
    """How many characters of what follows ``://`` are user information; 0 for none."""
    authority = segment[: _PATH.search(segment).start()]  # type: ignore[union-attr]
    at = authority.rfind("@")
    if at >= 0:
        if ":" not in authority[:at]:
            user = authority[:at]
            return at if at >= 16 and (not user.isalpha() or looks_random(user)) else 0
        # A password may hold an unescaped / and @: the last @ ends it.
        return segment.rfind("@")
    if ":" in authority and not _PORT.match(authority) and "@" in segment:
        return segment.rfind("@")
    return 0
