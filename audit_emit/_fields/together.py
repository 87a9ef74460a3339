"""What is secret in a container by what else is in it: names and values, pairs, command lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_emit._fields.keys import (
    JWK_NAMES,
    MANIFEST_NAMES,
    NAME_NAMES,
    TYPE_NAMES,
    TYPED_NAMES,
    VALUE_NAMES,
)
from audit_emit._fields.programs import secret_words

__all__ = ["HELD_NAMES", "NO_NAMES", "held_items", "held_names"]

NO_NAMES: frozenset[str] = frozenset()
HELD_NAMES = VALUE_NAMES | MANIFEST_NAMES
"""All names that ``held_names`` may give where no ``kty`` is."""
_MAX_NAMES = 16
_MAX_WORD = 256
_MAX_LOGIN = 8192

Judge = Callable[[object], bool]
"""Whether a value is a text that is the name of a secret."""


def held_names(entries: list[Any], names_secret: Judge) -> frozenset[str]:
    """The names, in lower case, of members of a dict that are secret by what others are."""
    held = NO_NAMES
    if len(entries) < 2:
        return held
    for name, value in entries:
        if type(name) is not str:
            continue
        lower = name[:32].lower()
        if lower in NAME_NAMES:
            if _any_names_secret(value, names_secret):
                held |= VALUE_NAMES
        elif lower in TYPE_NAMES:
            if _any_names_secret(value, names_secret):
                held |= MANIFEST_NAMES if lower == "kind" else TYPED_NAMES
        elif lower == "kty":
            held |= JWK_NAMES
    return held


def _any_names_secret(value: Any, names_secret: Judge) -> bool:
    if type(value) is list or type(value) is tuple:
        return any(map(names_secret, value[:_MAX_NAMES]))
    return names_secret(value)


def held_items(entries: list[Any], names_secret: Judge) -> frozenset[int]:
    """The places in a list after the name of a secret: a pair's, a command line's."""
    if len(entries) == 2 and names_secret(entries[0]):
        return frozenset((1,))
    held = {
        at + 1
        for at, entry in enumerate(entries)
        if type(entry) is str
        and entry[:1] == "-"
        and "=" not in entry[:_MAX_WORD]
        and (names_secret(entry) or _takes_login(entry, entries[at + 1 : at + 2]))
    }
    return frozenset(held | _held_words(entries))


def _held_words(entries: list[Any]) -> set[int]:
    """The secret arguments of a program, which may itself be one of another one (``sudo``)."""
    if not any(type(entry) is str and entry[:1] == "-" for entry in entries):
        return set()
    words = [entry[:_MAX_WORD] if type(entry) is str else "" for entry in entries]
    return {at + index for at in range(min(len(words), 8)) for index, _ in secret_words(words[at:])}


def _takes_login(option: str, following: list[Any]) -> bool:
    """``curl -u name:password``."""
    return (
        option in ("-u", "-U", "--user", "--proxy-user")
        and bool(following)
        and type(following[0]) is str
        and ":" in following[0][:_MAX_LOGIN]
    )
