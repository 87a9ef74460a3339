"""Functions that are made for one set of rules: what would be a loop, written out. Pure.

CPython (3.11 and later) makes a call fast where the same function is called each time, which a loop
over functions never does; written out, a search takes an eighth less. The text of such a function
is made of this package's own words and of numbers. Whatever a rule holds is a value that the text
refers to by a name, and never a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any


def function(first: str, lines: Iterable[str], values: Mapping[str, object]) -> Callable[..., Any]:
    """The function of a text.

    Args:
        first: its line of ``def``, for ``made``.
        lines: its body, indented.
        values: what it refers to, besides builtins.
    """
    scope: dict[str, Any] = dict(values)
    exec(_compiled("\n".join([first, *lines])), scope)  # noqa: S102 - no text of a rule is in it
    made: Callable[..., Any] = scope["made"]
    return made


@lru_cache(maxsize=256)
def _compiled(text: str) -> CodeType:
    """The code of a text; rules of one form have the same.

    Whoever writes a log with a new type in every line has each of them planned, and to compile
    takes four times as long as all else of it.
    """
    return compile(text, "<rules>", "exec")
