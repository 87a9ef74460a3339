"""Where code takes a secret from, as against the secret: ``os.environ["X"]``."""

from __future__ import annotations

import re

from audit_emit._redaction.finders.words_of_prose import MARKED
from audit_emit._redaction.names import is_secret_name
from audit_emit._runtime.lazy import Pattern

__all__ = ["gives_value", "is_lookup", "is_variable_name"]

_KNOWN = Pattern(
    r"(?:os\.(?:[gG]etenv|environ)|process\.env|System\.getenv|getenv|getpass(?:\.getpass)?|input|ENV"
    r"|env\.get|os\.LookupEnv|(?:std::)?env::var(?:_os)?)\b[.\[(]|await\Z|(?:z|v|yup|[Jj]oi)\.string\("
    r"|(?:forms|models|serializers|fields|wtforms)\.(?:\w{0,32}Field|String|Str)\(|[A-Za-z_][A-Za-z_.]{0,64}\(\)\Z"
)
_MEMBER = Pattern(r"(?:z|v|yup|[Jj]oi|forms|models|serializers|fields|wtforms)\.")
_NAMED = Pattern(
    r"[$A-Za-z_][\w$]{0,32}(?:(?:\.|::|->)[A-Za-z_]\w{0,32}(?:\(\))?){0,4}"
    r"(?:\[|(?P<call>\()(?:[\"'](?P<first>[\w.\-]{1,32})[\"'],[ \t]?)?)"
    r"[\"':](?P<name>[A-Za-z_][A-Za-z_.\-]{1,63})[\"']?[\])][?!]?;?"
)
"""By a name in quotes, in brackets: ``form["password"]``, ``config.get('db', 'password')``."""
_GETTER = Pattern(
    r"(?:[^(]*[.:>])?_?(?:get|fetch|read|load|find|lookup|env|var|config|param|header|option|input"
    r"|query|field|require|prompt)\w{0,32}\(",
    re.IGNORECASE,
)
"""Functions that take the name of something, as against ``Secret("x")`` and ``md5("x")``."""
_GIVES = Pattern(
    r"\b(?:default|initial|load_default|dump_default|missing|prefault|catch|enum|literal|const|oneOf|valid|equals|value|example)\b"
    r"[\"'\s:=(\[\\]{1,8}(?!(?:null|None|undefined|true|false)\b)[^\s\"'\])}]"
)


def gives_value(schema: str) -> bool:
    """Whether a schema of a member has a value for it: ``z.string().default("x")``."""
    return _GIVES.search(schema) is not None


def is_lookup(word: str) -> bool:
    """Whether a value in code is where the secret is taken from: from a mapping, by its name."""
    if _KNOWN.match(word) is not None:
        return _MEMBER.match(word) is None or not (gives_value(word) or _has_marked(word))
    found = _NAMED.fullmatch(word) if word[-1:] in "])?!;" else None
    if found is None or not is_secret_name(found.group("name")):
        return False
    if found.group("call") is None:
        return True
    first = found.group("first")  # with the name of a secret, the other one is its default
    return _GETTER.match(word) is not None and not (first and is_secret_name(first))


def _has_marked(word: str) -> bool:
    """Whether something in quotes there has the look of a secret: a label of a field has not."""
    return any(MARKED.match(match.group(1)) for match in _IN_QUOTES.finditer(word))


_IN_QUOTES = Pattern(r"[\"']([^\"'\s]{4,256})")


def is_variable_name(value: str) -> bool:
    """Whether a text in quotes is what a secret is called in an environment: ``DB_PASSWORD``."""
    return (
        "_" in value
        and value.isupper()
        and not value[-1:].isdigit()
        and len(value) <= 64
        and is_secret_name(value)
    )
