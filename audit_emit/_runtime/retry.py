"""Trying again what only a moment stands in the way of, for commands that have the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from audit_emit.errors import SinkError

SECONDS = 10.0
_ATTEMPTS = 3
_PAUSE = 0.02


def insist(write: Callable[[], None], seconds: float = SECONDS) -> None:
    """Write into a log that others write into, too.

    Args:
        write: one record; nothing of it is in the file when it raises.
        seconds: how long the others may hold the lock. What fails otherwise is tried three times.

    Raises:
        SinkError: it cannot be written.
    """
    deadline = time.monotonic() + seconds
    failed = 0
    while True:
        try:
            write()
        except SinkError as error:
            busy = error.reason == "lock-timeout"
            failed += not busy
            if failed >= _ATTEMPTS or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return
