"""Wanted texts and shell patterns, as they are compared here and as Loki reads them. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["SPECIAL", "WILD", "alike", "checked", "literal", "longest", "pattern", "regex"]

SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
WILD = re.compile(r"[*?\[]")
_PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")


def checked(wanted: str) -> str:
    """A wanted text as it is compared.

    Raises:
        ValueError: it is not Unicode, or is no pattern.
    """
    try:
        wanted.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{wanted!r} is not Unicode text") from None
    pattern(wanted)
    return wanted.replace("\ufffd", " ")


def alike(value: str, wanted: str) -> bool:
    """Whether a value is a text, or matches it as a shell pattern."""
    if value == wanted:
        return True
    return WILD.search(wanted) is not None and _glob(wanted).fullmatch(value) is not None


def pattern(wanted: str) -> str:
    """A text or shell pattern as a regular expression of both RE2 and Python.

    Raises:
        ValueError: a range in it ends before it begins.
    """
    found = ".*".join(_between_stars(wanted))
    if WILD.search(wanted) and _glob(wanted).fullmatch(wanted) is None:
        return f"{SPECIAL.sub(literal, wanted)}|{found}"
    return found


def _between_stars(wanted: str) -> list[str]:
    """What stands before, between and after the stars of a shell pattern, as expressions."""
    found = []
    parts: list[str] = []
    at = 0
    while at < len(wanted):
        character = wanted[at]
        end = wanted.find("]", at + 2 + wanted.startswith("!", at + 1)) if character == "[" else -1
        if character == "*":
            found.append("".join(parts))
            parts = []
        elif character == "?":
            parts.append(".")
        elif end > 0:
            parts.append(_class(wanted[at + 1 : end]))
            at = end
        else:
            parts.append(SPECIAL.sub(literal, character))
        at += 1
    return [*found, "".join(parts)]


def _class(inside: str) -> str:
    negated = inside.startswith("!")
    rest = inside[negated:]
    parts = []
    while rest:
        if len(rest) > 2 and rest[1] == "-":
            if rest[0] > rest[2]:
                raise ValueError(f"{rest[:3]!r} in [{inside}] ends before it begins")
            parts.append(f"{_in_class(rest[0])}-{_in_class(rest[2])}")
            rest = rest[3:]
        else:
            parts.append(_in_class(rest[0]))
            rest = rest[1:]
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _in_class(character: str) -> str:
    return f"\\{character}" if character in r"\]^-[&~|" else character


def literal(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


@lru_cache(maxsize=256)
def regex(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


@lru_cache(maxsize=64)
def _glob(wanted: str) -> re.Pattern[str]:
    """A shell pattern, in time that grows with the text and not with what it may be split into.

    The first place where a part fits is as good as any later one, so none is tried again: a
    lookahead gives nothing back, and what it found is taken by reference. Python 3.11.2 has atomic
    groups, which would say the same, but matches some of them wrongly.
    """
    first, *others = _between_stars(wanted)
    if not others:
        return regex(first)
    between = filter(None, others[:-1])
    inner = "".join(f"(?=(?P<p{at}>.*?{part}))(?P=p{at})" for at, part in enumerate(between))
    return regex(f"{first}{inner}.*{others[-1]}")


def longest(wanted: str) -> str:
    """The longest part of a text or pattern that no encoder writes otherwise (rule 4)."""
    literal = re.sub(r"\[.*\]|[*?\[]", "\n", wanted, flags=re.DOTALL)
    return max(_PLAIN.findall(literal), key=len, default="")
