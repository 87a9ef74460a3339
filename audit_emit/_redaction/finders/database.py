"""What databases are told, and what they say of it: statements, rows and keys that were refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.finders.lookups import is_variable_name
from audit_emit._redaction.finders.named_places import places
from audit_emit._runtime.lazy import Pattern

__all__ = ["FUNCTIONS", "SAID", "keys", "rows", "statements"]

IsSecret = Callable[[str], bool]


SAID = ("failing row contains", "[parameters:", "parameter $", "parameters: $")
"""What a text has in it, in lower case, that ``rows`` has to look at."""
FUNCTIONS = (
    "crypt(",
    "encrypt(",
    "md5(",
    "sha1(",
    "sha2(",
    "digest(",
    "hmac(",
)
"""Functions that are given a secret, as a text has them in lower case."""


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not PLACEHOLDER.fullmatch(text, start, end):
        yield start, end


# Statements.

_STATEMENT = Pattern(
    r"\b(?:password|identified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?(?:by|as))"
    r"(?:\s{1,8}password)?(?:\s{1,8}for\s{1,8}[^\s=]{1,128})?"
    r"(?:\s{0,8}=\s{0,8}|\s{1,8})(?:\w{0,32}\(\s{0,8})?[eEnN]?'((?:[^'\\]|''|\\.)*)",
    re.IGNORECASE | re.DOTALL,
)
_COMPARED = Pattern(
    r"[\"'`\]]?(?:\s{0,8}(?:!=|<>|!?~\*?)|\s{1,8}(?:not\s{1,8})?"
    r"(?:i?like|rlike|regexp|glob|match))(?:\s{0,8}\w{0,16}\(?)\s{0,8}[eEnN]?"
    r"(?:'((?:[^'\\]|''|\\.)*)|\"([^\"]*))",
    re.IGNORECASE | re.DOTALL,
)
_IN = Pattern(
    r"[\"'`\]]?\s{1,8}(?:not\s{1,8})?in\s{0,8}\(\s{0,8}(?=[eEnN]?['\"0-9])",
    re.IGNORECASE,
)
_INSERT = Pattern(
    r"\(([^()]{1,2048})\)\s{0,8}(?:\w[^()]{0,256}?)?\bvalues\s{0,8}(?=\()", re.IGNORECASE
)
_QUOTING = "\"'`[]\\ \t\r\n"
_PIECE = Pattern(r"'(?:[^'\\]|''|\\.)*'?|\"(?:[^\"\\]|\"\"|\\.)*\"?|[(),]|[^'\"(),]+", re.DOTALL)
_PLACEHOLDER = Pattern(
    r"\s*(?:\?[0-9]*|%s|%\(\w+\)s|[$:@][\w.]+|\{\w*\}|null|default|true|false)\s*", re.IGNORECASE
)


_BARE = Pattern(
    r"\bidentified\s{1,8}by\s{1,8}(?:values\s{1,8})?(?!password\b|values\b)"
    r"(?:\"([^\"\n]{1,256})|'([^'\n]{1,256})|([^\s'\";,()]{1,256}))"
    r"|\b(?:replace\s{1,8}|pragma\s{1,8}(?:re)?key\s{0,8}=\s{0,8}"
    r"|attach\s{1,4}database\s[^;\n]{0,128}?\bkey\s{1,8})'([^'\n]{1,256})",
    re.IGNORECASE,
)
_REPLACED = Pattern(
    r"\bidentified\s{1,8}by\s{1,8}[^\s;]{1,256}\s{1,8}replace\s{1,8}([^\s'\";,()]{1,256})",
    re.IGNORECASE,
)
_NAMED_BEHIND = Pattern(
    r"'((?:[^'\\]|''|\\.){1,256})'(?:::\w{1,32})?\s{1,8}as\s{1,8}[\"`\[]?(\w{1,64})", re.IGNORECASE
)
_SECOND = Pattern(
    r"\b(?:pgp_sym_\w{1,16}|aes_\w{1,16}|\w{0,16}crypt\w{0,8}|hmac)\(\s{0,4}"
    r"(?:'[^'\n]{0,1024}'|[^',()\n]{1,256}),\s{0,4}'([^'\n]{1,256})",
    re.IGNORECASE,
)
_OF_TWO = ("crypt", "aes_", "hmac", "pgp_sym")
_SELECTED = Pattern(
    r"\(([^()]{1,2048})\)\s{0,8}select\s{1,8}((?:'[^'\n]{0,256}'|[^,'\n;]{1,128})"
    r"(?:\s{0,4},\s{0,4}(?:'[^'\n]{0,256}'|[^,'\n;]{1,128})){0,64})",
    re.IGNORECASE,
)
_HOLDER = Pattern(r"\?|%s|\$[0-9]{1,2}|(?<![\w:])[:@]\w{1,32}")
_HOLDER_OF = Pattern(
    r"(?<![\w.])([\w.]{1,128})[\"`\]]?\s{0,8}(?:=|!=|<>|\bi?like\b|\bin\b)\s{0,8}\(?\s{0,4}(?:\w{1,16}\(\s{0,4})?"
    r"(?:\?|%s|\$[0-9]{1,2})",
    re.IGNORECASE,
)
_LIST = Pattern(
    r"[^\[('\"=\n]{0,64}(?:\b(?:param\w{0,8}|arg\w{0,8}|bind\w{0,8}|values|with)\b\s{0,4}[:=]?\s{0,4})?([\[(])",
    re.IGNORECASE,
)
_FUNCTION = Pattern(
    r"(?:crypt|password|md5|sha1|sha2|digest|hmac)\(\s{0,4}[eEnN]?'((?:[^'\\]|''|\\.)*)",
    re.IGNORECASE | re.DOTALL,
)
_BOUND = Pattern(
    r"\(([^()]{1,2048})\)\s{0,8}values\s{0,8}\([^()]{0,2048}\)[\s;\]]{0,8}"
    r"(?:\[?(?:param\w{0,8}|arg\w{0,8}|bind\w{0,8})[:=]?\s{0,4})?([\[(])",
    re.IGNORECASE,
)
_ITEM = Pattern(
    r"\s{0,4}('(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^,'\"\])]{0,256})\s{0,4}([,\])]|\Z)"
)


def _bound(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``(name, password) VALUES (?, ?) ['bob', 'x']``: what stands for a placeholder."""
    for match in _BOUND.finditer(text):
        names = [name.strip(_QUOTING) for name in match.group(1).split(",")]
        at = match.end()
        for name in names:
            item = _ITEM.match(text, at)
            if item is None or not item.group(2):
                break
            if is_secret(name):
                start, end = item.span(1)
                quoted = item.group(1)[:1] in ("'", '"')
                yield from _unless_held(text, start + quoted, end - quoted)
            at = item.end()


