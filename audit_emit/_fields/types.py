"""Which type is read how. A type met for the first time is judged by its classes alone."""

from __future__ import annotations

import datetime as dt
import sys
from collections import ChainMap, deque
from collections.abc import Mapping
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

from audit_emit._fields.containers import (
    of_chain,
    of_deque,
    of_dict,
    of_frozenset,
    of_list,
    of_mapping,
    of_proxy,
    of_set,
    of_tuple,
    of_view,
)
from audit_emit._fields.records import record_reader
from audit_emit._fields.subject import Subject
from audit_emit._fields.tables import table_reader
from audit_emit._fields.values import (
    HASHED,
    Again,
    Handler,
    Long,
    known_text,
    of_bytes,
    of_date,
    of_datetime,
    of_definition,
    of_enum,
    of_exception,
    of_float,
    of_function,
    of_int,
    of_memoryview,
    of_named,
    of_namespace,
    of_same,
    of_seconds,
    of_text,
    of_time,
    subclass_of_str,
)
from audit_emit._redaction.redactor import Secret, is_secret_type
from audit_emit._runtime.foreign import class_dict, type_name

__all__ = ["open_value"]

_MAX_TYPES = 1024


def open_value(value: object) -> Any:
    """A plain str, int, float, bool or None; ``Members``; or a ``Secret`` to hold back.

    A str may be longer than a record may hold by some; it is not scrubbed yet. Raises what
    foreign code raises.
    """
    for _ in range(8):
        kind = type(value)
        known = _handlers.get(kind) if type(kind) is type else _of_metaclass(kind)
        result = (known or _learn(kind))(value)
        if type(result) is not Again:
            return result
        value = result.value
    return type_name(type(value))


def _learn(kind: type) -> Handler:
    global _handlers, _others  # noqa: PLW0603 - swapped: a reader never sees them half filled
    if type(kind) is type:
        handler = _classify(kind)
        if len(_handlers) >= _MAX_TYPES:
            _handlers = dict(_BUILTIN)
        _handlers[kind] = handler
        return handler
    handler = of_named if _lies(kind) else _classify(kind)
    if len(_others) >= _MAX_TYPES:
        _others = {}
    _others[id(kind)] = (kind, handler)
    return handler


def _of_metaclass(kind: type) -> Handler | None:
    """The handler of a type whose metaclass may hash and compare as it likes: it is not asked."""
    known = _others.get(id(kind))
    return known[1] if known is not None else None


def _lies(kind: type) -> bool:
    """Whether types of this metaclass may claim to be equal to others."""
    metaclasses: tuple[type, ...] = type.__getattribute__(type(kind), "__mro__")
    return any(
        base is not type
        and base is not object
        and not {"__eq__", "__hash__"}.isdisjoint(class_dict(base))
        for base in metaclasses
    )


_BUILTIN: dict[type, Handler] = {
    str: of_same,
    bool: of_same,
    type(None): of_same,
    int: of_int,
    float: of_float,
    bytes: of_bytes,
    bytearray: of_bytes,
    memoryview: of_memoryview,
    dict: of_dict,
    list: of_list,
    tuple: of_tuple,
    set: of_set,
    frozenset: of_frozenset,
    deque: of_deque,
    ChainMap: of_chain,
    type({}.keys()): of_view,
    type({}.values()): of_view,
    type({}.items()): of_view,
    range: known_text,
    complex: known_text,
    FunctionType: of_function,
    BuiltinFunctionType: of_function,
    MethodType: of_named,
    ModuleType: of_named,
    slice: of_named,
    MappingProxyType: of_proxy,
    dt.datetime: of_datetime,
    dt.date: of_date,
    dt.time: of_time,
    dt.timedelta: of_seconds,
    Secret: of_same,
    Subject: of_same,
    Long: of_same,
}
_handlers = dict(_BUILTIN)
_others: dict[int, tuple[type, Handler]] = {}
"""By identity; the type is kept, so that no other one gets its id."""

