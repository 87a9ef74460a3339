"""Names with their values in a text: ``password=…``, ``"token": "…"``, ``api-key: …``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.annotations import annotation_end
from audit_emit._redaction.finders.blocks import block
from audit_emit._redaction.finders.extent import MOST_NAMES, PLACEHOLDER, QUOTED, Extents, Span
from audit_emit._redaction.finders.name_value import NameAndValue
from audit_emit._redaction.finders.phrases import phrase_end
from audit_emit._redaction.finders.prose import is_permission, is_plain
from audit_emit._redaction.finders.references import reference_end
from audit_emit._redaction.finders.words_of_prose import STRONG, is_fact
from audit_emit._redaction.names import (
    depends_on_value,
    fold,
    is_described,
    is_secret_value,
)
from audit_emit._redaction.words import CONTAINERS, NAME_NAMES, SECRET, TYPE_NAMES, VALUE_NAMES
from audit_emit._runtime.lazy import Pattern

__all__ = ["ARROWS", "LETTERS", "SIGNS", "assignments"]

IsSecret = Callable[[str], bool]

LETTERS = r"\w\u24b6-\u24e9\u0300-\u036f\u0610-\u065f\u0900-\u0dff\u0e00-\u0eff\u200c\u200d"
"""Letters, digits and the marks that belong to letters in the alphabets of India and others."""
ARROWS = "".join(
    chr(code)
    for codes in (
        range(0x2190, 0x2200),
        range(0x2798, 0x27BF),
        range(0x27F5, 0x2800),
        (0x2236, 0x2254, 0x2794, 0xA789, 0xFE55, 0xFE66),
    )
    for code in codes
)
"""Arrows of Unicode, and what looks like a colon or an equals sign."""
SIGNS = f":=<>\n{ARROWS}"
"""Characters, one of which is between each name and its value."""
_SIGN = (
    r"(?:::(?=[ \t])|<=>|[<>]={1,2}(?=[ \t]{0,2}[\"'])|>>>?=|<<=|<<<|<<(?=[ \t]{0,2}[\"'])"
    rf"|[?+|:&*/%^.!~\-]{{0,3}}={{1,3}}[>~:]?|[\-~]>|<-|[:{ARROWS}])"
)
_ASSIGN = Pattern(
    rf"(?<![{LETTERS}.\-$\[\]%])([{LETTERS}.\-$\[\]%]+)"
    # What the name is in: quotes, brackets, emphasis, an element; a remark in brackets, a number.
    r"(?:\\{0,7}[\"'`]|\\(?==))?(?::(?:[\w\\]{1,64}:)?(?:private|protected)(?=\]))?(?!\){1,3}=\()[\])}*!?]{0,4}(?:</\w{1,10}>)?"
    r"(?:[ \t]\([^()\r\n=:]{0,32}\)|[ \t]#?[0-9]{1,3}(?=:))?"
    rf"([ \t\u00a0]{{0,8}}{_SIGN}[ \t\u00a0]{{0,8}})"
    r"(?:(?:\r?\n[ \t]{0,32})?\(?string\)?[ \t]?\((?:len=)?[0-9]{1,7}\)[ \t])?"
    # What may follow before the value: a block, a list, another line, emphasis, a tag of YAML.
    r"(?:(?:[&!][\w!]{1,32}[ \t]{1,8})?[|>][+\-0-9]{0,2}[ \t]{0,8}\r?\n(?P<block>[ \t]{1,16})"
    r"|<<[\-~]?[\"']?(?P<here>\w{1,32})[\"']?[ \t]{0,8}\r?\n[ \t]{0,16}"
    r"|\r?\n(?P<list>[ \t]{0,16})-[ \t]{1,8}(?!-)"
    r"|(?:\r?\n[ \t]{0,16}){1,3}(?=[^\s:=\-{\[#][^\s:=]{3,128}[ \t]{0,8}(?:\r?\n|\Z))"
    r"|\r?\n[ \t]{0,4}(?:[>*][ \t]{1,4}(?=\S)|```\w{0,8}\r?\n)"
    r"|\r?\n[ \t]{1,16}(?:-[ \t]{1,4})?[\"']?"
    r"(?:value|default|current|content|data|plaintext|secret|string|text|new|old)"
    r"[\"']?[ \t]{0,4}[:=][ \t]{0,4}(?=\S)"
    r"|\\\r?\n[ \t]{0,16}(?=\S)|\*{1,2}[ \t]{1,4}|</\w{1,10}>[ \t]{0,4}"
    r"|[&!][\w!]{1,32}[ \t]{1,8}(?=[^\s=]))?"
)
_TWO_WORDS = Pattern(
    rf"[ \t]{{1,3}}([{LETTERS}\-]{{1,32}})(?:[ \t]{{1,3}}([{LETTERS}\-]{{1,32}}))?"
)
"""The last two words of a text that is read from its end."""
_NAME_OF = Pattern(
    r"(?:[^\s:=,;]{1,64}[ \t]{1,3}){0,3}[^\s:=,;]{1,64}[ \t]{1,3}"
    r"(?:rof|fo|(?P<place>ot|no|ta)|r\u00fcf|nov|ed|a\u1ee7c)[ \t]{1,3}"
    # is generated, was created
    r"(?:(?:detareneg|detaerc)[ \t](?:(?:si|saw|neeb sah)[ \t])?)?"
    rf"(?P<name>[{LETTERS}\-]{{2,32}}(?:[ \t][{LETTERS}\-]{{2,32}})?)"
)
"""``Password for u-17``, ``API key of the user bob``, read from the end: the name, and whose."""
_NAME_OF_QUOTED = Pattern(
    r"[\"'`][^\"'`\n]{1,80}[\"'`][ \t]{1,3}(?:rof|fo|(?P<place>ot|no|ta))[ \t]{1,3}"
    rf"(?P<name>[{LETTERS}\-]{{2,32}}(?:[ \t][{LETTERS}\-]{{2,32}})?)"
)
"""``Password for 'https://bob@example.com'``, as git asks for it, read from the end."""
_MARKED_VALUE = Pattern(
    r"[\"'`](?![\"'`])|(?=[^\s0-9]{0,64}[0-9])(?=[^\sA-Za-z]{0,64}[A-Za-z])\S{6}"
)
"""A value in quotes, or with digits and letters."""
_QUOTED_WORDS = Pattern(
    rf"(?P<quote>[\"'`])(?P<name>[{LETTERS}\-]{{1,32}}(?:[ \t]{{1,3}}[{LETTERS}\-]{{1,32}}){{1,2}})"
    r"(?P=quote)"
)
"""``"seed phrase"``, read from the end, with all that is in its quotes."""
_CONTAINER = Pattern(rf"[\"'][\[(]([{LETTERS}.\-]{{1,64}})")
"""``credentials["``, read from its end."""
_IS = Pattern(r"\A(?:is|was|lautet|ist|es|est)\Z")
_MADE = frozenset(("created", "generated", "issued", "added", "rotated", "regenerated"))
"""What was done with it: ``API key created: x``."""
_TYPE_WORDS = frozenset(("string", "str", "text", "varchar", "bytes", "char"))
_BEFORE = 96
_ALSO = frozenset(("inputvalue", "sig", "signature", "xamzsignature", "xgoogsignature"))
_BESIDE = NAME_NAMES | VALUE_NAMES | TYPE_NAMES
_THEN = Pattern(
    rf"[\"'`]?[ \t]{{0,4}}(?:[\-=~]{{1,3}}>|[{ARROWS}\u2b62\u00bb]|\bto\b"
    r"|(?<=[ \t])[>/|](?=[ \t]))[ \t]{0,4}"
)
_ARROW = Pattern(r"[ \t]{0,4}[\-=~]{1,3}>[ \t]{0,4}(?=[\"'`])")
_DEFAULT = Pattern(
    r"[\w$][\w.$:>]{0,64}(?:[\[(][\"'][\w.\-]{1,64}[\"'][\])])?(?:\(\))?"
    r"(?:[ \t](?:\|\||\?\?|\?:|or|//)[ \t]"
    r"|(?:\.ok\(\))?\.unwrap_or(?:_else)?\((?:\|\w{0,8}\|[ \t]?)?(?:String::from\()?)"
    r"(?=[\"'`][^\"'`])"
)
"""What stands before a default: ``process.env.PW || "x"``, ``env::var("PW").unwrap_or("x")``."""
_KEY_VALUE = Pattern(r"[\"'`]?([A-Za-z0-9+/_\-]{4,256}={0,2})(?![A-Za-z0-9+/_\-])")
_ARN = Pattern(r"arn:[\w\-]{1,24}:[^\s\"'<>]{1,512}|\{\{resolve:[^\s\"'<>{}=]{1,256}\}\}")


_SECRET, _HOST, _BESIDE_ANOTHER, _BY_VALUE, _NOTHING = range(5)
"""What a name before a sign may be: of a secret, the part of a URL with the host, that of a name or
a value of a pair, a key of some vendor, none of these."""
_MOST_MEANT = 48
"""Names of secrets where not all are looked at: what follows them is held back."""
_MOST = 64
"""Values that are found in one text: more are held back as one, with all that follows."""


def assignments(
    text: str, is_secret: IsSecret, is_meant: Callable[[int], bool] | None = None
) -> Iterator[Span]:
    """``password=x``, ``"token": "x"``, ``Cookie: a=b``: the value of a secret name.

    ``is_meant`` says of the end of a name whether it is looked at; all are without it.
    """
    extents = Extents(text)
    beside = NameAndValue(text, is_secret, extents)
    matches = _outside_of_arns(text)
    if is_meant is not None:
        matches = (match for match in matches if is_meant(match.end(1)))
    most = MOST_NAMES if is_meant is None else _MOST_MEANT
    for found, span in enumerate(_assignments(text, matches, is_secret, beside, extents, most)):
        if found == _MOST:
            yield min(span[0], beside.waiting_from()), len(text)
            return
        yield span


def _assignments(
    text: str,
    matches: Iterator[re.Match[str]],
    is_secret: IsSecret,
    beside: NameAndValue,
    extents: Extents,
    most: int,
) -> Iterator[Span]:
    done = names = 0
    kinds: dict[str, int] = {}
    for match in matches:
        if match.end() < done:
            continue
        name = match.group(1)
        kind = kinds.get(name)
        if kind is None:
            kind = kinds[name] = _kind(name, is_secret)
        whole = kind == _SECRET or _in_container(text, match)
        secret_name = name if whole else _name_of_words(text, match, is_secret)
        if secret_name:
            names += 1
            if names > most:
                yield match.end(), len(text)
                return
            spans = _values(text, match, secret_name.lower(), extents, of_words=not whole)
        elif kind == _NOTHING:
            continue
        elif kind == _HOST:
            value_start, done = extents.of(match, "netloc")
            spans = _user_of(text, value_start, done)
        elif kind == _BESIDE_ANOTHER:
            spans = beside.spans(match, fold(name))
        else:
            spans = _vendor_key(text, match)
        for span in spans:
            done = max(done, span[1])
            yield span


def _outside_of_arns(text: str) -> Iterator[re.Match[str]]:
    """Names with a sign, but those in the name of what is acted on."""
    named = "arn:" in text or "{{resolve:" in text
    arns = _ARN.finditer(text) if named else iter(())
    arn = next(arns, None)
    for match in _ASSIGN.finditer(text):
        while arn is not None and arn.end() <= match.start():
            arn = next(arns, None)
        if arn is None or match.start() < arn.start():
            yield match


def _kind(name: str, is_secret: IsSecret) -> int:
    folded = fold(name)
    if is_secret(name) or folded in _ALSO:
        return _SECRET
    lower = name.lower()
    if lower == "netloc":
        return _HOST
    if folded in _BESIDE:
        return _BESIDE_ANOTHER
    return _BY_VALUE if depends_on_value(name) else _NOTHING


def _user_of(text: str, start: int, end: int) -> Iterator[Span]:
    """The user and the password of a URL without its scheme."""
    sign = text.rfind("@", start, end)
    if sign > start and not PLACEHOLDER.fullmatch(text, start, sign):
        yield start, sign


def _vendor_key(text: str, match: re.Match[str]) -> Iterator[Span]:
    found = _KEY_VALUE.match(text, match.end())
    if found is not None and is_secret_value(match.group(1), found.group(1)):
        yield found.span(1)


def _in_container(text: str, match: re.Match[str]) -> bool:
    """Whether a name is one of many secrets: ``credentials["stripe"] = "x"``."""
    if text[match.start() - 2 : match.start() - 1] not in ("[", "("):
        return False
    before = text[max(0, match.start() - _BEFORE) : match.start()]
    container = _CONTAINER.match(before[::-1])
    return (
        container is not None
        and fold(container.group(1)[::-1]) in CONTAINERS
        and not is_described(match.group(1))
        and QUOTED.match(text, match.end()) is not None
    )


def _name_of_words(text: str, match: re.Match[str], is_secret: IsSecret) -> str:
    """The name of several words that ends here: ``API key:``, ``Password for u-17:``; or none."""
    name = _name_in_quotes(text, match)
    if name and is_secret(name):
        return name
    if match.group(2) == ":" and "\n" not in match.group():  # a host and its port
        return ""
    if match.group(0)[len(match.group(1))] in "\"'`":
        return _owned_name(text, match, is_secret, _NAME_OF_QUOTED)
    if text[match.start() - 1 : match.start()] not in (" ", "\t"):
        return _owned_name(text, match, is_secret)
    return _name_behind_words(text, match, is_secret)


def _name_in_quotes(text: str, match: re.Match[str]) -> str:
    """All that is in quotes, as a name, where it has a quoted value: ``x["seed phrase"] = "y"``."""
    end = match.end(1)
    if text[end] not in "\"'`" or QUOTED.match(text, match.end()) is None:
        return ""
    words = _QUOTED_WORDS.match(text[max(0, match.start() - _BEFORE) : end + 1][::-1])
    return "" if words is None else "_".join(words.group("name")[::-1].split())


def _name_behind_words(text: str, match: re.Match[str], is_secret: IsSecret) -> str:
    sign = match.group(2).strip()
    words = _words_before(text, match.start())
    if not words:
        return ""
    name = match.group(1)
    if name.isdigit() and sign not in (":", "="):
        return ""  # session 17 -> closed
    if sign[-1:] == "=":
        if name.lower() in _TYPE_WORDS:
            return words[-1] if is_secret(words[-1]) else ""
        if fold(words[-1] + name) in SECRET:
            return name  # pass phrase = x
        if is_secret(words[-1]) or (
            match.group(2) == sign and not _MARKED_VALUE.match(text, match.end())
        ):
            return ""  # another name behind a secret's; an id
    if _IS.match(name.lower()):
        more = _words_before(text, match.start() - len(" ".join(words)) - 1)
        said = "_".join((*more[-1:], *words))
        return said if is_secret(said) else words[-1] if is_secret(words[-1]) else ""
    if name in _MADE and _is_drawn(text, match.end()):
        said = "_".join(words)
        if is_secret(said) or is_secret(words[-1]):
            return said
    for at in range(len(words)):
        several = "_".join((*words[at:], name))
        if is_secret(several):
            return name
    return _owned_name(text, match, is_secret)


def _is_drawn(text: str, start: int) -> bool:
    """Whether the word there has the look of a secret, and is no date, path or id."""
    word = text[start : start + _BEFORE].split(None, 1)[:1]
    return bool(word) and STRONG.match(word[0]) is not None and not is_fact(word[0])


def _owned_name(
    text: str, match: re.Match[str], is_secret: IsSecret, pattern: Pattern = _NAME_OF
) -> str:
    """``Password`` in ``Password for the user bob@example.com:``; or none."""
    end = match.end(1) + (pattern is _NAME_OF_QUOTED)
    name_of = pattern.match(text[max(0, match.start() - _BEFORE) : end][::-1])
    if name_of is None:
        return ""
    owned = name_of.group("name")[::-1]
    last = owned.split()[-1]
    if name_of.group("place") is not None and not (last.islower() or last.istitle()):
        return ""  # GetSecretValue on resource: x
    return last if is_secret(owned.replace(" ", "_")) or is_secret(last) else ""


def _words_before(text: str, end: int) -> list[str]:
    """The last two words before a place, with spaces behind each; none where something else is."""
    words = _TWO_WORDS.match(text[max(0, end - _BEFORE) : end][::-1])
    return [] if words is None else [word[::-1] for word in words.groups()[::-1] if word]


def _values(
    text: str, match: re.Match[str], lower: str, extents: Extents, *, of_words: bool
) -> Iterator[Span]:
    """The value of a secret name, and what it becomes: ``"x" -> "y"``."""
    lines = block(text, match)
    if lines is not None:
        if lines[1] > lines[0]:
            yield lines
        return
    before = text[max(0, match.start() - 1) : match.start()]
    start, end = extents.value(annotation_end(text, match.end()), lower, before)
    quoted = QUOTED.match(text, match.end()) is not None or "\n" in match.group(0)
    plain = not quoted and is_plain(text, (start, end), lower, match.group(2))
    if of_words and not quoted:
        end = start + len(text[start:end].rstrip(".,;:!?"))
    if end > start and not plain and not _is_nothing(text[start:end]):
        if not quoted and match.group(2)[-1:] in (" ", "\t"):
            end = phrase_end(text, end, lower)
        yield start, end
    if plain and is_permission(text[start:end]):
        return
    if end <= start or plain:
        yield from _default(text, match, lower, extents)
    if plain and match.group(2).strip() == ":" and _THEN.match(text, end) is None:
        return
    sign = _THEN
    if end <= start and not quoted:  # (sensitive value) -> "x"
        start, sign = annotation_end(text, match.end()), _ARROW
        end = reference_end(text, start)
    then = sign.match(text, end) if end > start else None
    if then is not None:
        second = extents.value(then.end(), lower, before)
        if second[1] > second[0] and not is_plain(text, second, lower, ": "):
            yield second


def _default(text: str, match: re.Match[str], lower: str, extents: Extents) -> Iterator[Span]:
    """What stands there where nothing else is found: ``process.env.PW || "x"``."""
    found = _DEFAULT.match(text, match.end())
    if found is not None:
        yield extents.value(found.end(), lower, "")


def _is_nothing(word: str) -> bool:
    return word in ("true", "false", "null", "None", "True", "False", "0", "1", "***", "****")