def _selected(text: str, match: re.Match[str], is_secret: IsSecret) -> Iterator[Span]:
    """``(name, password) SELECT 'bob', 'x'``."""
    at = match.start(2)
    for name in match.group(1).split(","):
        item = _ITEM.match(text, at)
        if item is None:
            return
        if is_secret(name.strip(_QUOTING)) and item.group(1)[:1] == "'":
            yield from _unless_held(text, item.start(1) + 1, item.end(1) - 1)
        at = item.end() if item.group(2) else len(text)


def _held_places(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``SET password = ? WHERE id = ?  ['x', 1]``: what stands for each placeholder."""
    if "?" not in text and "%s" not in text and "$" not in text:
        return
    columns = {match.end(): match.group(1) for match in _HOLDER_OF.finditer(text)}
    if not any(map(is_secret, columns.values())):
        return
    holders = [match.end() for match in _HOLDER.finditer(text)]
    last = max(columns)
    holders = [end for end in holders if end <= last]
    opening = _LIST.match(text, last)
    if opening is None:
        return
    at = opening.end()
    for holder in holders:
        item = _ITEM.match(text, at)
        if item is None or not item.group(2):
            return
        if is_secret(columns.get(holder, "")):
            start, end = item.span(1)
            quoted = item.group(1)[:1] in ("'", '"')
            yield from _unless_held(text, start + quoted, end - quoted)
        at = item.end()


def statements(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``IDENTIFIED BY 'x'``, ``token IN ('x')``, ``(name, password) VALUES ('bob', 'x')``."""
    lower = text.lower()
    if "'" in text:
        yield from _quoted(text, lower, is_secret)
    if "identified" in lower or "key" in lower:
        for match in _BARE.finditer(text):
            yield from _unless_held(text, *match.span(match.lastindex or 0))
        for match in _REPLACED.finditer(text):
            yield from _unless_held(text, *match.span(1))
    yield from _held_places(text, is_secret)
    yield from _compared(text, is_secret)
    if "values" in lower:
        yield from _inserts(text, is_secret)
        yield from _bound(text, is_secret)


def _quoted(text: str, lower: str, is_secret: IsSecret) -> Iterator[Span]:
    """Texts in quotes that are given to a function, or have the name of a column."""
    patterns = [_SECOND] if "(" in text and any(word in lower for word in _OF_TWO) else []
    if "password" in lower or "identified" in lower:
        patterns.append(_STATEMENT)
    if any(function in lower for function in (*FUNCTIONS, "password(")):
        patterns.append(_FUNCTION)
    for pattern in patterns:
        for match in pattern.finditer(text):
            called = text[match.start(1) - 2 : match.start(1) - 1] == "("
            if not (called and is_variable_name(match.group(1))):  # getenv('DB_PASSWORD')
                yield from _unless_held(text, *match.span(1))
    if "select" in lower:
        for match in _SELECTED.finditer(text):
            yield from _selected(text, match, is_secret)
        for match in _NAMED_BEHIND.finditer(text):
            if is_secret(match.group(2)):
                yield from _unless_held(text, *match.span(1))


def _compared(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``token LIKE 'x'``, ``token IN ('x', 'y')``."""
    done = 0
    for place in places(text, is_secret):
        if not place.whole or place.end < done:
            continue
        match = _COMPARED.match(text, place.end)
        if match is not None:
            done = match.end()
            yield from _unless_held(text, *match.span(match.lastindex or 0))
        elif match := _IN.match(text, place.end):
            done = _tuple_end(text, match.end())
            yield from _unless_held(text, match.end(), done)


def _inserts(text: str, is_secret: IsSecret) -> Iterator[Span]:
    done = 0
    for match in _INSERT.finditer(text):
        names = [name.strip(_QUOTING) for name in match.group(1).split(",")]
        secret = frozenset(at for at, name in enumerate(names) if is_secret(name))
        if secret and match.start() >= done:
            found, done = _inserted(text, match.end(), secret)
            for start, end in found:
                yield from _unless_held(text, start, end)


def _tuple_end(text: str, start: int) -> int:
    """Where the bracket closes that was opened before ``start``."""
    depth = 1
    for piece in _PIECE.finditer(text, start):
        mark = piece.group()
        depth += (mark == "(") - (mark == ")")
        if not depth:
            return piece.start()
    return len(text)


def _inserted(text: str, start: int, secret: frozenset[int]) -> tuple[list[Span], int]:
    """The values in the secret columns of the tuples that begin at ``start``, and their end."""
    found: list[Span] = []
    depth = column = 0
    begin = end = start
    for piece in _PIECE.finditer(text, start):
        mark = piece.group()
        end = piece.end()
        if mark == "(":
            depth += 1
            if depth == 1:
                column, begin = 0, end
        elif depth == 1 and mark in (",", ")"):
            if column in secret:
                found += _value(text, begin, piece.start())
            column, begin = column + 1, end
            depth -= mark == ")"
        elif mark == ")":
            depth -= 1
        elif not depth and mark != "," and not mark.isspace():
            return found, piece.start()
    if depth and column in secret:
        found += _value(text, begin, end)
    return found, end


def _value(text: str, start: int, end: int) -> Iterator[Span]:
    """A value without the space and the quotes around it; none for a placeholder."""
    if _PLACEHOLDER.fullmatch(text, start, end):
        return
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    end -= len(part) - len(part.rstrip())
    if end - start > 1 and text[start] == text[end - 1] and text[start] in "'\"":
        start, end = start + 1, end - 1
    yield start, end


# What was refused. A row ends with its message, a key at the end of its line at the latest.

_ROW = Pattern(r"failing row contains ", re.IGNORECASE)
_ROW_END = Pattern(r"\)\.(?=\s|\Z|\\|[\"'])")
_PARAMETERS = Pattern(r"\[parameters: |parameters?:? \$[0-9]{1,4} = ", re.IGNORECASE)
_KEY = Pattern(r"\(([^()=\n]{1,512})\){1,3}=\(")
_KEY_END = Pattern(r"\)(?= (?:already|is|conflicts)\b|[.»\"']|\\?\n|\\n|\Z)|(?=\n|\Z)")
_ENTRY = Pattern(r"[dD]uplicate entry \\{0,7}'")
_ENTRY_OF = Pattern(r"\\{0,7}' for key \\{0,7}'?([\w.\-$]{1,256})", re.IGNORECASE)
_OBJECT = Pattern(
    r"(?:index|constraint) \\{0,7}['\"](?=([\w.\-$]{1,256}))\1.{1,256}? key value is \(([^\n]+)",
    re.IGNORECASE,
)


def rows(text: str) -> Iterator[Span]:
    """A row that failed, and its parameters."""
    done = 0
    for match in _ROW.finditer(text):
        if match.start() < done:
            continue
        end = _ROW_END.search(text, match.end())
        done = end.end() if end is not None else len(text)
        yield from _unless_marked(text, match.end(), done)
    for match in _PARAMETERS.finditer(text):
        end_of_line = text.find("\n", match.end())
        yield from _unless_marked(text, match.end(), end_of_line)


def keys(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """A key of a secret column that exists already."""
    if ")=(" in text:
        done = 0
        for match in _KEY.finditer(text):
            if match.start() >= done and any(map(is_secret, match.group(1).split(","))):
                done = _KEY_END.search(text, match.end()).start()  # type: ignore[union-attr]
                yield from _unless_held(text, match.end(), done)
    if "uplicate entry" in text:
        entries = list(_ENTRY.finditer(text))
        for at, match in enumerate(entries):
            following = entries[at + 1].start() if at + 1 < len(entries) else len(text)
            of = _ENTRY_OF.search(text, match.end(), following)
            if of is not None and is_secret(of.group(1)):
                yield from _unless_held(text, match.end(), of.start())
    if " key value is (" in text:
        for match in _OBJECT.finditer(text):
            if is_secret(match.group(1)):
                yield from _unless_held(text, *match.span(2))


def _unless_marked(text: str, start: int, end: int) -> Iterator[Span]:
    if end < 0:
        end = len(text)
    if end > start and not text.startswith(("[redacted]", "hmac-sha256:"), start):
        yield start, end
