"""A record as a page shows it: texts only, with invisible characters written as escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from audit_emit._facade.exports import Record
from audit_emit._facade.queries import Question, Term
from audit_emit._facade.records import hash_holds, head_of
from audit_emit._facade.text import visible
from audit_emit.console.messages import text
from audit_emit.console.sealed import told
from audit_emit.console.spelled import spelled

_PAIRS = (
    ("before", "after"),
    ("old", "new"),
    ("old_value", "new_value"),
    ("oldValue", "newValue"),
    ("previous", "current"),
    ("previous_value", "current_value"),
    ("from", "to"),
    ("original", "updated"),
)
"""Usual names of the fields that hold a value before and after a change."""

_NAMES = ("field", "name", "key", "path", "attribute", "column")
_CHANGES = ("changes", "diff", "changed")
_FAILED = frozenset({"failure", "denied", "error"})
_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
_SHOWN = 300
"""Characters of a record's fields in a table."""

_DEPTH = 8
_ROWS = 500
_SECRET_REFERENCE = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")


class Row(NamedTuple):
    """One record in a table.

    Attributes:
        link: the part of its address after ``event/``; empty for a record without an own page: it
            has neither id nor place, or no filter matches it, as with a byte order mark before it.
        ts, type, actor, kind, workspace, correlation: as the record has them.
        fields: on one line.
        failed: the recorded action was refused or failed.
        place: ``CHAIN:SEQ``; empty for a record that is not in a chain.
    """

    link: str
    ts: str
    type: str
    actor: str
    kind: str
    workspace: str
    correlation: str
    fields: str
    failed: bool
    place: str


class Change(NamedTuple):
    """One value before and after a change."""

    name: str
    before: str
    after: str


class Detail(NamedTuple):
    """One record on a page of its own.

    Attributes:
        row: as in the table.
        members: name and value of every member but the fields.
        fields: path and value of every field.
        changes: values before and after.
        raw: the exact line, with escapes for invisible characters.
        size: bytes of the line.
        hashed: whether the hash that it states is right; ``None`` without one.
        raw_members: the members as they are, for links.
        target: the object of the action (``target_of``); empty for none.
    """

    row: Row
    members: list[tuple[str, str]]
    fields: list[tuple[str, str]]
    changes: list[Change]
    raw: str
    size: int
    hashed: bool | None
    raw_members: Mapping[str, str]
    target: str


def row_of(line: bytes) -> Row:
    """A record in a table."""
    record = Record.of(line)
    if record is None:
        shown = visible(line.decode("utf-8", "backslashreplace"))
        return Row("", "", text("event.no_record"), "", "", "", "", shown[:500], True, "")
    is_ = record.is_
    told(is_.fields, line)
    head = head_of(line)
    place = f"{head.chain}:{head.seq}" if head is not None else ""
    outcome = is_.fields.get("outcome")
    return Row(
        place or (is_.id if _answers_to(is_.id, line) else ""),
        visible(is_.ts),
        visible(is_.event_type),
        visible(is_.user_id),
        visible(is_.actor_kind),
        visible(is_.workspace_id),
        visible(is_.correlation_id),
        _short(is_.fields),
        (isinstance(outcome, str) and outcome in _FAILED) or is_.event_type == "audit.gap",
        place,
    )


def _answers_to(name: str, line: bytes) -> bool:
    """Whether a record is found by its id, as its page looks for it."""
    if not _ID.fullmatch(name):
        return False
    return Question(terms=(Term(("id",), name),)).match(line) is not None


def detail_of(line: bytes) -> Detail:
    """A record on a page of its own."""
    record = Record.of(line)
    fields: dict[str, Any] = {} if record is None else told(record.is_.fields, line)
    members: list[tuple[str, str]] = []
    raw_members: dict[str, str] = {}
    if record is not None:
        for name in record.is_.__struct_fields__:
            if name == "fields":
                continue
            value = str(getattr(record.is_, name))
            raw_members[name] = value
            if value:
                members.append((name, visible(value)))
    return Detail(
        row_of(line),
        members,
        [(visible(name), _text(value)) for name, value in _leaves(fields, "", 0)][:_ROWS],
        list(_changes(fields))[:_ROWS],
        visible(line.decode("utf-8", "backslashreplace")),
        len(line),
        hash_holds(line) if head_of(line) is not None else None,
        raw_members,
        target_of(fields),
    )


def target_of(fields: Mapping[str, Any]) -> str:
    """The object of an action: the field ``key``, which ``query --who-changed`` looks at."""
    value = fields.get("key")
    return value if isinstance(value, str) else ""


def plain(name: str) -> bool:
    """Whether a filter would take a name literally, and not as a shell pattern."""
    return _SECRET_REFERENCE.fullmatch(name) is not None


def _short(fields: Mapping[str, Any]) -> str:
    short = ""
    for name, value in fields.items():
        short += f"{'  ' if short else ''}{_shown(str(name))}={_shown(value)}"
        if len(short) > _SHOWN:
            return short[:_SHOWN] + "…"
    return short


def _shown(value: Any) -> str:
    """A value in a table: only as much of a long text is looked at as is shown."""
    return spelled(_text(value[: _SHOWN + 1] if isinstance(value, str) else value))


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth < _DEPTH:
        for name, one in value.items():
            yield from _leaves(one, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list) and value and depth < _DEPTH:
        for number, one in enumerate(value):
            yield from _leaves(one, f"{path}[{number}]", depth + 1)
    else:
        yield path, value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return visible(value)
    try:
        return visible(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return text("event.too_deep")


def _changes(fields: Mapping[str, Any]) -> Iterator[Change]:
    """Values before and after a change, found by the usual names of such fields."""
    for old, new in _PAIRS:
        if old in fields and new in fields:
            yield from _between("", fields[old], fields[new])
    for name in _CHANGES:
        yield from _listed(fields.get(name))


def _listed(changes: Any) -> Iterator[Change]:
    if isinstance(changes, dict):
        for name, one in changes.items():
            pair = _pair(one)
            if pair is not None:
                yield from _between(str(name), *pair)
    elif isinstance(changes, list):
        for one in changes:
            pair = _pair(one)
            if pair is not None and isinstance(one, dict):
                named = next((one[name] for name in _NAMES if isinstance(one.get(name), str)), "")
                yield from _between(named, *pair)


def _pair(value: Any) -> tuple[Any, Any] | None:
    if isinstance(value, dict):
        for old, new in _PAIRS:
            if old in value or new in value:
                return value.get(old), value.get(new)
    if isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    return None


def _between(name: str, old: Any, new: Any) -> Iterator[Change]:
    """What differs; objects are compared member by member."""
    if isinstance(old, dict) and isinstance(new, dict):
        for one in dict.fromkeys([*old, *new]):
            if old.get(one) != new.get(one) or (one in old) != (one in new):
                inner = f"{name}.{one}" if name else str(one)
                yield Change(visible(inner), _or_none(old, one), _or_none(new, one))
    else:
        yield Change(visible(name), _text(old), _text(new))


def _or_none(value: Mapping[str, Any], name: str) -> str:
    return _text(value[name]) if name in value else ""
