"""What SQLAlchemy's unit of work knows of a row that it inserts, updates or deletes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import inspect, select, tuple_
from sqlalchemy.orm import Session, object_session
from sqlalchemy.sql import ClauseElement

from audit_emit.integrations import _changes
from audit_emit.integrations._changes import UNKNOWN, Change, listener_of
from audit_emit.integrations._common import Emits

__all__ = [
    "FLUSHED",
    "TRACKED",
    "Tracked",
    "after_delete",
    "after_insert",
    "after_update",
    "before_update",
    "key_of",
    "quietly",
    "read_unknown",
    "rows_of",
    "tracked_of",
]

FLUSHED = "audit_emit.flushed"
"""Where a session keeps the changes of the flush that is going on."""

_BEFORE = "audit_emit.before"
"""Where a session keeps values that were read before this flush."""

_COMPUTED = "audit_emit.computed"
"""Where a session keeps the attributes of this flush that hold expressions."""

_CHUNK = 500


class Tracked(NamedTuple):
    """A mapped class whose changes are recorded.

    Attributes:
        model: the class.
        names: of the attributes.
        reads: whether values that are not known are read before a flush.
        outbox: whether records go through the transaction; ``None``: where the chain is there.
        emitter: writes the records.
    """

    model: Any
    names: tuple[str, ...]
    reads: bool
    outbox: bool | None
    emitter: Emits | None


TRACKED: dict[Any, Tracked] = {}


def tracked_of(model: Any) -> Tracked | None:
    """How a class is tracked, or the nearest of those that it inherits from."""
    for each in model.__mro__:
        found = TRACKED.get(each)
        if found is not None:
            return found
    return None


quietly = listener_of("SQLAlchemy")


def _shown(value: Any) -> Any:
    """A value for a record: an expression, such as ``Invoice.n + 1``, by its text."""
    if _is_expression(value):
        return f"<{value}>"
    return _changes.kept(value)


def _is_expression(value: Any) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def key_of(values: Iterable[Any]) -> Any:
    """A primary key as a record has it: the value, or a list of several."""
    found = list(values)
    return found[0] if len(found) == 1 else found


def _pk(mapper: Any, target: Any) -> Any:
    return key_of(mapper.primary_key_from_instance(target))


def _noted(target: Any, tracked: Tracked, change: Change) -> None:
    session = object_session(target)
    if session is not None:
        session.info.setdefault(FLUSHED, []).append((tracked, change))


@quietly
def after_insert(mapper: Any, _: Any, target: Any) -> None:
    """Note a new row, with the values that the session knows."""
    tracked = tracked_of(mapper.class_)
    if tracked is None:
        return
    held = inspect(target).dict
    values = {name: _shown(held[name]) for name in tracked.names if name in held}
    change = _changes.created(mapper.class_.__name__, _pk(mapper, target), values, "flush")
    _noted(target, tracked, change)


@quietly
def before_update(mapper: Any, _: Any, target: Any) -> None:
    """Note the attributes that hold an expression: after the flush nobody knows their values."""
    tracked, session = tracked_of(mapper.class_), object_session(target)
    if tracked is None or session is None:
        return
    state = inspect(target)
    held, was = state.dict, state.committed_state
    found = {
        name: {"before": _known(was[name]), "after": _shown(held[name])}
        for name in tracked.names
        if name in was and name in held and _is_expression(held[name])
    }
    if found:
        session.info.setdefault(_COMPUTED, {})[id(state)] = found


@quietly
def after_update(mapper: Any, _: Any, target: Any) -> None:
    """Note a changed row; the history of its attributes is still that of before the flush."""
    tracked = tracked_of(mapper.class_)
    if tracked is None:
        return
    state = inspect(target)
    held, was = state.dict, state.committed_state
    session = object_session(target)
    read = {} if session is None else session.info.get(_BEFORE, {}).get(state, {})
    changes = {} if session is None else session.info.get(_COMPUTED, {}).pop(id(state), {})
    unsure = bool(changes)
    for name in tracked.names:
        if name not in was or name in changes:
            continue
        before, after = read.get(name, _known(was[name])), held.get(name, UNKNOWN)
        unsure = unsure or after is UNKNOWN
        if not _changes.same(before, after):
            changes[name] = {"before": _changes.kept(before), "after": _shown(after)}
    if changes:
        name, pk = mapper.class_.__name__, _pk(mapper, target)
        _noted(target, tracked, _changes.updated(name, pk, changes, "flush", unsure=unsure))


@quietly
def after_delete(mapper: Any, _: Any, target: Any) -> None:
    """Note a deleted row, with the values that the session knows."""
    tracked = tracked_of(mapper.class_)
    if tracked is None:
        return
    state = inspect(target)
    held = {**state.dict, **state.committed_state}
    values = {name: _known(held.get(name, UNKNOWN)) for name in tracked.names}
    change = _changes.deleted(mapper.class_.__name__, _pk(mapper, target), values, "flush")
    _noted(target, tracked, change)


def _known(value: Any) -> Any:
    """A value of the history; the marks of SQLAlchemy for a value that nobody has loaded: ``?``."""
    module = type(value).__module__
    return UNKNOWN if module == "sqlalchemy.orm.base" else value


def read_unknown(session: Session, *_: Any) -> None:
    """Before a flush: read what changed attributes had, of the classes that ask for it."""
    session.info.pop(_BEFORE, None)
    wanted: dict[Any, list[Any]] = {}
    for target in session.dirty:
        tracked = tracked_of(type(target))
        if tracked is not None and tracked.reads:
            state = inspect(target)
            was = state.committed_state
            if state.key and any(_known(was[n]) is UNKNOWN for n in tracked.names if n in was):
                wanted.setdefault(state.mapper, []).append(state)
    if not wanted:
        return
    found: dict[Any, Any] = {}
    with session.no_autoflush:
        for mapper, states in wanted.items():
            names = TRACKED[tracked_of(mapper.class_).model].names  # type: ignore[union-attr]
            rows = rows_of(session, mapper, names, [state.key[1] for state in states])
            found.update({state: rows.get(tuple(state.key[1]), {}) for state in states})
    session.info[_BEFORE] = found


def rows_of(
    session: Session, mapper: Any, names: Iterable[str], keys: Iterable[Any]
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """What the rows with these primary keys have, by key."""
    columns = [mapper.attrs[name].columns[0] for name in names]
    primary = list(mapper.primary_key)
    wanted = [tuple(key) for key in keys]
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for at in range(0, len(wanted), _CHUNK):
        part = wanted[at : at + _CHUNK]
        chosen = primary[0].in_([key[0] for key in part]) if len(primary) == 1 else None
        where = tuple_(*primary).in_(part) if chosen is None else chosen
        for row in session.connection(bind_arguments={"mapper": mapper}).execute(
            select(*primary, *columns).where(where)
        ):
            key = tuple(row[: len(primary)])
            found[key] = dict(zip(names, row[len(primary) :], strict=True))
    return found
