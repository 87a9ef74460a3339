"""A condition as a tree, narrowed to one type of event and written out. Pure.

What a condition says of ``event_type`` can be told before a record is decoded. So a tree is
narrowed once for each type of event: most rules cannot hold then, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from audit_emit._detection.unrolled import Text
from audit_emit._detection.values import Record, scalars, text_of, texts_in

Tree = Any
"""``True``, ``False``, ``Item``, ``Keywords``, ``And``, ``Or`` or ``Not``."""

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


def form_of(tree: Tree) -> Hashable:
    """Equal for trees of one rule that ask the same."""
    if isinstance(tree, Not):
        return "not", form_of(tree.part)
    if isinstance(tree, And | Or):
        return type(tree).__name__, *map(form_of, tree.parts)
    return tree if isinstance(tree, bool) else id(tree)


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


def written(tree: Tree, text: Text) -> str:
    """What is left of a condition as the text of an expression."""
    if isinstance(tree, bool):
        return str(tree)
    if isinstance(tree, Item | Keywords):
        return _leaf(tree, text)
    if isinstance(tree, Not):
        return f"(not {written(tree.part, text)})"
    between = " and " if isinstance(tree, And) else " or "
    return f"({between.join(written(part, text) for part in tree.parts)})"


def _leaf(one: Item | Keywords, text: Text) -> str:
    """One field and what it must be, or what must be somewhere in the record."""
    if isinstance(one, Keywords) or one.whole:
        text.asks_record = True
        of_record = _keywords(one) if isinstance(one, Keywords) else _of_record(one)
        return f"{text.value(of_record)}(record)"
    field, holds = text.field(one.field), text.value(_of_value(one))
    test = one.tests[0] if len(one.tests) == 1 else None
    if not isinstance(test, Equal) or "(" in field:
        return f"{holds}({field})"
    lower, texts = "" if test.cased else ".lower()", text.value(test.texts)
    return f"({field}{lower} in {texts} if type({field}) is str else {holds}({field}))"


def _of_record(item: Item) -> Callable[[Record], bool]:
    tests = item.tests
    return lambda record: all(test(record) for test in tests)


def _of_value(item: Item) -> Callable[[Any], bool]:
    """Whether the value of a field is what it must be."""
    tests, missing = item.tests, item.missing
    if len(tests) == 1:
        test = tests[0]

        def one(value: Any) -> bool:
            if value is None:
                return missing
            if isinstance(value, list):
                return any(map(test, value))
            return test(value)

        return one

    def several(value: Any) -> bool:
        if value is None:
            return missing
        return all(any(map(test, scalars(value))) for test in tests)

    return several


def _keywords(words: Keywords) -> Callable[[Record], bool]:
    def found(record: Record) -> bool:
        texts = [text.lower() for text in texts_in(record)]
        hits = (any(map(test, texts)) for test in words.tests)
        return all(hits) if words.every else any(hits)

    return found
