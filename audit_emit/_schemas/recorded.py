"""An event class as its records show it: a struct of the same members, of what types they have."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, get_args, get_origin

import msgspec

from audit_emit._schemas.event import Declaration

__all__ = ["recorded"]

_UNKNOWN = (
    msgspec.inspect.CustomType,
    msgspec.inspect.BytesType,
    msgspec.inspect.ByteArrayType,
    msgspec.inspect.MemoryViewType,
    msgspec.inspect.TimeDeltaType,
)
"""What msgspec does not read as a record has it: of bytes that may be a summary."""


def recorded(cls: type[Declaration]) -> type[msgspec.Struct]:
    """The struct; it has no code of the class, so that none is run where a record is read into it.

    Raises:
        TypeError: msgspec does not understand the class.
    """
    members: list[Any] = []
    for field in msgspec.structs.fields(cls):
        kind = _kind(field.type)
        given: dict[str, Any] = {}
        if not field.required:
            if kind is not field.type:
                given["default"] = None  # the default of another type
            elif field.default_factory is not msgspec.NODEFAULT:
                given["default_factory"] = field.default_factory
            else:
                given["default"] = field.default
        made: Any = msgspec.field(name=field.encode_name, **given)
        members.append((field.name, kind, made))
    return msgspec.defstruct(cls.__name__, members, forbid_unknown_fields=True, kw_only=True)


def _kind(kind: Any) -> Any:
    """The type of a value in a record; any, where msgspec does not know it."""
    notes = getattr(kind, "__metadata__", ())
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if inner is dt.timedelta:
        return float  # seconds
    if _is_known(kind):
        return kind
    described = [one.description for one in notes if isinstance(one, msgspec.Meta)]
    about = next((one for one in described if one), None)
    return Annotated[Any, msgspec.Meta(description=about)] if about else Any


def _is_known(kind: Any) -> bool:
    try:
        todo: list[Any] = [msgspec.inspect.type_info(kind)]
    except TypeError:  # a union that msgspec does not take, such as of a type of the application
        return False
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _UNKNOWN):
            return False
        if isinstance(one, msgspec.inspect.Type):
            todo += [getattr(one, name) for name in one.__struct_fields__]
        elif isinstance(one, msgspec.inspect.Field):
            todo.append(one.type)
        elif isinstance(one, tuple):
            todo += one
    return True
