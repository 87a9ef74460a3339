"""Calls code of the application: ``__str__``, ``keys``, properties, ``tzinfo``.

All such calls go through this module. The code may emit an event itself, and describing that event
may call such code again. So while a thread is in such a call, a nested one is refused; otherwise
two objects that describe each other would recurse for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from audit_emit._runtime.interrupts import door, let_through

__all__ = ["RefusedError", "bare_name", "call", "class_dict", "type_name"]

R = TypeVar("R")

class_dict: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
"""``vars`` of a class, without running code of its metaclass."""
_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__


class RefusedError(Exception):
    """This thread is already in a call of foreign code."""


class _Inside(threading.local):
    now = False


_inside = _Inside()


@door
def call(function: Callable[..., R], *args: object) -> R:
    """Call ``function(*args)``, unless this thread is in such a call already.

    The caller catches whatever it raises, and passes interrupts on (``interrupts``).

    Raises:
        RefusedError: the thread is in such a call already.
        BaseException: whatever the function raises.
    """
    if _inside.now:
        raise RefusedError
    _inside.now = True
    try:
        return function(*args)
    finally:
        _inside.now = False


def bare_name(kind: type) -> str:
    """The ``__name__`` of a class, without running code of its metaclass."""
    try:
        return str.__getitem__(_name(kind), slice(0, 128))
    except Exception as error:  # noqa: BLE001 - a type may be as hostile as a value
        let_through(error)
        return "object"


def type_name(kind: type) -> str:
    """``<module.Name>`` of a class, without running code of its metaclass."""
    try:
        name = str.__getitem__(_qualname(kind), slice(0, 128))
        module = _module(kind)
    except Exception as error:  # noqa: BLE001 - a type may be as hostile as a value
        let_through(error)
        return "<object>"
    if type(module) is not str or module in ("builtins", "__main__"):
        return f"<{name}>"
    return f"<{module[:128]}.{name}>"
