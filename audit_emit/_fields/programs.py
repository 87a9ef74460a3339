"""Command lines: options with secret names, and what some programs take without naming it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._fields.extent import HELD, Span, value
from audit_emit._lazy import Pattern

__all__ = ["flags", "programs"]

_FLAG = Pattern(
    r"(?<![\w\-])--?([A-Za-z][\w\-]{1,63}+)(?:[ \t]{1,4}|[\"'],[ \t]{0,4})(?!-)(?![\"']-)"
)
_USER = Pattern(
    r"(?<![\w\-])(?:-u|--user)(?:[\"'],)?[ \t=]{0,4}[\"']?[^\s:\"']{0,256}+:([^\s\"']++)"
)


def flags(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``--password x``, ``curl -u name:x``."""
    if "--" in text:
        for match in _FLAG.finditer(text):
            start, end = value(text, match.end(), "", "") if is_secret(match.group(1)) else (0, 0)
            if end > start:
                yield start, end
    if "-u" in text:
        for match in _USER.finditer(text):
            yield from _unless_held(match, 1)


_NETRC = Pattern(r"\blogin\s{1,8}\S{1,128}+\s{1,8}password\s{1,8}(\S++)")
_SHORT_OPTION = Pattern(
    r"\b(?:mysql|mariadb)[\w\-]{0,32}(?:\s{1,4}[^\s|;&]{1,128}+){0,16}?\s{1,4}-p([^\s\"'|;&]++)"
    r"|\bsshpass\s{1,4}-p\s{0,4}(\S++)"
)


def programs(text: str) -> Iterator[Span]:
    """What some programs take without naming it: ``mysql -px``, ``sshpass -p x``, netrc."""
    if " -p" in text:
        for match in _SHORT_OPTION.finditer(text):
            yield from _unless_held(match, match.lastindex or 0)
    if "login" in text and "password" in text:
        for match in _NETRC.finditer(text):
            yield from _unless_held(match, 1)


def _unless_held(match: re.Match[str], group: int) -> Iterator[Span]:
    if not HELD.fullmatch(match.group(group)):
        yield match.span(group)
