r"""Plain values to JSON text that can fool no terminal and no line splitter.

Control characters, DEL, C1, U+2028/2029, bidirectional controls and lone surrogates are always
written as lower-case ``\uXXXX``; other text stays readable. Pure: text in, text out.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.json import Encoder

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import Pattern

__all__ = ["safe", "text", "to_json"]

_encode = Encoder().encode

_ESCAPED = Pattern(r"\\(?:u[0-9a-fA-F]{4}|[\\/bfnrt])")
_SHORT = {
    "\\b": "\\u0008",
    "\\f": "\\u000c",
    "\\n": "\\u000a",
    "\\r": "\\u000d",
    "\\t": "\\u0009",
    "\\/": "/",
}
_UNSAFE = Pattern("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def to_json(value: Any) -> str:
    """The JSON text of a plain value, without white space.

    Args:
        value: dict with str keys, list, str, int, float, bool or None, nested within the
            recursion limit.

    Raises:
        Exception: for anything else; which one depends on the value.
    """
    try:
        out = _encode(value).decode()
    except UnicodeEncodeError as error:
        let_through(error)
        out = _by_parts(value)
    return safe(out)


def _by_parts(value: Any) -> str:
    """The JSON text of a plain value with lone surrogates, which only strings can have.

    All other values are encoded as by ``to_json``, so that a number has one form.
    """
    if isinstance(value, dict):
        return f"{{{','.join(f'{_by_parts(n)}:{_by_parts(v)}' for n, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_by_parts, value))}]"
    if isinstance(value, str):
        import json  # noqa: PLC0415 - only lone surrogates need it

        return json.dumps(value, ensure_ascii=False)
    return _encode(value).decode()


def text(value: str) -> str:
    """One JSON string, quotes included."""
    return to_json(value) if value else '""'


def safe(out: str) -> str:
    """JSON text with its dangerous characters escaped."""
    if "\\" in out:
        out = _ESCAPED.sub(_long_escape, out)
    if not out.isascii() or "\x7f" in out:
        out = _UNSAFE.sub(_escape, out)
    return out


def _long_escape(match: re.Match[str]) -> str:
    found = match.group()
    if found[1] == "u":
        return found.lower()
    return _SHORT.get(found, found)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
