"""The command lines that repeat a figure. Pure.

A value of a record may be anything, and a query takes shell patterns: what stands in one is
literal here, for the query as for the shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from audit_emit._format.printable import visible

_WILD = re.compile(r"[*?\[]")
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_CUTS = ";|"
"""Where spreadsheets cut a cell: what follows must not be a formula, and a query is given as it is
in every format, so that they are spelled out."""


class Queries:
    """Makes the command lines of one report.

    Args:
        log: its names on the command line.
        since, until: of the period.
    """

    def __init__(self, log: Sequence[str], since: str, until: str) -> None:
        self._log = log
        self._period = ("--since", since, "--until", until)

    log: tuple[str, ...]
    since: str
    until: str

    def count(self, *conditions: str) -> str:
        """The command that prints how many records of the period fulfil all that is asked for.

        Args:
            conditions: arguments as they are, such as ``--type`` and a type.
        """
        return command("query", *self._log, *conditions, *self._period, "--total")


def command(*words: str) -> str:
    """A command line of ``audit-emit``, to be typed into bash, zsh or ksh as it is."""
    return " ".join(["audit-emit", *map(quoted, words)])


def value(text: str) -> str | None:
    """The pattern that only this very value of a record has; ``None`` where no argument is one.

    An argument of a program ends at a NUL, and is Unicode text.
    """
    if "\0" in text:
        return None
    return _WILD.sub(r"[\g<0>]", text)


def where(name: str, text: str) -> tuple[str, ...] | None:
    """The condition that a member of a record is this value."""
    found = value(text)
    return None if found is None else ("--where", f"{name}={found}")


def types(names: Iterable[str]) -> tuple[str, ...]:
    """The condition that a record is of one of these types, or shell patterns."""
    return tuple(word for name in names for word in ("--type", name))


def quoted(word: str) -> str:
    """A word for a shell; characters that nobody sees are spelled out (POSIX.1-2024, 2.2.4).

    So are those at which a spreadsheet begins another cell.
    """
    if word and _BARE.fullmatch(word):
        return word
    if word.isprintable() and visible(word) == word and not set(_CUTS) & set(word):
        return "'" + word.replace("'", "'\\''") + "'"
    parts = []
    for character in word:
        if character in "\\'":
            parts.append(f"\\{character}")
        elif character in _CUTS or (character.isascii() and not character.isprintable()):
            parts.append(f"\\x{ord(character):02x}")
        elif visible(character) == character:
            parts.append(character)
        else:
            parts.extend(f"\\x{byte:02x}" for byte in character.encode())
    return f"$'{''.join(parts)}'"
