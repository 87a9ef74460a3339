"""Texts as they stand in a record: how long they are there, cut to fit, and of a dict's key."""

from __future__ import annotations

from typing import Any

from audit_emit._fields.types import open_value
from audit_emit._fields.values import Cut, Long, Members
from audit_emit._format import encode
from audit_emit._runtime.foreign import type_name
from audit_emit._runtime.interrupts import let_through

__all__ = [
    "MAX_KEY",
    "cut_text",
    "json_size",
    "key_parts",
    "key_text",
    "plain_size",
    "short_text",
]

MAX_KEY = 256
_MAX_NUMBER = 10**MAX_KEY
_PART = 512


def plain_size(text: str) -> bool:
    """Whether a text is as long in JSON as it is."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def cut_text(text: str, limit: int) -> tuple[str, int]:
    """A beginning of a text that takes at most ``limit`` bytes in JSON, and its size there."""
    if plain_size(text[:limit]):
        return text[:limit], min(len(text), limit)
    size = at = 0
    while at < len(text):
        part = text[at : at + _PART]
        more = json_size(part)
        while part and size + more > limit:
            part = part[: min(len(part) - 1, int(len(part) * (limit - size) / more))]
            more = json_size(part)
        size += more
        at += len(part)
        if len(part) < _PART:
            break
    return text[:at], size


def json_size(text: str) -> int:
    return len(encode.text(text).encode()) - 2


def short_text(value: object) -> str:
    """The beginning of a text, or the digits of a whole number that has not too many."""
    if type(value) is str:
        return value[:MAX_KEY]
    if type(value) is int and -_MAX_NUMBER < value < _MAX_NUMBER:
        return str(value)
    return ""


def key_text(key: Any) -> str:
    """The text of a dict's key."""
    if type(key) is str:
        return str(key)
    if issubclass(type(key), bytes):
        return bytes.__getitem__(key, slice(0, 1025)).decode("utf-8", "backslashreplace")
    if key is None or key is True or key is False:
        return {None: "null", True: "true", False: "false"}[key]
    try:
        opened = open_value(key)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        let_through(error)
        return type_name(type(key))
    if type(opened) is str:
        return opened
    if type(opened) is Long:
        return str(opened.head)
    if type(opened) is Cut:
        return opened.text
    if type(opened) in (int, float):
        return repr(opened)
    if type(opened) is Members and opened.kind == "list":
        return "(" + ", ".join(key_parts(opened)) + ")"
    return type_name(type(key))


def key_parts(members: Members) -> list[str]:
    """The texts of the parts of a key that is a tuple."""
    return [_part_text(part) for part in members.entries[:8]]


def _part_text(part: object) -> str:
    return part[:MAX_KEY] if type(part) is str else type_name(type(part))
