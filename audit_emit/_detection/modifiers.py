"""What a field must be: the modifiers of Sigma 2.1 that are understood. Pure.

Those that are not (``base64``, ``windash``, ``expand`` and others) are refused, as are those that
say nothing together.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from audit_emit._detection.expressions import Equal, Item, Not, Tree
from audit_emit._detection.members import is_number
from audit_emit._detection.nodes import Node, Refuse
from audit_emit._detection.texts import Pattern
from audit_emit._detection.values import Record, getter, number_of, scalars, text_of
from audit_emit._format.record import ns_of
from audit_emit._redaction.linear import check
from audit_emit._runtime.interrupts import let_through

Test = Callable[[Any], bool]

_PLACES = {"contains": (True, True), "startswith": (False, True), "endswith": (True, False)}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "lt": float.__lt__,
    "lte": float.__le__,
    "gt": float.__gt__,
    "gte": float.__ge__,
}
_TIMES: dict[str, Callable[[datetime], int]] = {
    "minute": lambda time: time.minute,
    "hour": lambda time: time.hour,
    "day": lambda time: time.day,
    "week": lambda time: time.isocalendar()[1],
    "month": lambda time: time.month,
    "year": lambda time: time.year,
}
_FLAGS = {
    "i": re.IGNORECASE,
    "ignorecase": re.IGNORECASE,
    "m": re.MULTILINE,
    "multiline": re.MULTILINE,
    "s": re.DOTALL,
    "dotall": re.DOTALL,
}
_KINDS = ("re", "cidr", "exists", "fieldref", *_COMPARED)
KNOWN = (*_PLACES, *_KINDS, *_TIMES, *_FLAGS, "all", "cased", "neq")
_LONGEST_PATTERN = 1000


class Asked(NamedTuple):
    """A field with its modifiers, as a rule has it.

    Attributes:
        field: its name.
        kind: which one of ``_KINDS``; empty where texts and values are compared.
        place: one of ``_PLACES``, or empty.
        time: one of ``_TIMES``, or empty.
        flags: of a regular expression.
        every: all values must match, and not one of them.
        cased: upper and lower case differ.
        negated: the field must be none of the values.
    """

    field: str
    kind: str
    place: str
    time: str
    flags: int
    every: bool
    cased: bool
    negated: bool

    @classmethod
    def of(cls, key: str, line: int, refuse: Refuse) -> Asked:
        """Read a key such as ``fields.key|startswith``.

        Raises:
            RuleError: a modifier is unknown, or does not go with another.
        """
        field, *modifiers = key.split("|")
        if not field or any(not part for part in field.split(".")):
            raise refuse(line, f"{field!r} is no name of a field")
        for one in modifiers:
            if one not in KNOWN:
                raise refuse(line, f"the modifier {one!r} is not understood")
            if modifiers.count(one) > 1:
                raise refuse(line, f"the modifier {one!r} is there twice")
        found = set(modifiers)
        kinds, places, times = (sorted(found & set(one)) for one in (_KINDS, _PLACES, _TIMES))
        flags = sorted(found & set(_FLAGS))
        impossible = (
            len(kinds) > 1 or len(places) > 1 or len(times) > 1,
            places and kinds not in ([], ["fieldref"]),
            flags and kinds != ["re"],
            times and (places or (kinds and kinds[0] not in _COMPARED)),
            "cased" in found and (times or kinds not in ([], ["fieldref"])),
            "all" in found and (times or kinds not in ([], ["re"])),
        )
        if any(impossible):
            raise refuse(line, f"the modifiers {'|'.join(modifiers)} do not go together")
        combined = 0
        for one in flags:
            combined |= _FLAGS[one]
        return cls(
            field=field,
            kind="".join(kinds),
            place="".join(places),
            time="".join(times),
            flags=combined,
            every="all" in found,
            cased="cased" in found,
            negated="neq" in found,
        )


def item(key: str, node: Node, refuse: Refuse) -> Tree:
    """The tree of one member of a selection.

    Raises:
        RuleError: it is not understood, with its line.
    """
    asked = Asked.of(key, node.line, refuse)
    values = node.value if isinstance(node.value, list) else [node]
    if not values:
        raise refuse(node.line, f"{asked.field!r} has no values")
    for one in values:
        if isinstance(one.value, dict | list):
            raise refuse(one.line, f"{asked.field!r} must have a value or a list of values")
    tree = _tree(asked, values, refuse)
    return Not(tree) if asked.negated else tree


def _tree(asked: Asked, values: Sequence[Node], refuse: Refuse) -> Tree:
    if asked.kind == "exists":
        return _exists(asked, values, refuse)
    if asked.kind == "fieldref":
        tests = [_reference(asked, one, refuse) for one in values]
        others = tuple(str(one.value) for one in values)
        return Item(asked.field, (_any(tests),), whole=True, others=others)
    missing = False
    if not (asked.kind or asked.place or asked.time or asked.cased):
        missing = any(one.value is None for one in values)
        values = [one for one in values if one.value is not None]
        if missing and asked.every and values:
            raise refuse(values[0].line, "nothing is null and has a value")
    tests = [_test(asked, one, refuse) for one in values]
    if not asked.every:
        tests = [_any(tests)]
    return Item(asked.field, tuple(tests), missing=missing)


def _test(asked: Asked, node: Node, refuse: Refuse) -> Test:
    if asked.time:
        return _time(asked, node, refuse)
    if asked.kind in _COMPARED:
        return _compared(asked.kind, _number(asked, node, refuse))
    if asked.kind == "re":
        return _expression(asked, node, refuse)
    if asked.kind == "cidr":
        return _network(node, refuse)
    return _value(asked, node, refuse)


def _any(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    equal = [test for test in tests if isinstance(test, Equal)]
    if len(equal) == len(tests) and equal and len({test.cased for test in equal}) == 1:
        return Equal(frozenset().union(*(test.texts for test in equal)), cased=equal[0].cased)
    return lambda value: any(test(value) for test in tests)


def _value(asked: Asked, node: Node, refuse: Refuse) -> Test:
    """A text with its wildcards, a number, a boolean."""
    value = node.value
    if value is None:
        raise refuse(node.line, f"null does not go with a modifier of {asked.field!r}")
    literal = isinstance(value, str)
    pattern = Pattern.of(value) if literal else Pattern(tuple(str(text_of(value))))
    if asked.place:
        pattern = pattern.within(*_PLACES[asked.place])
    plain = pattern.plain
    if is_number(value) and not asked.place:
        wanted = float(value)
        return lambda found: number_of(found) == wanted or found == plain
    if plain is not None:
        return Equal(frozenset([plain if asked.cased else plain.lower()]), cased=asked.cased)
    test, cased = pattern.test(cased=asked.cased), asked.cased

    def matches(found: Any) -> bool:
        text = text_of(found)
        return text is not None and test(text if cased else text.lower())

    return matches


def _number(asked: Asked, node: Node, refuse: Refuse) -> float:
    if not is_number(node.value):
        raise refuse(node.line, f"{asked.field}|{asked.time or asked.kind} needs a number")
    return float(node.value)


def _compared(kind: str, limit: float) -> Test:
    compare = _COMPARED[kind]

    def holds(value: Any) -> bool:
        number = number_of(value)
        return number is not None and compare(number, limit)

    return holds


def _time(asked: Asked, node: Node, refuse: Refuse) -> Test:
    """A part of a time (RFC 3339, as ``ts`` is), in UTC."""
    limit = _number(asked, node, refuse)
    part, compare = _TIMES[asked.time], _COMPARED.get(asked.kind, float.__eq__)

    def holds(value: Any) -> bool:
        try:
            seconds = ns_of(value) // 10**9
        except (ValueError, TypeError, OverflowError) as error:
            let_through(error)
            return False
        return compare(float(part(datetime.fromtimestamp(seconds, UTC))), limit)

    return holds


def _expression(asked: Asked, node: Node, refuse: Refuse) -> Test:
    """A regular expression that is found in the value, if it takes linear time."""
    if not isinstance(node.value, str) or len(node.value) > _LONGEST_PATTERN:
        raise refuse(
            node.line, f"a regular expression must be a text of at most {_LONGEST_PATTERN}"
        )
    try:
        search = re.compile(node.value, asked.flags).search
        check(asked.field, node.value)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        why = str(error).partition(f"rule {asked.field}: ")[2] or str(error)
        raise refuse(node.line, why) from None

    def holds(value: Any) -> bool:
        text = text_of(value)
        return text is not None and search(text) is not None

    return holds


def _network(node: Node, refuse: Refuse) -> Test:
    """An address in a network; also a network in it, as truncated addresses are written."""
    try:
        network = ipaddress.ip_network(node.value if isinstance(node.value, str) else "")
    except ValueError:
        raise refuse(
            node.line, f"{node.value!r} is no network, such as 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    version = network.version

    def holds(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > 50:
            return False
        try:
            found = ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            let_through(error)
            return False
        return found.version == version and found.subnet_of(network)  # type: ignore[arg-type]

    return holds


def _exists(asked: Asked, values: Sequence[Node], refuse: Refuse) -> Tree:
    if len(values) != 1 or not isinstance(values[0].value, bool):
        raise refuse(values[0].line, f"{asked.field}|exists needs true or false")
    there = Item(asked.field, (lambda _: True,))
    # ``event_type`` is in every record.
    return there if values[0].value else Not(there)


def _reference(asked: Asked, node: Node, refuse: Refuse) -> Test:
    """Another field of the same record; two that are missing are not equal."""
    if not isinstance(node.value, str) or not node.value:
        raise refuse(node.line, f"{asked.field}|fieldref needs the name of a field")
    mine, other = getter(asked.field), getter(node.value)
    place, cased = asked.place, asked.cased

    def texts(value: Any) -> list[str]:
        found = [text for one in scalars(value) if (text := text_of(one)) is not None]
        return found if cased else [text.lower() for text in found]

    def fits(one: str, two: str) -> bool:
        if place == "contains":
            return two in one
        if place == "startswith":
            return one.startswith(two)
        return one.endswith(two) if place else one == two

    def holds(record: Record) -> bool:
        theirs = texts(other(record))
        return bool(theirs) and any(fits(one, two) for one in texts(mine(record)) for two in theirs)

    return holds
