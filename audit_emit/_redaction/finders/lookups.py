"""Where code takes a secret from, as against the secret: ``os.environ["X"]``."""

from __future__ import annotations

from audit_emit._redaction.names import is_secret_name
from audit_emit._runtime.lazy import Pattern

__all__ = ["is_lookup", "is_variable_name"]

_KNOWN = Pattern(
    r"(?:os\.(?:[gG]etenv|environ)|process\.env|System\.getenv|getenv|getpass(?:\.getpass)?|input|ENV"
    r"|env\.get|os\.LookupEnv)\b[.\[(]|await\Z|(?:z|v|yup|[Jj]oi)\.string\(|[A-Za-z_][A-Za-z_.]{0,64}\(\)\Z"
)
_NAMED = Pattern(
    r"[$A-Za-z_][\w$]{0,32}(?:(?:\.|::|->)[A-Za-z_]\w{0,32}(?:\(\))?){0,4}"
    r"(?:\((?:[\"'][\w.\-]{1,32}[\"'],[ \t]?)?|\[)[\"':]([A-Za-z_][A-Za-z_.\-]{1,63})[\"']?[\])]"
    r"[?!]?;?"
)
"""By a name in quotes, in brackets: ``form["password"]``, ``config.get('db', 'password')``."""


def is_lookup(word: str) -> bool:
    """Whether a value in code is where the secret is taken from: from a mapping, by its name."""
    if _KNOWN.match(word) is not None:
        return True
    found = _NAMED.fullmatch(word) if word[-1:] in "])?!;" else None
    return found is not None and is_secret_name(found.group(1))


def is_variable_name(value: str) -> bool:
    """Whether a text in quotes is what a secret is called in an environment: ``DB_PASSWORD``."""
    return (
        "_" in value
        and value.isupper()
        and not value[-1:].isdigit()
        and len(value) <= 64
        and is_secret_name(value)
    )
