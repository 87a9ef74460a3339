"""How far a long command is, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Bar:
    """A progress bar, which is shown when the work takes longer than a moment.

    Args:
        verb: what is being done.
        unit: of the numbers that it is called with; bytes by default.
    """

    WIDTH = 30
    EVERY = 0.1
    QUIET = 0.5

    def __init__(self, verb: str, unit: str = "") -> None:
        self._verb = verb
        self._unit = unit
        self._begun = self._told = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show it, at most ten times a second."""
        now = time.monotonic()
        if now - self._told < self.EVERY or now - self._begun < self.QUIET or not total:
            return
        self._told, self._shown = now, True
        share = min(done / total, 1)
        bar = "#" * int(share * self.WIDTH)
        whole = f"{total:,} {self._unit}" if self._unit else f"{total / 1e6:.0f} MB"
        sys.stderr.write(f"\r{self._verb} [{bar:<{self.WIDTH}}] {share:4.0%} of {whole}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away again."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


@contextmanager
def on_terminal(verb: str, unit: str = "") -> Iterator[Bar | None]:
    """A bar, if there is somebody to look at it; gone when the work is done."""
    bar = Bar(verb, unit) if sys.stderr.isatty() else None
    try:
        yield bar
    finally:
        if bar is not None:
            bar.clear()
