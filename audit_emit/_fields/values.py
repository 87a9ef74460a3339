"""One value, one step: what it is in JSON, or which members it has.

Nothing here descends: the walk does, iteratively. A value that is evaluated when looked at (a
query, a generator, a proxy, an ORM object) is not looked at: its type is named.
"""

from __future__ import annotations

import binascii
import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from audit_emit._redaction.redactor import OVERLAP, SCAN
from audit_emit._runtime import foreign as _foreign
from audit_emit._runtime.foreign import class_dict, type_name
from audit_emit._runtime.interrupts import let_through

__all__ = ["MAX_ITEMS", "MAX_TABLE", "BytesText", "Cut", "Long", "Members"]

MAX_ITEMS = 256
SAFE_INT = 2**53 - 1
_MAX_BITS = 2000
_MAX_BYTES = 1024
HASHED = 65536
MAX_TABLE = 128 * 1024 * 1024
"""Bytes of a hash table that is read: a table keeps the places of what was deleted, so that a dict
of one item may take longer to iterate than an event may take."""
UNKNOWN = -1  # a total: more members than were read, nobody knows how many


class Members:
    """The first members of a container.

    Attributes:
        kind: ``dict`` (entries are pairs), ``list`` or ``set``.
        entries: at most ``MAX_ITEMS`` of them.
        total: how many there are, or ``UNKNOWN``.
        racy: the container changed while it was read.
        table: bytes of the hash tables that were read.
        aliases: further names of the members of a ``dict``, by which they may be secret.
        note: what was left out besides, for the list of cuts.
    """

    __slots__ = ("aliases", "entries", "kind", "note", "racy", "table", "total")

    def __init__(
        self,
        kind: str,
        entries: list[Any],
        total: int,
        *,
        racy: bool = False,
        table: int = 0,
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        note: str = "",
    ) -> None:
        self.kind = kind
        self.note = note
        self.aliases = aliases
        self.entries = entries
        self.total = total
        self.racy = racy
        self.table = table


Handler = Callable[[Any], Any]


class Again:
    """The value stands for another one."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


# Scalars


def of_same(value: Any) -> Any:
    return value


def _str(value: str) -> str:
    return str.__getitem__(value, slice(0, str.__len__(value)))


def subclass_of_str(value: str) -> Any:
    if str.__len__(value) <= SCAN + OVERLAP:
        return _str(value)
    return Long(str.__getitem__(value, slice(0, SCAN + OVERLAP)), str.__len__(value))


class Cut:
    """What stands for a value that is too big, and what the list of cuts says of it."""

    __slots__ = ("note", "text")

    def __init__(self, text: str, note: str) -> None:
        self.text = text
        self.note = note


class Long:
    """The beginning of a text that is too long to be copied."""

    __slots__ = ("head", "length")

    def __init__(self, head: str, length: int) -> None:
        self.head = head
        self.length = length


def of_int(value: int) -> int | str | Cut:
    if type(value) is not int:  # how it compares itself is a matter of its class
        value = int.__int__(value)
    if -SAFE_INT <= value <= SAFE_INT:
        return value
    bits = value.bit_length()
    if bits <= _MAX_BITS:
        return repr(value)
    return Cut(f"<int {bits} bits>", f"an integer of {bits} bits")


def of_float(value: float) -> float | str:
    plain = float.__float__(value)
    if plain - plain == 0:
        return plain
    return "NaN" if plain != plain else "Infinity" if plain > 0 else "-Infinity"  # noqa: PLR0124


def of_bytes(value: Any) -> Any:
    length = len(value)
    if length <= _MAX_BYTES:
        return BytesText(bytes(value[:_MAX_BYTES]))
    data = bytes(value[:HASHED])
    digest = hashlib.sha256(data).hexdigest()
    part = "" if length <= HASHED else f" of the first {HASHED}"
    return Cut(f"<bytes {length} sha256{part}:{digest}>", f"{length} bytes, a digest kept")


class BytesText:
    """Bytes that are shown as base64 unless they hold a secret."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readings(self) -> list[str]:
        """The texts that these bytes may be."""
        data = self.data
        readings = [data.decode("latin-1")]
        if not data.isascii():
            readings.append(data.decode("utf-8", "replace"))
        if b"\0" in data:
            readings.append(data.replace(b"\0", b"").decode("latin-1"))
        return readings

    def base64(self) -> str:
        return binascii.b2a_base64(self.data, newline=False).decode()


