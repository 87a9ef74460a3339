"""Secrets in a text that are told by what stands before them: a scheme, a name, an option.

All patterns are linear: they start where a run of characters starts, and never look back.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

from audit_emit._fields.keys import NAME_NAMES, VALUE_NAMES
from audit_emit._lazy import Pattern

__all__ = ["END", "TAG", "Span", "assignments", "flags", "pairs", "programs", "schemes"]

Span = tuple[int, int]
"""Where a part of a text starts and ends."""

# Authorization schemes.

_CREDENTIAL = Pattern(r"\s{1,8}([^\s\"',;<>]++)")
_BASE64 = Pattern(r"[A-Za-z0-9+/_\-]{4,1024}")
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
    match = _BASE64.match(word)
    return match is not None and _is_login(match.group())


def _is_login(word: str) -> bool:
    """Whether base64, of either alphabet and with or without its padding, is ``user:password``."""
    word = word.replace("-", "+").replace("_", "/")
    if len(word) % 4 == 1:
        word = word[:-1]
    data = binascii.a2b_base64(word + "=" * (-len(word) % 4))
    user, colon, password = data.partition(b":")
    # A word of prose may decode to a colon and junk; a name is text, and without one all of it is.
    if not colon or (not user and len(password) < 8):
        return False
    try:
        shown = (user or password).decode()
    except UnicodeDecodeError:
        return False
    return shown.isprintable()


# Names with values: password=…, "token": "…", api-key: …

TAG = r"(?:/?[A-Za-z][\w:.\-]{0,64}+(?:\s[^<>]{0,256}+)?/?>|!--|!\[)"
"""What follows the ``<`` of markup, as against that of a password."""

END = (
    r"[\])}]{0,8}+(?:\\{0,7}[\"'`])?+[\])}]{0,8}+"
    rf"(?:[\s,;&]|\\{{1,7}}[nrtu\"'`,;)\]}}]|(?<=[\"'])>|>(?!\w)|/>|[.:!?](?:\s|\Z)|<{TAG}|\Z)"
)
"""What follows a quote or a bracket that ends something, as against one in a password."""

_ASSIGN = Pattern(
    r"(?<![\w.\-$\[\]%])([\w.\-$\[\]%]++)(?:\\{0,7}[\"'`])?[ \t\u00a0]{0,8}"
    r"(?:::(?=[ \t])|:=|=>|==|[=:])[ \t\u00a0]{0,8}(?:[|>][+\-]?[ \t]{0,8}\r?\n[ \t]{1,16})?"
)
_QUOTED = Pattern(r"(?:[bBrRuU]{1,2}(?=[\"']))?(\\{0,7})([\"'])")
_CALL = Pattern(r"\$?[\w.]{0,64}[\[({]")
_BARE_TEXT = (
    r"(?:[^\s&;,\"'<\])}\\]"
    rf"|\\(?!\\{{0,6}}[\"']{END})"
    rf"|[\])}}](?!{END})"
    rf"|&(?!\s|[\w.\-%\[\]]{{1,64}}+[\"']?[=:]|{END})"
    r"|[;,](?!\s|\\{0,7}[\"'][^\"'\r\n]{0,64}+[\"']|[\[{}\])]|[\w.\-%\[\]]{1,64}+[\"']?[=:]|\Z)"
    rf"|<(?!{TAG})"
    rf"|(?<=\S)[\"'](?!{END}))++"
)
_BARE = Pattern(_BARE_TEXT)
_TAIL = Pattern(rf"(?![\s,;&)\]}}>|\\]|{END}){_BARE_TEXT}")
"""What stands behind a quote or bracket that did not end the value."""
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
    beside = _Beside(text, is_secret)
    for match in _ASSIGN.finditer(text):
        if match.end() < done:
            continue
        name = match.group(1)
        if "%" in name:
            name = _ENCODED.sub(lambda found: chr(int(found.group()[1:], 16)), name)
        lower = name.lower()
        if is_secret(name) or lower in _ALSO:
            start, done = _value_of(text, match, lower)
            if done > start:
                yield start, done
        elif lower in NAME_NAMES or lower in VALUE_NAMES:
            for start, end in beside.spans(match, lower):
                done = max(done, end)
                yield start, end


_ENCODED = Pattern("%[0-9a-fA-F]{2}")
_ELSEWHERE = Pattern(r"[{}<>]|\n[ \t]*(?:-|\r?\n)")
_NAME = Pattern(r"[bBrRuU]{0,2}\\{0,7}[\"']([^\"'\\\r\n]{1,256}+)|([\w.\-/$\[\]]{1,256}+)")
_MAX_BESIDE = 8
_MAX_LOOKED = 512


class _Beside:
    """``"name": "password", "value": "x"``, in either order, in one object, element or item."""

    def __init__(self, text: str, is_secret: Callable[[str], bool]) -> None:
        self._text = text
        self._is_secret = is_secret
        self._named = False
        self._values: list[tuple[re.Match[str], str]] = []
        self._end = 0

    def spans(self, match: re.Match[str], lower: str) -> Iterator[Span]:
        """The values that are known to be secret with this assignment."""
        looking = self._named or self._values
        if looking and _ELSEWHERE.search(self._text, self._end, match.start()):
            self._named = False
            self._values = []
        self._end = _near_end(self._text, match.end())
        found = []
        if lower in NAME_NAMES:
            name = _NAME.match(self._text, match.end())
            self._named = name is not None and self._is_secret(name.group(1) or name.group(2))
            if self._named:
                found, self._values = self._values, []
        elif self._named:
            found = [(match, lower)]
        else:
            self._values = [*self._values[1 - _MAX_BESIDE :], (match, lower)]
        for one in found:
            start, end = _value_of(self._text, *one)
            if start < end:
                yield start, end


def _near_end(text: str, start: int) -> int:
    """About where a value ends; only its beginning is looked at."""
    quote = _QUOTED.match(text, start)
    if quote is not None:
        return text.find(quote.group(2), quote.end(), start + _MAX_LOOKED) + 1 or start
    bare = _BARE.match(text, start, start + _MAX_LOOKED // 4)
    return bare.end() if bare is not None else start


def _value_of(text: str, match: re.Match[str], lower: str) -> Span:
    before = text[max(0, match.start() - 1) : match.start()]
    return _value(text, match.end(), lower, before)


def _value(text: str, start: int, name: str, before: str) -> Span:
    """What stands at ``start`` as the value of ``name``; empty when it is held back already.

    ``before`` is the character before the name: a quote there ends the value, too.
    """
    quote = _QUOTED.match(text, start)
    if quote is not None:
        start = quote.end()
        end = _closing(text, start, quote)
        if tail := _TAIL.match(text, end + len(quote.group(1)) + 1):
            start, end = quote.start(), tail.end()
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
        end = _bracket_end(text, call.end() - 1)
        tail = _BARE.match(text, end)
        return tail.end() if tail is not None else end
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
_ELEMENT = Pattern(r"<(?:\w{1,32}:)?([\w.\-]{1,128}+)(\s[^<>]{0,256})?>([^<]++)")
_ATTRIBUTE = Pattern(r"\s(?:name|key|id|field)\s?=\s?[\"']([\w.\-]{1,128})[\"']")


_USER = Pattern(
    r"(?<![\w\-])(?:-u|--user)(?:[\"'],)?[ \t=]{0,4}[\"']?[^\s:\"']{0,256}+:([^\s\"']++)"
)


def flags(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """Command lines and markup: ``--password x``, ``<password>x</password>``."""
    if "--" in text:
        for match in _FLAG.finditer(text):
            start, end = _value(text, match.end(), "", "") if is_secret(match.group(1)) else (0, 0)
            if end > start:
                yield start, end
    if "-u" in text:
        for match in _USER.finditer(text):
            yield from _unless_held(match, 1)
    if "<" in text:
        for match in _ELEMENT.finditer(text):
            of = _ATTRIBUTE.search(match.group(2) or "")
            secret = is_secret(match.group(1)) or (of is not None and is_secret(of.group(1)))
            if secret and not _HELD.fullmatch(match.group(3)):
                yield match.span(3)


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
    if not _HELD.fullmatch(match.group(group)):
        yield match.span(group)


# Pairs, forms, statements: a name, and its value beside it.

_PAIR = Pattern(r"[\[(]\s{0,4}[bB]?(\\{0,7}[\"'])([\w.\-]{1,128}+)\1\s{0,4},\s{0,4}")
_ITEM = Pattern(r"[^\s,()\[\]{}\"']{0,256}+")
_PAIR_END = Pattern(r"(?:\\{0,7}[\"'])?\s{0,4}(?:[\])]|\Z)")
_PART = Pattern(
    r"form-data;[ \t]{0,8}name=\"?([^\"\r\n;]{1,128}+)\"?[^\r\n]{0,256}+"
    r"(?:\r?\n[^\r\n]{1,256}+){0,4}+\r?\n\r?\n",
    re.IGNORECASE,
)
_STATEMENT = Pattern(
    r"\b(?:password|identified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?(?:by|as))"
    r"(?:\s{1,8}password)?(?:\s{1,8}for\s{1,8}[^\s=]{1,128}+)?"
    r"(?:\s{0,8}=\s{0,8}|\s{1,8})(?:\w{0,32}\(\s{0,8})?[eEnN]?'((?:[^'\\]|''|\\.)*+)",
    re.IGNORECASE | re.DOTALL,
)


def pairs(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``("password", "x")``, a form's part, ``IDENTIFIED BY 'x'``."""
    if ("[" in text or "(" in text) and "," in text:
        for match in _PAIR.finditer(text):
            if is_secret(match.group(2)):
                start = match.end()
                if _QUOTED.match(text, start) is not None:
                    start, end = _value(text, start, "", "")
                else:
                    end = _ITEM.match(text, start).end()  # type: ignore[union-attr]
                if end > start and _PAIR_END.match(text, end):
                    yield start, end
    if "name=" in text and "\n" in text:
        for match in _PART.finditer(text):
            end = text.find("\n--", match.end())
            end = len(text) if end < 0 else end - (text[end - 1] == "\r")
            held = end <= match.end() or _HELD.fullmatch(text, match.end(), end)
            if not held and is_secret(match.group(1)):
                yield match.end(), end
    if "'" in text:
        for match in _STATEMENT.finditer(text):
            start, end = match.span(1)
            if end > start and not _HELD.fullmatch(text, start, end):
                yield start, end
