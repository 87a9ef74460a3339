"""How often lost lines of stdout are declared in the chain: an outage is one gap."""

from __future__ import annotations

import time

from audit_emit._runtime.nonblocking_fd import CLOSED, REPLACED

__all__ = ["Pace"]

_SECONDS = 1.0
"""Losses are declared together, this far apart while stdout takes some of the lines."""

_OUTAGE_SECONDS = 60.0
"""The same where stdout is closed, or belongs to other code now: the losses are declared when it
is back or the process ends, and earlier only if that takes longer than this."""

_LONGEST_SECONDS = 3600.0
_GONE = frozenset({CLOSED, REPLACED, "EPIPE"})
"""The faults of stdout that do not pass by themselves."""


class Pace:
    """When the next gap is due: ever more rarely while stdout takes nothing at all."""

    def __init__(self) -> None:
        self._last = 0.0
        self._pause = _SECONDS

    def is_due(self) -> bool:
        """Whether what was lost is declared now."""
        return time.monotonic() - self._last >= self._pause

    def lost(self, fault: str | None) -> None:
        """Note a lost line; the reason is one of ``Descriptor.fault``."""
        if fault in _GONE and self._pause < _OUTAGE_SECONDS:
            self._last, self._pause = time.monotonic(), _OUTAGE_SECONDS

    def works(self) -> None:
        """Note that stdout takes lines."""
        self._pause = _SECONDS

    def declared(self, fault: str | None) -> None:
        """Note that a gap was written, while stdout has a fault or has none."""
        self._last = time.monotonic()
        if fault:
            self._pause = min(2 * self._pause, _LONGEST_SECONDS)
