"""How long a test waits for what must happen.

A machine that does other things as well is slow, now and then by a hundred times, so there is one
answer for all tests: longer than anything takes. It costs nothing where the thing happens. How long
something took is no finding either; ``tests/test_waiting.py`` reads the tests for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 120.0
"""Seconds after which what is waited for will not happen: below the limit of a whole test."""

_PAUSE = 0.005


def until(done: Callable[[], Any], what: str = "it", *, seconds: float = PATIENCE) -> Any:
    """Wait for a condition; its first value that is true."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"{what} has not happened in time"
        time.sleep(_PAUSE)
    return found
