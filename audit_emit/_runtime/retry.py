"""Retries a write to a log that other processes write to, for commands that have the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from audit_emit.errors import SinkError

SECONDS = 10.0
_ATTEMPTS = 3
_PAUSE = 0.02


def retry_write(write: Callable[[], None], seconds: float = SECONDS) -> None:
    """Call ``write`` until it succeeds.

    While other processes have the lock, it is tried again for ``seconds``; after any other failure,
    three times in all.

    Args:
        write: writes one record; if it raises, nothing of the record is in the file.
        seconds: how long to wait for the lock.

    Raises:
        SinkError: the record cannot be written.
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