def of_memoryview(value: memoryview) -> Any:
    length = value.nbytes
    flat = value if value.ndim == 1 and value.format == "B" else value.cast("B")
    data = flat[:HASHED].tobytes()
    return of_bytes(data) if length <= HASHED else Cut(f"<bytes {length}>", f"{length} bytes")


def of_datetime(value: dt.datetime) -> str:
    if type(value) is not dt.datetime:
        # Its class would be asked for its attributes, and to make what is moved to UTC.
        value = dt.datetime.combine(dt.datetime.date(value), dt.datetime.timetz(value))
    if value.tzinfo is None:
        return dt.datetime.isoformat(value)
    if type(value.tzinfo) is dt.timezone:
        return _in_utc(value)
    try:
        return _foreign.call(_in_utc, value)
    except Exception as error:  # noqa: BLE001 - a foreign tzinfo: the time is kept, its zone is not
        let_through(error)
        return dt.datetime.isoformat(dt.datetime.replace(value, tzinfo=None))


def _in_utc(value: dt.datetime) -> str:
    try:
        moved = dt.datetime.astimezone(value, dt.UTC)
    except OverflowError as error:  # at the edge of the years 1 and 9999
        let_through(error)
        return dt.datetime.isoformat(value)
    return dt.datetime.isoformat(moved.replace(tzinfo=None)) + "Z"


def of_date(value: dt.date) -> str:
    return dt.date.isoformat(value)


_zone_of: Callable[[dt.time], dt.tzinfo | None] = dt.time.__dict__["tzinfo"].__get__


def of_time(value: dt.time) -> Any:
    if _zone_of(value) is None:
        return dt.time.isoformat(value)
    return _foreign.call(dt.time.isoformat, value)


def of_seconds(value: dt.timedelta) -> float:
    return dt.timedelta.total_seconds(value)


def of_enum(value: Any) -> Again:
    return Again(object.__getattribute__(value, "_value_"))


def of_text(value: object) -> Any:
    return _bounded(_foreign.call(str, value))


def known_text(value: object) -> Any:
    return _bounded(str(value))


def _bounded(text: str) -> Any:
    return subclass_of_str(text) if type(text) is not str or len(text) > SCAN else text


def of_named(value: object) -> str:
    return type_name(type(value))


def of_definition(value: Any) -> str:
    return type_name(value)


def of_function(value: Any) -> str:
    return f"<function {value.__qualname__[:256]}>"


def of_exception(value: BaseException) -> Members:
    name = type_name(type(value))[1:-1]
    arguments = _args_of(value)
    if not _is_short(arguments) and _says_arguments(type(value)):
        # Its text would be that of all they hold, which may be endless; they are read as others.
        held = arguments[0] if len(arguments) == 1 else arguments
        return Members("dict", [("type", name), ("message", held)], 2)
    try:
        message = of_text(value)
    except Exception as error:  # noqa: BLE001 - a foreign __str__
        let_through(error)
        message = "<unrepresentable>"
    return Members("dict", [("type", name), ("message", message)], 2)


_args_of: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__
_ARGUMENTS_SAID = (BaseException, KeyError, ImportError, OSError, SyntaxError)
_SHORT_ITEMS = 1000
_SHORT_TEXT = 64 * 1024


def _says_arguments(kind: type) -> bool:
    """Whether the text of an exception is that of its arguments, and no code of its class."""
    for base in type.__getattribute__(kind, "__mro__"):
        if "__str__" in class_dict(base):
            return any(base is said for said in _ARGUMENTS_SAID)
    return False


def _is_short(arguments: tuple[Any, ...]) -> bool:
    """Whether plain containers hold so little, what they share counted again, that it is said."""
    room = _SHORT_TEXT
    queue: list[Any] = [*arguments[:_SHORT_ITEMS]]
    for one in queue:  # grows
        kind = type(one)
        if kind is dict:
            queue += list(one)[:_SHORT_ITEMS]
            queue += list(one.values())[:_SHORT_ITEMS]
        elif kind is list or kind is tuple or kind is set or kind is frozenset:
            queue += list(one)[:_SHORT_ITEMS]
        elif kind is str or kind is bytes or kind is bytearray:
            room -= len(one)
        if len(queue) >= _SHORT_ITEMS or room < 0:
            return False
    return True


def of_namespace(value: object) -> Again:
    """What only has attributes, of which its text would be made."""
    return Again(object.__getattribute__(value, "__dict__"))
