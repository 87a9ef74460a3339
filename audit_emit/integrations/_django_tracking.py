"""Records the changes of Django's models that are tracked, once they are committed.

``save``, ``delete`` and many-to-many relations come as signals; ``_django_queries`` has the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial, wraps
from typing import Any, Literal, NamedTuple

from django.apps import apps
from django.db import connections
from django.db.models import signals

from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.errors import AuditError, ConfigError
from audit_emit.integrations import _changes
from audit_emit.integrations._changes import Change, differences, kept, listener_of
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._django_memory import KEY, Memory, known_before, pending_of

__all__ = ["Before", "Tracked", "cleaned", "plain", "quietly", "start", "tracked_of"]

Before = Literal["loaded", "database"]

_CHUNK = 500
"""Keys in one query: SQLite takes 999 variables."""

_PRE = "_audit_emit_pre"
"""The attribute of an instance that holds what ``pre_save`` has read."""


class Tracked(NamedTuple):
    """A model whose changes are recorded.

    Attributes:
        model: the class.
        label: as ``app.model``.
        names: the names of the fields by their attributes (``owner_id``: ``owner``).
        before: where the old values of a row come from: as it was loaded, or from a query.
        outbox: whether records go through the transaction; ``None``: where the chain is there.
        emitter: writes the records.
    """

    model: Any
    label: str
    names: dict[str, str]
    before: Before
    outbox: bool | None
    emitter: Emits | None

    def values(self, instance: Any) -> dict[str, Any]:
        """The values of an instance, without those that were not loaded."""
        held = instance.__dict__
        return {name: kept(held[at]) for at, name in self.names.items() if at in held}

    def rows(self, rows: Any, most: int | None = None) -> dict[Any, dict[str, Any]]:
        """What the rows of a query have, by primary key."""
        found = rows.order_by().values_list("pk", *self.names)
        names = tuple(self.names.values())
        return {
            one[0]: dict(zip(names, one[1:], strict=True))
            for one in (found if most is None else found[:most])
        }

    def rows_of(self, keys: Iterable[Any], using: str) -> dict[Any, dict[str, Any]]:
        """What the rows with these keys have."""
        wanted, found = list(keys), {}
        for at in range(0, len(wanted), _CHUNK):
            chosen = self.model._base_manager.using(using).filter(pk__in=wanted[at : at + _CHUNK])  # noqa: SLF001 - documented in Django's pages
            found.update(self.rows(chosen))
        return found

    def record(self, using: str, changes: Iterable[Change], *memories: tuple[Any, Any]) -> None:
        """Write changes when the transaction commits, or at once through its outbox.

        Args:
            using: the name of the connection.
            changes: what has changed.
            memories: instances, each with the values that were saved.
        """
        connection = connections[using]
        pending = pending_of(connection)
        through = self.outbox
        if through is None:
            through = _changes.keeps_outbox_in(connection.connection, self.emitter)
        for change in changes:
            if through:
                _changes.write_in(connection, self.emitter, change)
            elif pending is None:
                _changes.write(self.emitter, change)
            else:
                pending.add(partial(_changes.write, self.emitter, change))
        for instance, values in memories:
            memory = instance.__dict__.get(KEY)
            if memory is None:
                memory = instance.__dict__[KEY] = Memory({})
            memory.saved(values, pending)


_TRACKED: dict[type, Tracked] = {}


def tracked_of(model: Any) -> Tracked | None:
    """How a model, or the one of which it is a proxy, is tracked."""
    return _TRACKED.get(model._meta.concrete_model)  # noqa: SLF001 - ``_meta`` is Django's public API


quietly = listener_of("Django")


def start(tracked: Tracked, m2m: Mapping[Any, str]) -> None:
    """Connect a model. ``m2m``: the names of many-to-many fields by their through models."""
    model = tracked.model
    if model in _TRACKED:
        raise ConfigError("track", f"{tracked.label} is tracked already")
    _TRACKED[model] = tracked
    _wrap_loading(model)
    everything = apps.get_models(include_auto_created=True)
    proxies = {each for each in everything if each._meta.concrete_model is model}  # noqa: SLF001 - as above
    for each in {model, *proxies}:
        signals.pre_save.connect(_before_save, sender=each, dispatch_uid="audit_emit")
        signals.post_save.connect(_after_save, sender=each, dispatch_uid="audit_emit")
        signals.post_delete.connect(_after_delete, sender=each, dispatch_uid="audit_emit")
    for through, name in m2m.items():
        receiver = _Relation(tracked, name)
        signals.m2m_changed.connect(receiver, sender=through, weak=False)


def _wrap_loading(model: Any) -> None:
    """Remember the values of each instance that is read."""
    load, refresh = model.from_db.__func__, model.refresh_from_db

    def from_db(cls: Any, *args: Any, **kwargs: Any) -> Any:
        instance = load(cls, *args, **kwargs)
        tracked = tracked_of(cls)
        if tracked is not None:
            instance.__dict__[KEY] = Memory(tracked.values(instance))
        return instance

    @wraps(refresh)
    def refresh_from_db(self: Any, *args: Any, **kwargs: Any) -> None:
        held = set(self.__dict__)
        refresh(self, *args, **kwargs)
        tracked = tracked_of(type(self))
        if tracked is None:
            return
        values = tracked.values(self)
        fields = kwargs.get("fields") or (args[1] if len(args) > 1 else None)
        if fields is not None:  # as Django does to load a deferred field
            read = {*fields, *(set(self.__dict__) - held)}
            names = {name for at, name in tracked.names.items() if at in read or name in read}
            memory = self.__dict__.get(KEY)
            known = {} if memory is None else memory.committed
            values = {**known, **{name: values[name] for name in names if name in values}}
        self.__dict__[KEY] = Memory(values)

    model.from_db = classmethod(from_db)
    model.refresh_from_db = refresh_from_db


@quietly
def _before_save(sender: Any, instance: Any, using: str, raw: bool = False, **_: Any) -> None:
    tracked = tracked_of(sender)
    if tracked is None or tracked.before != "database" or raw or instance.pk is None:
        return
    found = tracked.rows_of([instance.pk], using)
    instance.__dict__[_PRE] = next(iter(found.values()), None)


@quietly
def _after_save(
    sender: Any, instance: Any, created: bool, using: str, update_fields: Any = None, **_: Any
) -> None:
    tracked = tracked_of(sender)
    if tracked is None:
        return
    read = instance.__dict__.pop(_PRE, None)
    before = read or known_before(instance, connections[using]) or {}
    values = tracked.values(instance)
    if update_fields is not None:
        only = set(update_fields)
        values = {n: values[n] for a, n in tracked.names.items() if n in values and {a, n} & only}
    unsure = any(hasattr(value, "resolve_expression") for value in values.values())
    shown = plain(values)
    if created:
        change = _changes.created(tracked.label, instance.pk, shown, "save", unsure=unsure)
    else:
        changes = cleaned(tracked, differences(before, shown))
        change = _changes.updated(tracked.label, instance.pk, changes, "save", unsure=unsure)
    now = {**before, **values}
    if unsure:  # an expression says nothing about what the row has now
        now = {n: v for n, v in now.items() if not hasattr(v, "resolve_expression")}
    tracked.record(using, [change] if change.fields["changes"] else [], (instance, now))


@quietly
def _after_delete(sender: Any, instance: Any, using: str, **_: Any) -> None:
    tracked = tracked_of(sender)
    if tracked is None:
        return
    before = known_before(instance, connections[using]) or tracked.values(instance)
    tracked.record(using, [_changes.deleted(tracked.label, instance.pk, before, "delete")])


class _Relation:
    """Receives the changes of one many-to-many field."""

    def __init__(self, tracked: Tracked, name: str) -> None:
        self._tracked = tracked
        self._name = name

    def __call__(
        self, action: str, instance: Any, pk_set: Any, using: str, reverse: bool = False, **kw: Any
    ) -> None:
        try:
            self._receive(action, instance, pk_set, using, reverse=reverse, sender=kw["sender"])
        except AuditError:
            raise
        except Exception as error:  # noqa: BLE001 - as of the other receivers
            let_through(error)
            report_failure("tracking of Django", error)

    def _receive(
        self, action: str, instance: Any, pk_set: Any, using: str, *, reverse: bool, sender: Any
    ) -> None:
        if action == "pre_clear":
            pk_set = self._others(instance, sender, using, reverse=reverse)
        kind = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}.get(action)
        if kind is None or not pk_set:
            return
        others = sorted(pk_set, key=str)
        pairs = [(one, [instance.pk]) for one in others] if reverse else [(instance.pk, others)]
        changes = [
            _changes.updated(self._tracked.label, pk, {self._name: {kind: keys}}, "m2m")
            for pk, keys in pairs
        ]
        self._tracked.record(using, changes)

    def _others(self, instance: Any, through: Any, using: str, *, reverse: bool) -> set[Any]:
        """The keys on the other side, before all of them are taken away."""
        field = self._tracked.model._meta.get_field(self._name)  # noqa: SLF001 - Django's public API
        mine, other = field.m2m_field_name(), field.m2m_reverse_field_name()
        if reverse:
            mine, other = other, mine
        rows = through._base_manager.using(using).filter(**{mine: instance.pk})  # noqa: SLF001 - the same
        return set(rows.values_list(f"{other}_id", flat=True))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for a record; an expression, such as ``F("n") + 1``, by its text."""
    return {
        name: _text(value) if hasattr(value, "resolve_expression") else value
        for name, value in values.items()
    }


def _text(expression: Any) -> str:
    try:
        return f"<{expression}>"
    except Exception as error:  # noqa: BLE001 - an expression may be the application's
        let_through(error)
        return f"<{bare_name(type(expression))}>"


def cleaned(tracked: Tracked, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes without those that the database does not see: ``"3"`` for 3 in a number field."""
    left = {}
    for name, change in changes.items():
        try:
            convert = tracked.model._meta.get_field(name).to_python  # noqa: SLF001 - Django's public API
            same = convert(change["before"]) == convert(change["after"])
        except Exception as error:  # noqa: BLE001 - a value that the field does not take
            let_through(error)
            same = False
        if not same:
            left[name] = change
    return left