_BASES: tuple[tuple[type, Handler], ...] = (
    (str, subclass_of_str),
    (bytes, lambda value: of_bytes(bytes.__getitem__(value, slice(0, HASHED)))),
    (bytearray, lambda value: of_bytes(bytearray.__getitem__(value, slice(0, HASHED)))),
    (int, of_int),
    (float, of_float),
    (dict, of_dict),
    (list, of_list),
    (set, of_set),
    (frozenset, of_frozenset),
    (deque, of_deque),
)
_TIMES: tuple[tuple[type, Handler], ...] = (
    (dt.datetime, of_datetime),
    (dt.date, of_date),
    (dt.time, of_time),
    (dt.timedelta, of_seconds),
)
_LAZY_MODULES = (
    "sqlalchemy",
    "django.db",
    "django.utils.functional",
    "werkzeug.local",
    "peewee",
    "pony",
    "mongoengine",
    "tortoise",
    "celery.local",
    "functools",
    "wrapt",
    "lazy_object_proxy",
    "_io",
    "io",
    "socket",
    "_socket",
    "_thread",
    "threading",
    "tempfile",
    "sqlite3",
    "subprocess",
    "asyncio",
    "ssl",
)
_LAZY_NAMES = frozenset(
    ("_sa_class_manager", "_sa_instance_state", "__mapper__", "__next__", "__anext__", "__await__")
)
_CONTAINER_NAMES = frozenset(("__iter__", "__aiter__", "__getitem__", "__len__", "__getattr__"))
_KNOWN_MODULES = ("decimal", "fractions", "uuid", "pathlib", "ipaddress")
_TEXT_MODULES = ("numpy", "pandas", "yarl")


def _from(bases: tuple[type, ...], modules: tuple[str, ...]) -> bool:
    for base in bases:
        # Not ``base.__module__``: a metaclass may define it. A type in C has it nowhere else.
        module = class_dict(base).get("__module__") or type.__getattribute__(base, "__module__")
        if type(module) is str and any(
            module == name or module.startswith(name + ".") for name in modules
        ):
            return True
    return False


def _classify(kind: type) -> Handler:
    """The handler of a type that is met for the first time. Reads classes, never instances."""
    bases: tuple[type, ...] = type.__getattribute__(kind, "__mro__")[:-1]
    names = frozenset().union(*(class_dict(base) for base in bases))
    if is_secret_type(kind):
        return _secret
    if BaseException in bases:
        return of_exception
    if _from(bases, _LAZY_MODULES) or not names.isdisjoint(_LAZY_NAMES):
        return of_named
    if any("__class__" in class_dict(base) for base in bases):
        return of_named  # a proxy: it pretends to be what it stands for
    enum = sys.modules.get("enum")
    if enum is not None and enum.Enum in bases:
        return of_enum
    if SimpleNamespace in bases or _from(bases, ("argparse",)):
        return of_namespace
    return (
        record_reader(kind, bases, names, _from)
        or table_reader(bases, _from)
        or _plain(bases)
        or _object(kind, bases, names)
    )


def _secret(value: Any) -> Secret:
    return value if type(value) is Secret else Secret(value)


def _plain(bases: tuple[type, ...]) -> Handler | None:
    for base, handler in (*_BASES, (tuple, of_tuple), *_TIMES):
        if base in bases:
            return handler
    return None


def _object(kind: type, bases: tuple[type, ...], names: frozenset[str]) -> Handler:
    if type in bases:
        return of_definition
    if _from((kind,), _KNOWN_MODULES):
        return known_text
    if _from(bases, (*_KNOWN_MODULES, *_TEXT_MODULES)):
        return of_text
    if ChainMap in bases:
        return of_chain
    if issubclass(kind, Mapping):
        return of_mapping
    if not names.isdisjoint(_CONTAINER_NAMES):
        return of_named
    if "__str__" in names or "__repr__" in names:
        return of_text
    return of_named
