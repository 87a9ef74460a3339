"""What is secret in a container by what else is in it: names and values, pairs, command lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_emit._redaction.finders.programs import secret_words
from audit_emit._redaction.finders.shell import commands_in
from audit_emit._redaction.names import fold
from audit_emit._redaction.words import (
    APPROLE,
    ARGUMENTS,
    CHANGES,
    COLUMNS,
    JWK_NAMES,
    MANIFEST_NAMES,
    MARKED_SECRET,
    NAME_NAMES,
    ROWS,
    STATEMENTS,
    TYPE_NAMES,
    TYPED_NAMES,
    VALUE_NAMES,
)
from audit_emit._runtime.lazy import Pattern

__all__ = [
    "HELD_NAMES",
    "NO_NAMES",
    "SENSITIVE",
    "Judge",
    "held_items",
    "held_names",
    "held_within",
]

NO_NAMES: frozenset[str] = frozenset()
HELD_NAMES = VALUE_NAMES | MANIFEST_NAMES
"""All names, folded, that ``held_names`` may give because of a text beside them."""
_MAX_NAMES = 16
_MAX_WORD = 256
_MAX_LOGIN = 8192
_MAX_WORDS = 32
_MAX_STATEMENT = 4096
_KINDS_OF_CHANGE = frozenset("change add remove replace update set E N D A M".split())
"""What the first of three says in differences as lists: what, where, from and to."""
SENSITIVE = "_sensitive"
"""``{"after": {…}, "after_sensitive": {"x": true}}``, as in a plan of Terraform."""
_MAX_MARKED = 256
_HEADERS = frozenset(("rawheaders", "headers", "rawtrailers", "requestheaders", "responseheaders"))
_BEGIN = Pattern(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END = Pattern(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY")

Judge = Callable[[object], bool]
"""Whether a value is a text that is the name of a secret."""


def held_names(entries: list[Any], names_secret: Judge) -> frozenset[str]:
    """The names, folded, of members of a dict that are secret by what others are."""
    held = NO_NAMES
    if len(entries) < 2:
        return held
    folded = [(fold(name), value) for name, value in entries if type(name) is str]
    for name, value in folded:
        if name in NAME_NAMES and _any_names_secret(value, names_secret):
            held |= VALUE_NAMES
        elif name in TYPE_NAMES and _any_names_secret(value, names_secret):
            held |= MANIFEST_NAMES if name == "kind" else TYPED_NAMES
        elif name in MARKED_SECRET and value is True:
            held |= VALUE_NAMES
        elif name == "kty":
            held |= JWK_NAMES
        elif name in STATEMENTS and type(value) is str and _takes_secret(value, names_secret):
            held |= ARGUMENTS
    if len(held) < 8 and APPROLE.issubset([name for name, _ in folded]):
        held |= APPROLE - {"roleid"}
    return held


_COLUMN = Pattern(
    r"([\w.]{1,128})[\"'`\]]?\s{0,8}(?:=|!=|<>|\blike\b|\bin\b)\s{0,8}\(?\s{0,4}(?:\w{1,16}\()?"
    r"(?:\?|%s|%\(\w|\$[0-9]|[:@][A-Za-z_])"
)
_COLUMNS = Pattern(r"\(([^()]{1,2048})\)\s{0,8}values\b")
_NAME = Pattern(r"[\w.]{1,128}")


def _takes_secret(statement: str, names_secret: Judge) -> bool:
    """Whether a statement puts its parameters into the column of a secret."""
    head = statement[:_MAX_STATEMENT].lower()
    if any(names_secret(match.group(1)) for match in _COLUMN.finditer(head)):
        return True
    return any(
        names_secret(name.group())
        for match in _COLUMNS.finditer(head)
        for name in _NAME.finditer(match.group(1))
    )


def _any_names_secret(value: Any, names_secret: Judge) -> bool:
    if type(value) is list or type(value) is tuple:
        return any(map(names_secret, value[:_MAX_NAMES]))
    return names_secret(value)


def held_items(
    entries: list[Any], names_secret: Judge, *, name: str = "", pair: bool = False
) -> frozenset[int]:
    """The places in a list after the name of a secret: a pair's, a command line's.

    Args:
        entries: of the list.
        names_secret: the judge.
        name: the name that the list has, or the list that it is in.
        pair: whether two of them are a name and a value: in a tuple, or in a list of such.
    """
    if len(entries) == 2 and pair and names_secret(entries[0]):
        return frozenset((1,))
    if len(entries) == 3:
        if _is_change(entries, names_secret):
            return frozenset((2,))
        if name and fold(name) in CHANGES and names_secret(entries[0]):
            return frozenset((1, 2))
    held = {
        at + 1
        for at, entry in enumerate(entries)
        if type(entry) is str
        and entry[:1] == "-"
        and "=" not in entry[:_MAX_WORD]
        and (names_secret(entry) or _takes_login(entry, entries[at + 1 : at + 2]))
    }
    if name and fold(name) in _HEADERS and len(entries) % 2 == 0:
        held |= {at + 1 for at in range(0, len(entries), 2) if names_secret(entries[at])}
    held |= _held_words(entries) | _held_lines(entries)
    if len(entries) > 1 and type(entries[0]) is str:
        words = [entry[:_MAX_WORD] if type(entry) is str else "" for entry in entries[:_MAX_WORDS]]
        held |= set(commands_in(words, names_secret))
    return frozenset(held)


def held_within(entries: list[Any], names_secret: Judge) -> dict[str, Any]:
    """What is secret in some members of a dict by what others of them say.

    Returns:
        By the name of a member: the names in it, folded, or the places in each of its rows.
    """
    within: dict[str, Any] = {}
    columns: frozenset[int] = frozenset()
    for name, value in entries:
        if type(name) is not str:
            continue
        if name.endswith(SENSITIVE) and type(value) is dict:
            marked = frozenset(
                fold(inner)
                for inner in list(value)[:_MAX_MARKED]
                if type(inner) is str and value[inner]
            )
            if marked:
                within[name.removesuffix(SENSITIVE)] = marked
        elif fold(name) in COLUMNS and (type(value) is list or type(value) is tuple):
            columns |= frozenset(
                at for at, column in enumerate(value[:_MAX_MARKED]) if names_secret(column)
            )
    if columns:
        within.update(
            (name, columns) for name, _ in entries if type(name) is str and fold(name) in ROWS
        )
    return within


def _is_change(entries: list[Any], names_secret: Judge) -> bool:
    first = entries[0]
    return (
        type(first) is str
        and first in _KINDS_OF_CHANGE
        and _any_names_secret(entries[1], names_secret)
    )


def _held_lines(entries: list[Any]) -> set[int]:
    """The lines of a private key, as a list."""
    held: set[int] = set()
    within = False
    for at, entry in enumerate(entries):
        if type(entry) is str and "-" in entry[:8]:
            if _BEGIN.match(entry):
                within = True
                continue
            if _END.match(entry):
                within = False
        if within:
            held.add(at)
    return held


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
