"""One value, one step: what it is in JSON, or which members it has.

``open_value`` never descends: the walk in ``coerce`` does, iteratively. A value that is evaluated
when looked at (a query, a generator, a proxy, an ORM object) is not looked at: its type is named.
"""

from __future__ import annotations

import binascii
import datetime as dt
import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

from msgspec import Struct

from audit_emit import _foreign
from audit_emit._foreign import type_name
from audit_emit.redact import OVERLAP, SCAN, Secret, is_secret_type

__all__ = ["MAX_ITEMS", "BytesText", "Long", "Members", "open_value"]

MAX_ITEMS = 256
SAFE_INT = 2**53 - 1
_MAX_BITS = 2000
_MAX_BYTES = 1024
_HASHED = 65536
_MAX_TYPES = 1024


class Members:
    """The first members of a container.

    Attributes:
        kind: ``dict`` (entries are pairs), ``list`` or ``set``.
        entries: at most ``MAX_ITEMS`` of them.
        total: how many there are; -1 when nobody knows.
        racy: the container changed while it was read.
    """

    __slots__ = ("entries", "kind", "racy", "total")

    def __init__(self, kind: str, entries: list[Any], total: int, *, racy: bool = False) -> None:
        self.kind = kind
        self.entries = entries
        self.total = total
        self.racy = racy


Handler = Callable[[Any], Any]


def open_value(value: object) -> Any:
    """A plain str, int, float, bool or None; ``Members``; or a ``Secret`` to hold back.

    A str may be longer than a record may hold by some; it is not scrubbed yet. Raises what
    foreign code raises.
    """
    for _ in range(8):
        kind = type(value)
        result = (_handlers.get(kind) or _learn(kind))(value)
        if type(result) is not _Again:
            return result
        value = result.value
    return type_name(type(value))


def _learn(kind: type) -> Handler:
    global _handlers  # noqa: PLW0603 - swapped, so that a reader never sees it half filled
    handler = _classify(kind)
    if len(_handlers) >= _MAX_TYPES:
        _handlers = dict(_BUILTIN)
    _handlers[kind] = handler
    return handler


class _Again:
    """The value stands for another one."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


# Scalars


def _same(value: Any) -> Any:
    return value


def _str(value: str) -> str:
    return str.__getitem__(value, slice(0, str.__len__(value)))


def _subclass_of_str(value: str) -> Any:
    if str.__len__(value) <= SCAN + OVERLAP:
        return _str(value)
    return Long(str.__getitem__(value, slice(0, SCAN + OVERLAP)), str.__len__(value))


class Long:
    """The beginning of a text that is too long to be copied."""

    __slots__ = ("head", "length")

    def __init__(self, head: str, length: int) -> None:
        self.head = head
        self.length = length


def _int(value: int) -> int | str:
    if -SAFE_INT <= value <= SAFE_INT:
        return int(value) if type(value) is int else int.__int__(value)
    bits = int.bit_length(value)
    return int.__repr__(value) if bits <= _MAX_BITS else f"<int {bits} bits>"


def _float(value: float) -> float | str:
    plain = float.__float__(value)
    if plain - plain == 0:
        return plain
    return "NaN" if plain != plain else "Infinity" if plain > 0 else "-Infinity"  # noqa: PLR0124


def _bytes(value: Any) -> Any:
    length = len(value)
    if length <= _MAX_BYTES:
        return BytesText(bytes(value[:_MAX_BYTES]))
    data = bytes(value[:_HASHED])
    digest = hashlib.sha256(data).hexdigest()
    part = "" if length <= _HASHED else f" of the first {_HASHED}"
    return f"<bytes {length} sha256{part}:{digest}>"


class BytesText:
    """Bytes that are shown as base64 unless they hold a secret."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readings(self) -> list[str]:
        """The texts that these bytes may be."""
        data = self.data
        readings = [data.decode("latin-1")]
        if b"\0" in data:
            readings.append(data.replace(b"\0", b"").decode("latin-1"))
        return readings

    def base64(self) -> str:
        return binascii.b2a_base64(self.data, newline=False).decode()


def _memoryview(value: memoryview) -> Any:
    length = value.nbytes
    flat = value if value.ndim == 1 and value.format == "B" else value.cast("B")
    data = flat[:_HASHED].tobytes()
    return _bytes(data) if length <= _HASHED else f"<bytes {length}>"


