"""Records the changes of tracked models for which Django sends no signal.

These are ``QuerySet.update`` and ``bulk_create``, and the columns that Django sets to NULL when it
deletes. Their methods are wrapped, once in a process; calls for other models are passed on
unchanged. ``bulk_update`` and the async methods call the wrapped ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import wraps
from typing import Any

from django.db import models
from django.db.models import sql

from audit_emit.integrations import _changes
from audit_emit.integrations._changes import Change, differences
from audit_emit.integrations._django_tracking import Tracked, cleaned, plain, quietly, tracked_of

__all__ = ["wrap"]

Row = Mapping[str, Any]
Rows = Mapping[Any, Row]


def _of_many(tracked: Tracked, before: Rows, given: Row, using: str) -> list[Change]:
    """The changes by an UPDATE; rows are read again where a value is an expression."""
    same = {name: getattr(value, "pk", value) for name, value in given.items()}
    computed = any(hasattr(value, "resolve_expression") for value in same.values())
    after = tracked.rows_of(before, using) if computed else {}
    changes = []
    for pk, had in before.items():
        has = after.get(pk, {}) if computed else same
        found = differences(had, {name: has[name] for name in same if name in has})
        if found := cleaned(tracked, found):
            changes.append(_changes.updated(tracked.label, pk, found, "update"))
    return changes


def wrap() -> None:
    """Wrap, once in a process, the methods that change rows and send no signal."""
    queryset = models.QuerySet
    if getattr(queryset.update, "_audit_emit", False):
        return
    wrapped = {
        (queryset, "update"): _updating(queryset.update),
        (queryset, "bulk_create"): _creating(queryset.bulk_create),
        (sql.UpdateQuery, "update_batch"): _nulling(sql.UpdateQuery.update_batch),
    }
    for (owner, name), function in wrapped.items():
        for key, value in vars(getattr(owner, name)).items():
            setattr(function, key, value)  # ``alters_data``, ``queryset_only``
        function._audit_emit = True  # noqa: SLF001 - our own mark
        setattr(owner, name, function)


def _given(tracked: Tracked, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an update by the names of the tracked fields."""
    names = {**tracked.names, **{name: name for name in tracked.names.values()}}
    return {names[key]: value for key, value in values.items() if key in names}


def _updating(original: Any) -> Any:
    @wraps(original)
    def update(self: Any, **kwargs: Any) -> Any:
        tracked = tracked_of(self.model)
        given = {} if tracked is None else _given(tracked, kwargs)
        if tracked is None or not given or self.query.is_sliced or self.query.combinator:
            return original(self, **kwargs)
        self._for_write = True
        using = self.db
        before = tracked.rows(self._chain(), _changes.MAX_ROWS + 1)
        rows = original(self, **kwargs)
        _after_update(tracked, before, given, rows, using)
        return rows

    return update


def _creating(original: Any) -> Any:
    @wraps(original)
    def bulk_create(self: Any, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        tracked = tracked_of(self.model)
        if tracked is None:
            return original(self, objs, *args, **kwargs)
        made = original(self, objs, *args, **kwargs)
        named = dict(
            zip(("batch_size", "ignore_conflicts", "update_conflicts"), args, strict=False)
        )
        asked = {**named, **kwargs}
        unsure = bool(asked.get("ignore_conflicts") or asked.get("update_conflicts"))
        _after_create(tracked, list(made), self.db, unsure=unsure)
        return made

    return bulk_create


def _nulling(original: Any) -> Any:
    @wraps(original)
    def update_batch(self: Any, pk_list: Any, values: Any, using: str) -> Any:
        tracked = tracked_of(self.get_meta().concrete_model)
        given = {} if tracked is None else _given(tracked, values)
        if tracked is None or not given:
            return original(self, pk_list, values, using)
        before = tracked.rows_of(pk_list, using)
        done = original(self, pk_list, values, using)
        _after_update(tracked, before, given, len(before), using)
        return done

    return update_batch


@quietly
def _after_update(tracked: Tracked, before: Rows, given: Row, rows: int, using: str) -> None:
    if len(before) > _changes.MAX_ROWS:
        shown = plain(given)
        many = _changes.updated_many("model.updated", tracked.label, rows, shown, "update")
        tracked.record(using, [many])
    else:
        tracked.record(using, _of_many(tracked, before, given, using))


@quietly
def _after_create(tracked: Tracked, rows: list[Any], using: str, *, unsure: bool) -> None:
    label, via = tracked.label, "bulk_create"
    if len(rows) > _changes.MAX_ROWS:
        changes = [_changes.updated_many("model.created", label, len(rows), {}, via)]
    else:
        changes = [
            _changes.created(label, one.pk, plain(tracked.values(one)), via, unsure=unsure)
            for one in rows
        ]
    tracked.record(using, changes, *((one, tracked.values(one)) for one in rows))
