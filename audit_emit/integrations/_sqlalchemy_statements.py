"""Records ``update()``, ``delete()`` and ``insert()`` of mapped classes that a session executes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import ORMExecuteState

from audit_emit.integrations import _changes
from audit_emit.integrations._changes import MAX_ROWS, Change
from audit_emit.integrations._sqlalchemy_rows import (
    Tracked,
    key_of,
    quietly,
    rows_of,
    tracked_of,
)
from audit_emit.integrations._sqlalchemy_transactions import note

__all__ = ["execute"]

Rows = dict[tuple[Any, ...], Mapping[str, Any]]


def execute(state: ORMExecuteState) -> Any:
    """Run a statement, and note what it has changed; ``None`` where it is none of these."""
    if not (state.is_update or state.is_delete or state.is_insert):
        return None
    mapper = state.bind_mapper
    tracked = None if mapper is None else tracked_of(mapper.class_)
    if tracked is None:
        return None
    if state.is_insert:
        result = state.invoke_statement()
        _after_insert(state, tracked)
        return result
    before = _before(state, tracked)
    result = state.invoke_statement()
    _after_change(state, tracked, before, getattr(result, "rowcount", -1))
    return result


def _before(state: ORMExecuteState, tracked: Tracked) -> Rows:
    """The rows that a statement is about to change, one more than are recorded singly."""
    mapper: Any = state.bind_mapper
    session = state.session
    if isinstance(state.parameters, list):  # an update of many rows by their primary keys
        names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        keys = [tuple(row[name] for name in names) for row in state.parameters[: MAX_ROWS + 1]]
        return rows_of(session, mapper, tracked.names, keys)
    columns = [mapper.attrs[name].columns[0] for name in tracked.names]
    statement: Any = state.statement
    wanted = select(*mapper.primary_key, *columns).limit(MAX_ROWS + 1)
    if statement.whereclause is not None:
        wanted = wanted.where(statement.whereclause)
    session._autoflush()  # noqa: SLF001 - as the statement itself does, so that its changes are seen
    connection = session.connection(bind_arguments={"mapper": mapper})
    count, found = len(mapper.primary_key), Rows()
    given = state.parameters if isinstance(state.parameters, Mapping) else {}
    for row in connection.execute(wanted, given):
        found[tuple(row[:count])] = dict(zip(tracked.names, row[count:], strict=True))
    return found


@quietly
def _after_change(state: ORMExecuteState, tracked: Tracked, before: Rows, rows: int) -> None:
    mapper: Any = state.bind_mapper
    model = mapper.class_.__name__
    kind, via = ("model.updated", "update") if state.is_update else ("model.deleted", "delete")
    if len(before) > MAX_ROWS:
        listed = isinstance(state.parameters, list)
        count = len(state.parameters or ()) if listed else rows
        changes = [_changes.updated_many(kind, model, count, {}, via)]
    elif state.is_delete:
        changes = [_changes.deleted(model, key_of(pk), had, via) for pk, had in before.items()]
    else:
        after = rows_of(state.session, mapper, tracked.names, before)
        changes = list(_updates(model, before, after))
    note(state.session, [(tracked, change) for change in changes])


def _updates(model: str, before: Rows, after: Rows) -> Any:
    for pk, had in before.items():
        found = _changes.differences(had, after.get(pk, {}))
        if found:
            yield _changes.updated(model, key_of(pk), found, "update")


@quietly
def _after_insert(state: ORMExecuteState, tracked: Tracked) -> None:
    mapper: Any = state.bind_mapper
    model, via = mapper.class_.__name__, "insert"
    rows = _inserted(state)
    if len(rows) > MAX_ROWS:
        changes = [_changes.updated_many("model.created", model, len(rows), {}, via)]
    else:
        names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        changes = [_created(model, names, tracked, row) for row in rows]
    note(state.session, [(tracked, change) for change in changes])


def _created(model: str, names: list[str], tracked: Tracked, row: Mapping[str, Any]) -> Change:
    values = {name: row[name] for name in tracked.names if name in row}
    pk = key_of(row.get(name, _changes.UNKNOWN) for name in names)
    return _changes.created(model, pk, values, "insert")


def _inserted(state: ORMExecuteState) -> list[Mapping[str, Any]]:
    """The values of each row of an INSERT, as far as the statement holds them."""
    if isinstance(state.parameters, list):
        return list(state.parameters)
    if isinstance(state.parameters, Mapping) and state.parameters:
        return [state.parameters]
    statement: Any = state.statement
    several = getattr(statement, "_multi_values", ())
    if several:
        return [_by_name(row) for rows in several for row in rows]
    return [_by_name(getattr(statement, "_values", None) or {})]


def _by_name(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        return {}
    return {
        str(getattr(column, "key", column)): getattr(value, "value", value)
        for column, value in row.items()
    }
