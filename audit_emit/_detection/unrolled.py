"""Functions that are made for one set of rules: what would be a loop, written out. Pure.

CPython (3.11 and later) makes a call fast where the same function is called each time, which a loop
over functions never does; and what is written out needs no call at all. The text of such a function
is made of this package's own words and of numbers. Whatever a rule holds is a value that the text
refers to by a name, and never a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from audit_emit._detection.values import getter


class Text:
    """What the text of one function refers to, while it is written.

    Attributes:
        values: by the names that the text has for them.
        fields: of the record: the variables that hold them, by their names in rules.
        asks_record: whether the text has the record itself, and not only such variables.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values: dict[str, object] = dict(values)
        self.fields: dict[str, str] = {"seq": "seq", "ts": "ts"}
        self.asks_record = False

    def value(self, value: object) -> str:
        """The name of a value."""
        name = f"value{len(self.values)}"
        self.values[name] = value
        return name

    def field(self, field: str) -> str:
        """The text for the value of a field; ``None`` where the record has none."""
        if field.count(".") > 1:
            self.asks_record = True
            return f"{self.value(getter(field))}(record)"
        return self.fields.setdefault(field, f"field{len(self.fields)}")

    def reading(self) -> Iterator[str]:
        """Lines that fill the variables from the mapping ``record``."""
        outer: dict[str, str] = {}
        yield "  get = record.get"
        for field, variable in self.fields.items():
            first, dot, rest = field.partition(".")
            if not dot:
                yield f"  {variable} = get({self.value(field)})"
                continue
            if first not in outer:
                outer[first] = f"outer{len(outer)}"
                yield f"  {outer[first]} = get({self.value(first)})"
            found = outer[first]
            yield f"  {variable} = None"
            yield f"  if type({found}) is dict: {variable} = {found}.get({self.value(rest)})"


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
    # Code of its own: what CPython notes in it of the values of one function, it would forget
    # whenever another one of the same text runs.
    made.__code__ = made.__code__.replace()
    return made


@lru_cache(maxsize=256)
def _compiled(text: str) -> CodeType:
    """The code of a text; rules of one form have the same.

    A log may have a new type in every line. Each is then planned, and compiling its text would
    take four times as long as the rest of that.
    """
    return compile(text, "<rules>", "exec")
