"""A condition as a tree, narrowed to one type of event and made a function. Pure.

What a condition says of ``event_type`` can be told before a record is decoded. So a tree is
narrowed once for each type of event: most rules cannot hold then, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from audit_emit._detection.unrolled import function
from audit_emit._detection.values import Record, getter, scalars, text_of, texts_in

Tree = Any
"""``True``, ``False``, ``Item``, ``Keywords``, ``And``, ``Or`` or ``Not``."""

Holds = Callable[[Record], bool]

TYPE = "event_type"


class Item(NamedTuple):
    """A field and what it must be.

    Attributes:
        field: its name.
        tests: every one of them must hold for some value of the field.
        missing: what is said of a record without it.
        whole: the tests look at the record, not at the field.
        others: fields that they look at besides.
    """

    field: str
    tests: tuple[Callable[[Any], bool], ...]
    missing: bool = False
    whole: bool = False
    others: tuple[str, ...] = ()


class Equal:
    """A value is one of these texts: one look-up for all of them."""

    def __init__(self, texts: frozenset[str], *, cased: bool) -> None:
        self.texts = texts
        self.cased = cased

    def __call__(self, value: Any) -> bool:
        text = value if isinstance(value, str) else text_of(value)
        if text is None:
            return False
        return (text if self.cased else text.lower()) in self.texts


class Keywords(NamedTuple):
    """Texts that must be anywhere in the record."""

    tests: tuple[Callable[[str], bool], ...]
    every: bool = False


class And(NamedTuple):
    """All of these."""

    parts: tuple[Tree, ...]


class Or(NamedTuple):
    """One of these."""

    parts: tuple[Tree, ...]


class Not(NamedTuple):
    """Not this."""

    part: Tree


def narrowed(tree: Tree, event_type: str) -> Tree:
    """What is left to be found out of a record of this type."""
    if isinstance(tree, Item) and tree.field == TYPE and not tree.whole:
        return all(test(event_type) for test in tree.tests)
    if isinstance(tree, Not):
        part = narrowed(tree.part, event_type)
        return not part if isinstance(part, bool) else Not(part)
    if not isinstance(tree, And | Or):
        return tree
    decides = isinstance(tree, Or)
    left = []
    for part in tree.parts:
        found = narrowed(part, event_type)
        if found is decides:
            return decides
        if not isinstance(found, bool):
            left.append(found)
    if not left:
        return not decides
    return left[0] if len(left) == 1 else type(tree)(tuple(left))


def fields_in(tree: Tree) -> set[str] | None:
    """The fields that a tree looks at; ``None``: it may look at any."""
    if isinstance(tree, bool):
        return set()
    if isinstance(tree, Item):
        return {tree.field, *tree.others}
    if isinstance(tree, Not):
        return fields_in(tree.part)
    if isinstance(tree, Keywords):
        return None
    names: set[str] = set()
    for part in tree.parts:
        found = fields_in(part)
        if found is None:
            return None
        names |= found
    return names


def made(tree: Tree) -> Holds:
    """The function of a tree."""
    if isinstance(tree, bool):
        return lambda _: tree
    if _is_simple(tree):
        return _members((tree,))
    if isinstance(tree, Item):
        return _item(tree)
    if isinstance(tree, Keywords):
        return _keywords(tree)
    if isinstance(tree, Not):
        inner = made(tree.part)
        return lambda record: not inner(record)
    if isinstance(tree, And):
        if all(map(_is_simple, tree.parts)):
            return _members(tree.parts)
        return _all(tuple(map(made, tree.parts)))
    return _any(tuple(map(made, tree.parts)))


def _all(parts: tuple[Holds, ...]) -> Holds:
    def every(record: Record) -> bool:
        for part in parts:  # noqa: SIM110 - all() takes twice the time
            if not part(record):
                return False
        return True

    return every


def _any(parts: tuple[Holds, ...]) -> Holds:
    def some(record: Record) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(record):
                return True
        return False

    return some


def _item(item: Item) -> Holds:
    tests, missing = item.tests, item.missing
    if item.whole:
        return lambda record: all(test(record) for test in tests)
    get = getter(item.field)
    if len(tests) == 1:
        test = tests[0]

        def one(record: Record) -> bool:
            value = get(record)
            if value is None:
                return missing
            if isinstance(value, list):
                return any(map(test, value))
            return test(value)

        return one

    def several(record: Record) -> bool:
        value = get(record)
        if value is None:
            return missing
        return all(any(map(test, scalars(value))) for test in tests)

    return several


def _is_simple(tree: Tree) -> bool:
    """Whether it says of a member of the record that it is one of some texts, or that it is not."""
    one = tree.part if isinstance(tree, Not) else tree
    return (
        isinstance(one, Item)
        and not one.whole
        and "." not in one.field
        and len(one.tests) == 1
        and isinstance(one.tests[0], Equal)
    )


def _members(parts: tuple[Tree, ...]) -> Holds:
    """The usual case at once: each of these simple parts holds."""
    lines: list[str] = ["  get = record.get"]
    values: dict[str, Any] = {}
    for n, part in enumerate(parts):
        one = part.part if isinstance(part, Not) else part
        (test,) = one.tests
        values |= {f"name{n}": one.field, f"texts{n}": test.texts, f"other{n}": _others(one)}
        wanted = one is part
        lines += [
            f"  value = get(name{n})",
            "  if type(value) is str:",
            f"    if value{'' if test.cased else '.lower()'} {'not ' * wanted}in texts{n}:",
            "      return False",
            f"  elif {'not ' * wanted}other{n}(value):",
            "    return False",
        ]
    return function("def made(record):", [*lines, "  return True"], values)


def _others(item: Item) -> Holds:
    """Whether it holds for a value that is no text."""
    (test,) = item.tests

    def other(value: Any) -> bool:
        if value is None:
            return item.missing
        return any(map(test, value)) if isinstance(value, list) else test(value)

    return other


def _keywords(words: Keywords) -> Holds:
    def found(record: Record) -> bool:
        texts = [text.lower() for text in texts_in(record)]
        hits = (any(map(test, texts)) for test in words.tests)
        return all(hits) if words.every else any(hits)

    return found
