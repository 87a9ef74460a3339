"""Turns changes of rows into the events ``model.created``, ``model.updated``, ``model.deleted``.

An adapter of an ORM passes the values of a row before and after; this module decides what the
record has, so that all adapters give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any, NamedTuple

import audit_emit
from audit_emit import Emitter
from audit_emit._facade.adapters import bare_name, get_emitter, let_through
from audit_emit._facade.settings import Address
from audit_emit.context import AuditContext, current_context
from audit_emit.errors import AuditError
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.outbox import emit_in

__all__ = [
    "MAX_ROWS",
    "UNKNOWN",
    "Change",
    "created",
    "deleted",
    "differences",
    "keeps_outbox_in",
    "kept",
    "listener_of",
    "same",
    "updated",
    "updated_many",
    "write",
    "write_in",
]

UNKNOWN = "?"
"""In place of a value that nobody has read."""

MAX_ROWS = 1000
"""How many rows of one statement are recorded one by one; for more, only their number is."""

_MUTABLE = (dict, list, set, bytearray)


class Change(NamedTuple):
    """One event, with who acted when the change was made: a commit may come later."""

    context: AuditContext
    event_type: str
    fields: dict[str, Any]


def listener_of(host: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a callback of a host: of its exceptions only that of a refused outbox goes on."""

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def listener(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except AuditError:
                raise
            except Exception as error:  # noqa: BLE001 - a row holds any object; the change goes on
                let_through(error)
                report_failure(f"tracking of {host}", error)

        return listener

    return decorated


def kept(value: Any) -> Any:
    """The value as it is now: a copy, if it can be changed in place."""
    if not isinstance(value, _MUTABLE):
        return value
    try:
        return deepcopy(value)
    except Exception as error:  # noqa: BLE001 - an object in it may refuse to be copied
        let_through(error)
        return UNKNOWN


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; of values that cannot be compared, they are not."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception as error:  # noqa: BLE001 - an application's ``__eq__`` may raise anything
        let_through(error)
        return False


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The values of ``after`` that differ from before; ``"?"`` where the old one is not known."""
    return {
        name: {"before": before.get(name, UNKNOWN), "after": value}
        for name, value in after.items()
        if name not in before or not same(before[name], value)
    }


def created(
    model: str, pk: Any, after: Mapping[str, Any], via: str, *, unsure: bool = False
) -> Change:
    """A new row.

    Args:
        model: its name.
        pk: the primary key.
        after: the values by the names of the fields.
        via: by which call.
        unsure: whether the database may have left the row out.
    """
    changes = {name: {"after": value} for name, value in after.items()}
    extra = {"unsure": True} if unsure else {}
    return _change("model.created", model, pk, changes, via, extra)


def updated(
    model: str, pk: Any, changes: Mapping[str, Mapping[str, Any]], via: str, *, unsure: bool = False
) -> Change:
    """A changed row; ``changes`` as of ``differences``.

    Args:
        model, pk, changes, via: see ``created``.
        unsure: whether a value is an expression, which only the database knows.
    """
    extra = {"unsure": True} if unsure else {}
    return _change("model.updated", model, pk, changes, via, extra)


def deleted(model: str, pk: Any, before: Mapping[str, Any], via: str) -> Change:
    """A deleted row, with what it last had."""
    changes = {name: {"before": value} for name, value in before.items()}
    return _change("model.deleted", model, pk, changes, via, {})


def updated_many(
    event_type: str, model: str, rows: int, after: Mapping[str, Any], via: str
) -> Change:
    """More rows than are recorded one by one: how many, and what all of them have now."""
    fields = {
        "model": model,
        "rows": rows,
        "changes": {name: {"after": value} for name, value in after.items()},
        "via": via,
    }
    return Change(current_context(), event_type, fields)


def _change(
    event_type: str,
    model: str,
    pk: Any,
    changes: Mapping[str, Any],
    via: str,
    extra: Mapping[str, Any],
) -> Change:
    fields = {"model": model, "pk": pk, "changes": dict(changes), "via": via, **extra}
    return Change(current_context(), event_type, fields)


def write(emitter: Emits | None, change: Change) -> None:
    """Record a change that has been committed. Never raises."""
    emit = audit_emit.emit if emitter is None else emitter.emit
    try:
        emit(change.context, change.event_type, change.fields)
    except Exception as error:  # noqa: BLE001 - another emitter than ours may raise; the change is made
        let_through(error)
        report_failure("a change", error)


def write_in(connection: Any, emitter: Emits | None, change: Change) -> None:
    """Record a change in its own transaction.

    Raises:
        AuditError: it could not be, so that the transaction must not commit.
    """
    made = emitter if isinstance(emitter, Emitter) else get_emitter()
    emit_in(connection, change.context, change.event_type, change.fields, emitter=made)


def keeps_outbox_in(raw: Any, emitter: Emits | None) -> bool:
    """Whether the emitter's chain is in the database that a connection of psycopg leads to.

    Args:
        raw: the connection of the driver, or ``None``.
        emitter: the process-wide one when ``None``.
    """
    info = getattr(raw, "info", None)
    made = get_emitter() if emitter is None else emitter
    store = made.settings.store if isinstance(made, Emitter) else None
    if info is None or not isinstance(store, Address):
        return False
    try:
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - it is there: ``raw`` is its

        wanted = conninfo_to_dict(store.conninfo())
        mine = info.dsn and conninfo_to_dict(info.dsn)
        parts = ("host", "port", "dbname")
        theirs = [str(wanted.get(part) or "") for part in parts]
        ours = [str(mine.get(part) or getattr(info, part, "") or "") for part in parts]
    except Exception as error:  # noqa: BLE001 - no address of psycopg: then it is another database
        let_through(error)
        report_failure(f"the outbox ({bare_name(type(error))})", error)
        return False
    return all(one == other or not one for one, other in zip(theirs, ours, strict=True))
