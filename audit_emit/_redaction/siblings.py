"""What is secret in a container by what else is in it: names and values, pairs, command lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_emit._redaction.companions import held_by_company, is_reference
from audit_emit._redaction.entries import is_code, is_complete
from audit_emit._redaction.finders.programs import secret_words
from audit_emit._redaction.finders.remarks import is_complaint
from audit_emit._redaction.finders.shell import commands_in
from audit_emit._redaction.finders.words_of_prose import is_word
from audit_emit._redaction.marks import held_by_mark, marked_by
from audit_emit._redaction.names import fold, has_descriptions
from audit_emit._redaction.words import (
    ANSWERS,
    ARGUMENTS,
    CHANGES,
    COLUMNS,
    COMMON_COLUMNS,
    JWK_NAMES,
    MANIFEST_NAMES,
    NAME_NAMES,
    PROMPTS,
    ROWS,
    STATEMENTS,
    TYPE_NAMES,
    TYPED_NAMES,
    VALUE_CONTAINERS,
    VALUE_NAMES,
)
from audit_emit._runtime.lazy import Pattern

__all__ = [
    "NO_NAMES",
    "SECRET_BY_OTHERS",
    "Judge",
    "Siblings",
    "find_siblings",
    "is_column",
    "is_looked_into",
]

NO_NAMES: frozenset[str] = frozenset()
_NO_PLACES: frozenset[int] = frozenset()
_NOTHING_WITHIN: dict[str, Any] = {}
SECRET_BY_OTHERS = VALUE_NAMES | MANIFEST_NAMES | VALUE_CONTAINERS | ANSWERS
"""All names, folded, of members of a dict that may be secret because of a text in another one."""
_MAX_NAMES = 16
_MAX_WORD = 256
_MAX_LOGIN = 8192
_MAX_WORDS = 32
_MAX_STATEMENT = 4096
_MAX_PROMPT_WORDS = 4
_KINDS_OF_CHANGE = frozenset("change add remove replace update set E N D A M".split())
"""What the first of three says in differences as lists: what, where, from and to."""
_MAX_MARKED = 256
_HEADERS = frozenset(("rawheaders", "headers", "rawtrailers", "requestheaders", "responseheaders"))
_BEGIN = Pattern(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END = Pattern(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY")

Judge = Callable[[object], bool]
"""Whether a value is a text that is the name of a secret."""


class Siblings:
    """What is secret in one container because of its other members, or of the container above.

    Attributes:
        by_name: the names, folded, of members of a dict that are secret.
        by_place: the places of entries of a list that are secret.
        within: by the name of a member, what is secret in it: names, or places in each of its rows.
        columns: the places that are secret in each list of a list of rows.
        pairs: whether each entry of a list is a list of two, or a dict.
        label: of a list, the name that it has, or that the list around it has.
    """

    __slots__ = ("by_name", "by_place", "columns", "label", "pairs", "within")

    def __init__(self) -> None:
        self.by_name: frozenset[str] = NO_NAMES
        self.by_place: frozenset[int] = _NO_PLACES
        self.within: dict[str, Any] = _NOTHING_WITHIN
        self.columns: frozenset[int] = _NO_PLACES
        self.pairs = False
        self.label = ""


def find_siblings(
    kind: str,
    entries: list[Any],
    names_secret: Judge,
    above: Siblings | None = None,
    *,
    is_tuple: bool = False,
    strict: bool = False,
    into: Siblings,
) -> None:
    """Fill ``into`` with what the members of a container say of each other.

    Args:
        kind: ``dict``, where entries are pairs of a name and a value; ``list``; or another one.
        entries: the members.
        names_secret: the judge.
        above: of the container that this one is in; its ``label`` is the name of this one there.
        is_tuple: whether a list was a tuple.
        strict: whether the dict has the name of a secret.
        into: is changed.
    """
    if kind == "dict":
        into.by_name = _names_held(entries, names_secret)
        into.within = _secret_within(entries, names_secret)
        if strict and len(entries) > 1 and all(map(_is_side, entries)):
            into.by_name |= VALUE_NAMES  # an old and a new value
    elif kind == "list":
        into.pairs = all(map(_is_pair, entries))
        name, of_pairs = (above.label, above.pairs) if above is not None else ("", False)
        if len(entries) > 1:  # one says nothing of others
            pair = of_pairs or is_tuple
            into.by_place = _places_held(entries, names_secret, name=name, pair=pair)
            into.columns = _columns_of_first_row(entries, names_secret)
        into.label = name
    from_above = () if above is None else above.columns or above.within.get(above.label, ())
    if from_above:
        _add(into, from_above, kind, entries)


def _add(into: Siblings, from_above: frozenset[Any], kind: str, entries: list[Any]) -> None:
    """What the container above says: names of members, or places in each row."""
    names = frozenset(one for one in from_above if type(one) is str)
    if names and kind != "dict":
        into.within = {into.label: names}
    if kind == "dict":
        into.by_name |= names
        return
    places = frozenset(one for one in from_above if type(one) is int)
    if any(type(entry) is list or type(entry) is tuple for entry in entries):
        into.columns = places
    else:
        into.by_place |= places


def _is_side(entry: Any) -> bool:
    return type(entry[0]) is str and fold(entry[0]) in VALUE_NAMES


def _is_pair(entry: object) -> bool:
    """Whether an entry of a list leaves it one of pairs: a name and a value, or an object."""
    kind = type(entry)
    return kind is dict or ((kind is list or kind is tuple) and len(entry) == 2)  # type: ignore[arg-type]


def _names_held(entries: list[Any], names_secret: Judge) -> frozenset[str]:
    """The names, folded, of members of a dict that are secret by what others are."""
    held = NO_NAMES
    if len(entries) < 2:
        return held
    folded = [(fold(name), value) for name, value in entries if type(name) is str]
    for name, value in folded:
        if name in NAME_NAMES and _any_names_secret(value, names_secret):
            held |= VALUE_NAMES | {
                other for other, beside in folded if _is_change_of(other, beside)
            }
        elif name in PROMPTS and _prompts_for_secret(value, names_secret):
            held |= VALUE_NAMES | ANSWERS
        elif name in TYPE_NAMES and _any_names_secret(value, names_secret):
            held |= MANIFEST_NAMES if name == "kind" else TYPED_NAMES
        elif value is True:
            held |= held_by_mark(name)
        elif name == "kty":
            held |= JWK_NAMES
        elif name in STATEMENTS and type(value) is str and _takes_secret(value, names_secret):
            held |= ARGUMENTS
        elif (
            name in COLUMNS
            and type(value) is str
            and _any_names_secret(value[:_MAX_STATEMENT].replace(";", ",").split(","), names_secret)
        ):
            held |= {other for other, beside in folded if other in ROWS and type(beside) is str}
    for name, value in folded:
        if name == "valuefrom" and is_reference(value):
            held -= {name}
    return held | held_by_company(folded)


def _is_change_of(name: str, value: object) -> bool:
    """Whether a member holds old and new value in itself: ``"change": "x -> y"``."""
    if name not in VALUE_CONTAINERS:
        return False
    kind = type(value)
    if name == "item":
        return kind is dict
    if kind is str:
        return not is_word(value[:_MAX_WORD])  # type: ignore[index]
    return kind is dict or kind is list or kind is tuple


def _prompts_for_secret(value: object, names_secret: Judge) -> bool:
    """``"prompt": "Enter password"``: a few words, as against a sentence."""
    return (
        type(value) is str
        and len(value) <= _MAX_WORD
        and value.count(" ") < _MAX_PROMPT_WORDS
        and names_secret(value.rstrip(" :?"))
    )


_COLUMN = Pattern(
    r"(?<![\w.])([\w.]{1,128})[\"'`\]]?\s{0,8}(?:=|!=|<>|\blike\b|\bin\b)\s{0,8}\(?\s{0,4}(?:\w{1,16}\()?"
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
        return any(_entry_names_secret(entry, names_secret) for entry in value[:_MAX_NAMES])
    return _entry_names_secret(value, names_secret)


def _entry_names_secret(entry: Any, names_secret: Judge) -> bool:
    """Whether a text is the name of a secret, or a dict has one: ``{"name": "password"}``."""
    if type(entry) is dict:
        return len(entry) <= _MAX_NAMES and any(
            names_secret(value)
            for name, value in list(entry.items())
            if type(name) is str and fold(name) in NAME_NAMES
        )
    return names_secret(entry)


def _places_held(
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
        return _NO_PLACES if is_column(entries[1]) else frozenset((1,))
    if len(entries) == 3:
        if _is_change(entries, names_secret):
            return frozenset((2,))
        if name and fold(name) in CHANGES and names_secret(entries[0]):
            return frozenset((1, 2))
    held = {
        at + 1
        for at, entry in enumerate(entries)
        if type(entry) is str and _takes_next(entry, entries[at + 1 : at + 2], names_secret)
    }
    if name and fold(name) in _HEADERS and len(entries) % 2 == 0:
        held |= {at + 1 for at in range(0, len(entries), 2) if names_secret(entries[at])}
    held |= _held_words(entries) | _held_lines(entries)
    if len(entries) > 1 and type(entries[0]) is str:
        words = [entry[:_MAX_WORD] if type(entry) is str else "" for entry in entries[:_MAX_WORDS]]
        held |= set(commands_in(words, names_secret))
    return frozenset(held)


def _takes_next(entry: str, following: list[Any], names_secret: Judge) -> bool:
    """Whether the next entry is the value of this one: ``--password``, ``-u``, ``password:``."""
    if not following:
        return False
    if entry[:1] == "-" and "=" not in entry[:_MAX_WORD]:
        named = names_secret(entry) and not is_complete(entry)
        return named or _takes_login(entry, following)
    if entry[-1:] not in (":", "=") or entry.count(" ") > _MAX_PROMPT_WORDS:
        return False
    return len(entry) > 2 and not is_code(entry) and names_secret(entry[:-1])


def _secret_within(entries: list[Any], names_secret: Judge) -> dict[str, Any]:
    """What is secret in some members of a dict by what others of them say.

    Returns:
        By the name of a member: the names in it, folded, or the places in each of its rows.
    """
    within: dict[str, Any] = {}
    columns: frozenset[int] = frozenset()
    for name, value in entries:
        if type(name) is not str:
            continue
        marked = marked_by(name, value)
        if marked is not None:
            within.update(marked)
        elif (type(value) is list or type(value) is tuple) and fold(name) in COLUMNS:
            columns |= frozenset(
                at
                for at, column in enumerate(value[:_MAX_MARKED])
                if _entry_names_secret(column, names_secret)
            )
    if columns:
        within.update(
            (name, columns) for name, _ in entries if type(name) is str and fold(name) in ROWS
        )
    return within


def _columns_of_first_row(entries: list[Any], names_secret: Judge) -> frozenset[int]:
    """``[["user", "password"], ["bob", "x"]]``: the places of secrets, by the names of columns."""
    row = entries[0] if len(entries) > 1 else None
    # Not ``in``: a class whose class compares as it likes would be asked.
    if (type(row) is not list and type(row) is not tuple) or len(row) < 2:
        return _NO_PLACES
    head = row[:_MAX_MARKED]
    if not all(type(name) is str and len(name) <= _MAX_WORD for name in head):
        return _NO_PLACES
    places = frozenset(at for at, name in enumerate(head) if names_secret(name))
    others = [name for at, name in enumerate(head) if at not in places]
    if not places or not others or not all(fold(name) in COMMON_COLUMNS for name in others):
        return _NO_PLACES
    return places


def is_looked_into(name: str, kind: str, entries: list[Any]) -> bool:
    """Whether a container with the name of a secret may describe it: ``{"id": …, "scope": …}``.

    A member of a JSON Schema does, too: ``{"type": "string", "minLength": 8}``.
    """
    if kind == "dict":
        return has_descriptions(name) or any(
            member == "type" and type(value) is str and value in _SCHEMA_TYPES
            for member, value in entries
            if type(member) is str
        )
    if entries and all(
        type(entry) is str and is_complaint(entry) for entry in entries[:_MAX_NAMES]
    ):
        return True  # what was wrong with it; others among them are held back
    return has_descriptions(name) and all(type(entry) is dict for entry in entries)


_SCHEMA_TYPES = frozenset(("string", "integer", "number", "boolean", "object", "array", "null"))


def is_column(value: object) -> bool:
    """Whether a text is what columns and fields are called, so that a pair is one of names."""
    return type(value) is str and len(value) <= _MAX_WORD and fold(value) in COMMON_COLUMNS


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
