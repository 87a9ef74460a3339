"""What the exit status of every command means."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The same answers for all commands (docs/wire-format.md, section 7)."""

    OK = 0
    """All good."""
    FINDINGS = 1
    """It worked, and something is wrong with what was looked at."""
    USAGE = 2
    """The command line cannot be understood, or an optional dependency is missing."""
    UNREADABLE = 3
    """A file cannot be read, or there is nothing there."""
    INCOMPLETE = 4
    """Good as far as it goes: a torn last line, a declared gap, a missing key."""
    LOKI = 5
    """Loki cannot be reached, refuses, or gives no answer to build on."""
