"""Whether a regular expression takes linear time, by its form.

Python's ``re`` tries alternatives one after the other, so a pattern such as ``(a+)+b`` can take
exponential time on a text that somebody chose (CWE-1333). A pattern is taken when all this holds:

- a repetition is of single characters (a literal, a class), not of a group that itself repeats;
- what is repeated has no alternatives, which could each match in several ways;
- all repetitions but the last that must be there are bounded, with at most 256 characters together;
- the ways in which they can share out a text among them are at most 640, as each of them is tried:
  ``a{1,25}a{1,25}b`` has 25, as the second ends where ``b`` begins, and ``a{1,25}a{1,25}a{1,25}b``
  has 625;
- it has no back-reference, and looks ahead or behind only for what is bounded.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MOST", "MOST_WAYS", "check"]

MOST = 256
"""Characters that all repetitions but the last may take together."""
MOST_WAYS = 640
"""Ways in which the repetitions of a pattern may match from one place."""
_MANY = 1 << 20


def check(rule_id: str, pattern: str) -> None:
    """Refuse a pattern that can take more than linear time.

    Raises:
        ValueError: says what in it is to be changed.
    """
    parser: Any = vars(re)["_parser"]  # what ``re.compile`` itself uses; it has no public name
    try:
        bounded = _sequence_cost(parser.parse(pattern), last=True)
    except _NotLinearError as error:
        raise ValueError(f"rule {rule_id}: the pattern can take too long: {error}") from None
    if bounded > MOST:
        raise ValueError(
            f"rule {rule_id}: the pattern can take too long: its repetitions but the last take "
            f"{bounded} characters together, and {MOST} are the most"
        )
    tried = ways(pattern)
    if tried > MOST_WAYS:
        raise ValueError(
            f"rule {rule_id}: the pattern can take too long: its repetitions can match in {tried} "
            f"ways from one place, and {MOST_WAYS} are the most; give them fixed lengths"
        )


def ways(pattern: str) -> int:
    """In how many ways the parts of a pattern can match from one place, at the most.

    A repetition that has to end where what follows it begins has one, and so has what stands last.
    """
    parser: Any = vars(re)["_parser"]
    return _ways_of_all(parser.parse(pattern), last=True)


def _ways_of_all(items: Any, *, last: bool = False) -> int:
    parts = list(items)
    end = max((at for at, item in enumerate(parts) if not _optional(item)), default=0)
    product = within = 1
    for at, item in enumerate(parts):
        if str(item[0]) in ("ASSERT", "ASSERT_NOT"):
            # Its own ways are not tried again, but it is, in each way of what is before it.
            within = max(within, product * _ways_of_all(item[1][1]))
        elif not (last and at >= end) and not _ends_by_itself(item, parts[at + 1 : at + 2]):
            product *= _ways(item)
    return max(product, within)


def _ways(item: Any) -> int:
    name, argument = str(item[0]), item[1]
    if name.endswith("REPEAT"):
        least, most, parts = argument
        return (int(most) - int(least) + 1) * (_ways_of_all(parts) if int(most) == 1 else 1)
    if name == "SUBPATTERN":
        return _ways_of_all(argument[3])
    if name == "BRANCH":
        return sum(_ways_of_all(branch) for branch in argument[1])
    return 1


def _ends_by_itself(item: Any, following: Any) -> bool:
    """Whether a repetition is of characters with none of which what follows it can begin."""
    if not str(item[0]).endswith("REPEAT") or not following:
        return False
    repeated, first = _characters(item[1][2]), _characters(following)
    return repeated is not None and first is not None and repeated.isdisjoint(first)


def _characters(items: Any) -> frozenset[str] | None:
    """The characters of ASCII that one item stands for, with ``é`` for all others; or None."""
    parts = list(items)
    if len(parts) != 1 or str(parts[0][0]) not in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
        return None
    compiler: Any = vars(re)["_compiler"]
    one = compiler.compile(_as_pattern(items, parts))
    beyond = [_BEYOND] if _names_others(parts[0]) else []
    return frozenset(char.lower() for char in _EACH if one.match(char)).union(beyond)


def _names_others(item: Any) -> bool:
    """Whether an item names a character beyond ASCII, for all of which there is one."""
    name, argument = str(item[0]), item[1]
    if name == "IN":
        return any(map(_names_others, argument))
    return name in ("LITERAL", "RANGE") and max(argument if name == "RANGE" else [argument]) > 127


def _as_pattern(items: Any, parts: list[Any]) -> Any:
    parser: Any = vars(re)["_parser"]
    return parser.SubPattern(getattr(items, "state", None) or parser.State(), parts)


_BEYOND = "\u00e9"
_EACH = (*map(chr, range(128)), _BEYOND)


class _NotLinearError(Exception):
    """What in a pattern is not linear."""


def _cost(item: Any, last: bool) -> int:
    """How many characters an item can look at before it fails."""
    name, argument = str(item[0]), item[1]
    if name in ("LITERAL", "NOT_LITERAL", "IN", "ANY", "AT", "RANGE", "CATEGORY"):
        return 1
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeat_cost(argument, last)
    if name == "SUBPATTERN":
        return _sequence_cost(argument[3], last)
    if name == "BRANCH":
        return sum(_sequence_cost(branch, last) for branch in argument[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return _sequence_cost(argument[1], last=False)
    raise _NotLinearError(f"{name.lower()} is not among what a rule may use")


def _sequence_cost(items: Any, last: bool) -> int:
    """Of items one after the other; what may follow the last that must be there cannot fail."""
    parts = list(items)
    end = max((at for at, item in enumerate(parts) if not _optional(item)), default=0)
    return sum(_cost(item, last and at >= end) for at, item in enumerate(parts))


def _optional(item: Any) -> bool:
    return str(item[0]).endswith("REPEAT") and int(item[1][0]) == 0


def _repeat_cost(argument: Any, last: bool) -> int:
    least, most, items = argument
    parts = list(items)
    if any(_repeats(part) for part in parts) and int(most) > 1:
        raise _NotLinearError("a repetition within a repetition")
    if any(_has_alternatives(part) for part in parts) and int(most) > 1:
        raise _NotLinearError("alternatives within a repetition")
    each = _sequence_cost(parts, last=False)
    if int(most) < _MANY:
        return int(most) * each
    if not last:
        raise _NotLinearError("a repetition without an upper bound that is not at the end")
    return int(least) * each


def _repeats(item: Any) -> bool:
    name, argument = str(item[0]), item[1]
    if name.endswith("REPEAT"):
        return True
    if name == "SUBPATTERN":
        return any(map(_repeats, argument[3]))
    if name == "BRANCH":
        return any(_repeats(part) for branch in argument[1] for part in branch)
    return False


def _has_alternatives(item: Any) -> bool:
    name, argument = str(item[0]), item[1]
    if name == "SUBPATTERN":
        return any(map(_has_alternatives, argument[3]))
    return name == "BRANCH"
