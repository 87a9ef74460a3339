"""The one door to code that is not ours: ``__str__``, ``keys``, properties, ``tzinfo``.

Such code may emit an event itself. While a thread is in it, a nested call is refused, so that two
objects that describe each other end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from audit_emit._runtime.interrupts import door, let_through

__all__ = ["RefusedError", "bare_name", "call", "class_dict", "type_name"]

R = TypeVar("R")

class_dict: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
"""``vars`` of a class, without running a metaclass's code."""
_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__


class RefusedError(Exception):
    """This thread is in foreign code already."""


class _Inside(threading.local):
    now = False


_inside = _Inside()


@door
def call(function: Callable[..., R], *args: object) -> R:
    """``function(*args)``, never nested in one thread.

    What it raises is caught by the caller, who lets interrupts through (``_interrupts``).

    Raises:
        RefusedError: the thread is in such a call.
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
    """The ``__name__`` of a class, without running a metaclass's code."""
    try:
        return str.__getitem__(_name(kind), slice(0, 128))
    except Exception as error:  # noqa: BLE001 - a type may be as hostile as a value
        let_through(error)
        return "object"


def type_name(kind: type) -> str:
    """``<module.Name>``, without running a metaclass's code."""
    try:
        name = str.__getitem__(_qualname(kind), slice(0, 128))
        module = _module(kind)
    except Exception as error:  # noqa: BLE001 - a type may be as hostile as a value
        let_through(error)
        return "<object>"
    if type(module) is not str or module in ("builtins", "__main__"):
        return f"<{name}>"
    return f"<{module[:128]}.{name}>"
