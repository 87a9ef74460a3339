"""Regular expressions that are compiled when first used: compiling all takes 10 ms at import."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = ["Pattern"]


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
