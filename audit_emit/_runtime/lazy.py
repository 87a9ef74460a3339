"""Objects that are made at their first use: to compile all expressions at import takes 10 ms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["Pattern", "lazy_attribute"]

_T = TypeVar("_T")


class lazy_attribute(Generic[_T]):  # noqa: N801 - used as ``property`` is
    """An attribute whose value is made by a method when it is first read.

    As ``functools.cached_property``, but without a lock. Before Python 3.12 that one holds a lock
    while the value is made: a child that is forked meanwhile would wait for ever for a thread that
    it does not have. Here two threads may both make the value, and one of the two stays.

    Args:
        make: makes the value; it may be called more than once.
    """

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        if instance is None:
            return self
        # From now on Python finds it there first, as this descriptor has no ``__set__``.
        made = instance.__dict__[self._name] = self._make(instance)
        return made


class Pattern:
    """Has the methods of a compiled pattern, and compiles it at the first use of one.

    Args:
        source: the regular expression.
        flags: as for ``re.compile``.
    """

    match: Callable[..., re.Match[str] | None]
    search: Callable[..., re.Match[str] | None]
    fullmatch: Callable[..., re.Match[str] | None]
    finditer: Callable[..., Iterator[re.Match[str]]]
    findall: Callable[..., list[str]]
    sub: Callable[..., str]

    def __init__(self, source: str, flags: int = 0) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        # Called only once: afterwards the methods are attributes, which Python finds first.
        if name not in Pattern.__annotations__:
            raise AttributeError(name)
        compiled = re.compile(self._source, self._flags)
        for method in Pattern.__annotations__:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)
