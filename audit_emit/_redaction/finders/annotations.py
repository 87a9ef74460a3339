"""Types in code: what may stand between a name and its value, ``password: str = "x"``."""

from __future__ import annotations

import re

from audit_emit._runtime.lazy import Pattern

__all__ = ["annotation_end", "is_type"]

_TYPES = frozenset(
    "str string int integer bool boolean bytes byte char text float number any object varchar uuid "
    "secretstr secretbytes optional[str] str|none varchar(255) securestring &str &string *string "
    "optional list dict sequence mapping union literal none jwt required optional nullable "
    "nvarchar varchar2 nvarchar2 nchar clob sysname "
    "annotated final nonnullable charsequence nsstring option secret array vec".split()
)
_TYPE = Pattern(  # the word is compared once: no shorter one reaches a sign that it does not
    r"(?:[&*]|\[\]){0,2}(?:'\w{1,16}[ \t])?(?:mut[ \t])?(?=([A-Za-z_][\w.:]{0,40}))\1"
    r"[^=\n\"']{0,80}?:?=(?!=)[ \t]{0,4}(?=\S)"
)


def annotation_end(text: str, start: int) -> int:
    """Where the value begins when a type and ``=`` stand at ``start``; else ``start``."""
    found = _TYPE.match(text, start)
    if found is None or re.split("[.:]", found.group(1).lower())[-1] not in _TYPES:
        return start
    return found.end()


def is_type(word: str) -> bool:
    """Whether a word is that of a type: ``str``, ``VARCHAR``."""
    return word.lower() in _TYPES
