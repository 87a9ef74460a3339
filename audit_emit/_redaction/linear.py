"""Whether a regular expression takes linear time, by its form.

Python's ``re`` tries alternatives one after the other, so a pattern such as ``(a+)+b`` can take
exponential time on a text that somebody chose (CWE-1333). A pattern is taken when all this holds:

- a repetition is of single characters (a literal, a class), not of a group that itself repeats;
- all repetitions but the last that must be there are bounded, with at most 256 characters together,
  so that a place where it does not match costs that much at the most;
- it has no back-reference, and looks ahead or behind only for what is bounded.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MOST", "check"]

MOST = 256
"""Characters that all repetitions but the last may take together."""
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
