"""Records whose sync failed, kept until they are in a file that was synced."""

from __future__ import annotations

import time
from collections import deque

LIMIT = 1000
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class Unsynced:
    """Lines that are in a file, but may not survive a loss of power.

    Attributes:
        lines: those that can be written again, at most ``LIMIT``.
        forgotten: how many more there were.
    """

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque(maxlen=LIMIT)
        self.forgotten: int = 0
        self._pause = _FIRST_PAUSE
        self._after = 0.0

    def add(self, lines: list[bytes], more: int = 0) -> None:
        """Add lines, and as many ``more`` that cannot be written again."""
        self.forgotten += more + max(0, len(self.lines) + len(lines) - LIMIT)
        self.lines.extend(lines)

    def forget(self) -> None:
        """Forget all of them: they were written again. The pause before the next attempt stays."""
        self.lines.clear()
        self.forgotten = 0

    def is_due(self) -> bool:
        """Whether to write them again now; every attempt makes the next one wait longer.

        A disk that fails all the time would otherwise get a segment per record.
        """
        now = time.monotonic()
        if now < self._after:
            return False
        self._after = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True
