"""SQLAlchemy: each change of a mapped class, once its transaction has committed.

    from audit_emit.integrations.sqlalchemy import track

    track(Invoice, fields=["amount", "paid"])       # once, before the first session

Sessions and async sessions are seen, and so are their ``update()``, ``delete()`` and ``insert()``
of mapped classes. Statements of Core and ``text()`` are not. The legacy bulk methods of a session
raise for a class that is tracked, because nothing could be known of what they change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal

try:
    from sqlalchemy import event, inspect
    from sqlalchemy.engine import Engine
    from sqlalchemy.exc import NoInspectionAvailable
    from sqlalchemy.orm import Session
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.sqlalchemy needs SQLAlchemy: pip install 'audit-emit[sqlalchemy]'",
        name=_missing.name,
    ) from _missing

from audit_emit.errors import ConfigError
from audit_emit.integrations import _sqlalchemy_statements as _statements
from audit_emit.integrations import _sqlalchemy_transactions as _transactions
from audit_emit.integrations._common import Emits
from audit_emit.integrations._sqlalchemy_rows import (
    TRACKED,
    Tracked,
    after_delete,
    after_insert,
    after_update,
    before_update,
    read_unknown,
    tracked_of,
)

__all__ = ["track"]

_BULK = ("bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings")


def track(
    model: Any,
    *,
    fields: Sequence[str] | None = None,
    before: Literal["loaded", "query"] = "loaded",
    outbox: bool | None = None,
    emitter: Emits | None = None,
) -> None:
    """Record each change of a mapped class, with the values before and after.

    ``model.created``, ``model.updated``, ``model.deleted`` are those of Django's models
    (docs/hosts.md). Nothing is recorded of a transaction or savepoint that is rolled back.

    Args:
        model: the class; its subclasses that are mapped are tracked with it.
        fields: the names of attributes that are columns; all of them by default.
        before: ``loaded``: a value that was expired or never loaded is ``"?"``, and no query is
            made; or ``query``: such values are read before a flush, in batches.
        outbox: whether a record goes through the transaction itself (docs/postgresql.md); by
            default where the emitter's ``store`` is the same database.
        emitter: writes the records; the process-wide one when ``None``.

    Raises:
        ConfigError: the class is not mapped, is tracked already, or has no such column.
    """
    try:
        mapper = inspect(model)
        columns = [prop.key for prop in mapper.column_attrs]
    except (NoInspectionAvailable, AttributeError):
        raise ConfigError("model", "must be a mapped class") from None
    if before not in ("loaded", "query"):
        raise ConfigError("before", "must be loaded or query")
    if model in TRACKED:
        raise ConfigError("track", f"{model.__name__} is tracked already")
    wanted = columns if fields is None else list(fields)
    unknown = [name for name in wanted if name not in columns]
    if unknown:
        raise ConfigError("fields", f"{model.__name__} has no column {unknown[0]}")
    if not TRACKED:
        _listen()
    TRACKED[model] = Tracked(model, tuple(wanted), before == "query", outbox, emitter)
    event.listen(model, "after_insert", after_insert, propagate=True)
    event.listen(model, "before_update", before_update, propagate=True)
    event.listen(model, "after_update", after_update, propagate=True)
    event.listen(model, "after_delete", after_delete, propagate=True)


def _listen() -> None:
    """Listen to sessions and engines, once in a process."""
    event.listen(Session, "before_flush", read_unknown)
    event.listen(Session, "after_flush", _transactions.after_flush)
    event.listen(Session, "after_begin", _transactions.after_begin)
    event.listen(Session, "after_commit", _transactions.after_commit)
    event.listen(Session, "after_transaction_end", _transactions.after_transaction_end)
    event.listen(Session, "do_orm_execute", _statements.execute)
    event.listen(Engine, "commit", _transactions.engine_commits)
    event.listen(Engine, "rollback", _transactions.engine_rolls_back)
    event.listen(Engine, "rollback_savepoint", _transactions.savepoint_rolls_back)
    for name in _BULK:
        setattr(Session, name, _refusing(getattr(Session, name)))


def _refusing(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def refuse(self: Session, first: Any, *args: Any, **kwargs: Any) -> Any:
        if method.__name__ == "bulk_save_objects":
            first = list(first)
            classes = {type(one) for one in first}
        else:
            classes = {inspect(first).class_}
        for each in classes:
            if tracked_of(each) is not None:
                raise ConfigError(
                    method.__name__,
                    f"cannot be recorded, and {each.__name__} is tracked; use add_all(…), or "
                    "execute(insert(…), rows)",
                )
        return method(self, first, *args, **kwargs)

    return refuse
