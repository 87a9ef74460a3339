"""The exit statuses of all commands: one table, for every ``--help`` and for docs/commands.md."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """The same answers for all commands; ``MEANING`` says what they are."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    NOTHING = 3
    INCOMPLETE = 4
    NO_ANSWER = 5


MEANING = {
    Exit.OK: "it holds, or was done",
    Exit.FINDINGS: "a finding: it worked, and something is wrong with what was looked at",
    Exit.USAGE: "the command line cannot be understood, or an optional package is missing",
    Exit.NOTHING: "there is nothing to look at, or it cannot be read",
    Exit.INCOMPLETE: "not complete, or not yet: good as far as it goes",
    Exit.NO_ANSWER: "a server gave no usable answer",
}
"""What each status means; a command may say it more precisely, and never otherwise."""

INTERRUPTED = 130
"""What a shell expects of a process that Ctrl-C ended; no command decides on it."""

_FIRST = (Exit.USAGE, Exit.FINDINGS, Exit.NO_ANSWER, Exit.INCOMPLETE, Exit.NOTHING)
"""The order in which one is chosen where several apply."""


def worst(statuses: Iterable[int]) -> Exit:
    """The one status of several results: a finding, then no answer, not complete, nothing there."""
    found = set(statuses)
    return next((status for status in _FIRST if status in found), Exit.OK)
