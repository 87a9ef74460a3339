"""What is remarked about a secret and is none: ``is too short``, and when it was changed."""

from __future__ import annotations

from audit_emit._runtime.lazy import Pattern

__all__ = ["is_complaint", "is_moment"]

_LONGEST = 160
_MOST_DIGITS = 3
_NEEDED = frozenset(
    """
    short long weak common similar required invalid blank empty missing expired match contain least
    most match matches contains cannot allowed exceed exceeds incorrect wrong unknown correct
    acceptable accepted strong secure guess null revoked used reused taken
    """.split()
)
"""Words, one of which is in each complaint."""
_SAYING = frozenset(
    """
    is are must may can should has have had was were be been do does not cannot too please needs
    don't doesn't isn't can't
    """.split()
)
"""The same: without any of them it may be two words of a password, ``strong password``."""
_COUNTED = frozenset("character characters char chars letter letters symbol symbols".split())
_USUAL = _NEEDED | frozenset(
    """
    a an the this that these it its your you we no not do does did don't doesn't didn't isn't must
    may can can't should need needs be been is are was were has have had and or of to in on for with
    without by at as than too very more less one two at-least also already ever before again all any
    both each other same
    value field input entry it's please enter choose provide provided given use using make sure
    password passwords passphrase token tokens secret pin code key confirmation username email
    character characters char chars letter letters digit digits number numbers symbol symbols
    special uppercase lowercase upper lower case length minimum maximum min max size words word
    numeric alphanumeric entirely personal information other previous previously old new current
    longer shorter greater fewer between up equal
    """.split()
)
"""Words of complaints. A text of no others is no secret, whatever its name."""


def is_complaint(value: str) -> bool:
    """Whether a text says, in words that complaints have and no others, what is wrong."""
    if not 7 < len(value) <= _LONGEST or " " not in value:
        return False
    # Most secrets of several words end with one that no complaint has: the others need no look.
    last = value[value.rfind(" ") + 1 :]
    if last.isalnum() and last.lower() not in _USUAL and not last.isdecimal():
        return False
    words = [""]
    # From the end: the last word of a secret of several is seldom one of these.
    for each in reversed(value.lower().replace("\u2019", "'").split()):
        word = each.strip("\"'.,;:!()")
        if word not in _USUAL and not (word.isdecimal() and _is_length(word, words[-1])):
            return False
        words.append(word)
    return not (_NEEDED.isdisjoint(words) or _SAYING.isdisjoint(words))


def _is_length(number: str, following: str) -> bool:
    """Whether a number is how many characters there are to be, and not a code, or a part of one."""
    if following in _COUNTED:
        return len(number) <= _MOST_DIGITS
    return len(number) < _MOST_DIGITS and not following.isdecimal()


_ENDS = (
    *("change", "refresh", "refreshed", "rotation", "renewal", "renewed", "update", "sync"),
    *("notbefore", "not_before", "not-before", "notafter", "not_after", "not-after"),
)
_DATE = Pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:Z|[+\-][0-9]{2}:?[0-9]{2})?)?"
)
_YEAR = 4
"""Digits of a year."""


def is_moment(name: str, value: str) -> bool:
    """Whether a value is a date or a time (ISO 8601) and its name says of what: of a change."""
    return (
        value[_YEAR : _YEAR + 1] == "-"  # first, as most values are no date
        and name.lower().endswith(_ENDS)
        and not name.lower().endswith("exchange")
        and _DATE.fullmatch(value) is not None
    )