def _datetime(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return dt.datetime.isoformat(value)
    if type(value.tzinfo) is dt.timezone:
        return _in_utc(value)
    return _foreign.call(_in_utc, value)


def _in_utc(value: dt.datetime) -> str:
    try:
        moved = dt.datetime.astimezone(value, dt.UTC)
    except OverflowError:  # at the edge of the years 1 and 9999
        return dt.datetime.isoformat(value)
    return dt.datetime.isoformat(moved.replace(tzinfo=None)) + "Z"


def _date(value: dt.date) -> str:
    return dt.date.isoformat(value)


def _time(value: dt.time) -> Any:
    if value.tzinfo is None:
        return dt.time.isoformat(value)
    return _foreign.call(dt.time.isoformat, value)


def _seconds(value: dt.timedelta) -> float:
    return dt.timedelta.total_seconds(value)


def _enum(value: Any) -> _Again:
    return _Again(object.__getattribute__(value, "_value_"))


def _text(value: object) -> Any:
    return _bounded(_foreign.call(str, value))


def _known_text(value: object) -> Any:
    return _bounded(str(value))


def _bounded(text: str) -> Any:
    return _subclass_of_str(text) if type(text) is not str or len(text) > SCAN else text


def _named(value: object) -> str:
    return type_name(type(value))


def _definition(value: Any) -> str:
    return type_name(value)


def _function(value: Any) -> str:
    return f"<function {value.__qualname__[:256]}>"


# Containers


def _snapshot(kind: str, entries: Callable[[], Iterable[Any]], total: int) -> Members:
    """The first entries of what another thread may be changing."""
    for _ in range(3):
        try:
            return Members(kind, list(islice(entries(), MAX_ITEMS)), total)
        except RuntimeError:
            continue
    found: list[Any] = []
    try:
        for entry in islice(entries(), MAX_ITEMS):
            found.append(entry)  # noqa: PERF402 - what came before the failure counts
    except RuntimeError:
        pass
    return Members(kind, found, total, racy=True)


def _dict(value: dict[Any, Any]) -> Members:
    return _snapshot("dict", lambda: dict.items(value), dict.__len__(value))


def _list(value: list[Any]) -> Members:
    return Members("list", list.__getitem__(value, slice(0, MAX_ITEMS)), list.__len__(value))


def _tuple(value: tuple[Any, ...]) -> Members:
    entries = tuple.__getitem__(value, slice(0, MAX_ITEMS))
    return Members("list", list(entries), tuple.__len__(value))


def _set(value: set[Any]) -> Members:
    return _snapshot("set", lambda: set.__iter__(value), set.__len__(value))


def _frozenset(value: frozenset[Any]) -> Members:
    return _snapshot("set", lambda: frozenset.__iter__(value), frozenset.__len__(value))


def _deque(value: deque[Any]) -> Members:
    return _snapshot("list", lambda: deque.__iter__(value), deque.__len__(value))


def _view(value: Any) -> Members:
    return _snapshot("list", lambda: value, len(value))


def _mapping(value: Any) -> Members:
    return _foreign.call(_read_mapping, value)


def _read_mapping(value: Any) -> Members:
    pairs: list[Any] = []
    total = -1
    racy = False
    try:
        total = len(value)
        for key in islice(iter(value), MAX_ITEMS):
            pairs.append((key, value[key]))
    except Exception:  # noqa: BLE001 - a foreign mapping; what came before the failure counts
        racy = True
    return Members("dict", pairs, total, racy=racy)


def _attributes(names: list[str], hidden: frozenset[str]) -> Handler:
    """A handler that reads attributes; those their author hides from repr are held back."""

    def read(value: object) -> Members:
        pairs = []
        for name in names[:MAX_ITEMS]:
            try:
                got = getattr(value, name)
            except Exception:  # noqa: BLE001 - a property; an attribute never set
                continue
            if type(got).__name__ != "UnsetType":
                pairs.append((name, Secret(got) if name in hidden else got))
        return Members("dict", pairs, len(names))

    return lambda value: _foreign.call(read, value)


def _pydantic(kind: type) -> Handler:
    infos = _on_type(kind, "__pydantic_fields__") or _on_type(kind, "__fields__") or {}
    skipped = frozenset(name for name, info in infos.items() if getattr(info, "exclude", None))
    hidden = frozenset(n for n, info in infos.items() if getattr(info, "repr", True) is False)

    def read(value: object) -> Members:
        pairs = list(islice(object.__getattribute__(value, "__dict__").items(), MAX_ITEMS))
        try:
            extra = object.__getattribute__(value, "__pydantic_extra__") or {}
        except AttributeError:
            extra = {}
        pairs += islice(extra.items(), MAX_ITEMS)
        shown = [(k, Secret(v) if k in hidden else v) for k, v in pairs if k not in skipped]
        return Members("dict", shown[:MAX_ITEMS], len(shown))

    return read


def _exception(value: BaseException) -> Members:
    name = type_name(type(value))[1:-1]
    try:
        message = _text(value)
    except Exception:  # noqa: BLE001 - a foreign __str__
        message = "<unrepresentable>"
    return Members("dict", [("type", name), ("message", message)], 2)


# Types

_BUILTIN: dict[type, Handler] = {
    str: _same,
    bool: _same,
    type(None): _same,
    int: _int,
    float: _float,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _memoryview,
    dict: _dict,
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _frozenset,
    deque: _deque,
    type({}.keys()): _view,
    type({}.values()): _view,
    type({}.items()): _view,
    range: _known_text,
    complex: _known_text,
    FunctionType: _function,
    BuiltinFunctionType: _function,
    MethodType: _named,
    ModuleType: _named,
    slice: _named,
    MappingProxyType: _mapping,
    dt.datetime: _datetime,
    dt.date: _date,
    dt.time: _time,
    dt.timedelta: _seconds,
    Secret: _same,
}
_handlers = dict(_BUILTIN)

_BASES: tuple[tuple[type, Handler], ...] = (
    (str, _subclass_of_str),
    (bytes, lambda value: _bytes(bytes.__getitem__(value, slice(0, _HASHED)))),
    (bytearray, lambda value: _bytes(bytearray.__getitem__(value, slice(0, _HASHED)))),
    (int, _int),
    (float, _float),
    (dict, _dict),
    (list, _list),
    (set, _set),
    (frozenset, _frozenset),
    (deque, _deque),
)
_TIMES: tuple[tuple[type, Handler], ...] = (
    (dt.datetime, _datetime),
    (dt.date, _date),
    (dt.time, _time),
    (dt.timedelta, _seconds),
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


def _on_type(kind: type, name: str) -> Any:
    for base in type.__getattribute__(kind, "__mro__"):
        if name in vars(base):
            return vars(base)[name]
    return None


def _from(bases: tuple[type, ...], modules: tuple[str, ...]) -> bool:
    for base in bases:
        module = vars(base).get("__module__")
        if type(module) is str and any(
            module == name or module.startswith(name + ".") for name in modules
        ):
            return True
    return False


def _classify(kind: type) -> Handler:
    """The handler of a type that is met for the first time. Reads classes, never instances."""
    bases: tuple[type, ...] = type.__getattribute__(kind, "__mro__")[:-1]
    names = frozenset().union(*(vars(base) for base in bases))
    if is_secret_type(kind):
        return _secret
    if BaseException in bases:
        return _exception
    if _from(bases, _LAZY_MODULES) or not names.isdisjoint(_LAZY_NAMES):
        return _named
    if any("__class__" in vars(base) for base in bases):
        return _named  # a proxy: it pretends to be what it stands for
    enum = sys.modules.get("enum")
    if enum is not None and enum.Enum in bases:
        return _enum
    return _record(kind, bases, names) or _plain(bases) or _object(kind, bases, names)


def _secret(value: Any) -> Secret:
    return value if type(value) is Secret else Secret(value)


def _plain(bases: tuple[type, ...]) -> Handler | None:
    for base, handler in (*_BASES, (tuple, _tuple), *_TIMES):
        if base in bases:
            return handler
    return None


def _record(kind: type, bases: tuple[type, ...], names: frozenset[str]) -> Handler | None:
    """Types with named members."""
    if dict in bases:
        return None
    if any(base.__name__ == "BaseModel" and _from((base,), ("pydantic",)) for base in bases):
        return _pydantic(kind)
    if tuple in bases and "_fields" in names:
        fields = [str(name) for name in _on_type(kind, "_fields")]
        return lambda value: _pairs(fields, value)
    if Struct in bases:
        return _attributes(list(kind.__struct_fields__), frozenset())  # type: ignore[attr-defined]
    if "__dataclass_fields__" in names:
        fields_of = _on_type(kind, "__dataclass_fields__")
        own = [n for n, f in fields_of.items() if getattr(f._field_type, "name", "") == "_FIELD"]
        hidden = frozenset(n for n in own if not fields_of[n].repr)
        return _attributes(own, hidden)
    if "__attrs_attrs__" in names:
        attributes = _on_type(kind, "__attrs_attrs__")
        hidden = frozenset(a.name for a in attributes if a.repr is False)
        return _attributes([a.name for a in attributes], hidden)
    return None


def _pairs(fields: list[str], value: tuple[Any, ...]) -> Members:
    entries = tuple.__getitem__(value, slice(0, MAX_ITEMS))
    return Members("dict", list(zip(fields, entries, strict=False)), tuple.__len__(value))


def _object(kind: type, bases: tuple[type, ...], names: frozenset[str]) -> Handler:
    if type in bases:
        return _definition
    if _from((kind,), _KNOWN_MODULES):
        return _known_text
    if _from(bases, (*_KNOWN_MODULES, *_TEXT_MODULES)):
        return _text
    if issubclass(kind, Mapping):
        return _mapping
    if not names.isdisjoint(_CONTAINER_NAMES):
        return _named
    if "__str__" in names or "__repr__" in names:
        return _text
    return _named
