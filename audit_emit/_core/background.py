"""The thread that tries again while something waits for a store or a mirror."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from audit_emit._core.owed import has_more
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["Worker"]

_TICK_SECONDS = 0.1

_owing: set[Emitter] = set()
"""Emitters that still have something to write: this reference keeps them alive until it is done."""


class Worker:
    """Drains the outbox of an emitter until nothing waits; what comes later starts another thread.

    Args:
        emitter: kept alive while something waits, and no longer.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = weakref.ref(emitter)
        self._thread: Background | None = None

    waited_for: int = 0
    """How many callers wait in ``hurry``."""

    def reset(self) -> None:
        """Start without a thread: at the beginning, and in a forked child."""
        self._thread = None
        self.let_go()

    def let_go(self) -> None:
        """Drop the reference to the emitter: nothing is left to write."""
        emitter = self._emitter()
        if emitter is not None:
            _owing.discard(emitter)

    def keep(self, emitter: Emitter) -> None:
        """Keep the emitter alive until nothing is left to write."""
        _owing.add(emitter)

    def hurry(self, seconds: float) -> bool:  # noqa: ARG002 - see ``Appender``
        """Whether the thread drains in place of the caller; this one never does."""
        return False

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread if it does not run; not at the very end of a process."""
        emitter = self._emitter()
        if emitter is None:
            return
        self.keep(emitter)
        if self.is_alive():
            return
        thread = Background()
        try:
            thread.start(_keep_draining, self._emitter, self)
        except RuntimeError as error:
            let_through(error)
            # The interpreter is ending, or has no threads left; the next emit or the exit drains.
            return
        self._thread = thread

    def start_at_once(self) -> None:
        """As ``start``; an ``Appender`` also ends its pause."""
        self.start()

    def rests(self, emitter: Emitter) -> bool:
        """Whether nothing waits, so that the thread may end."""
        if has_more(emitter.outbox):
            return False
        self._thread = None
        self.let_go()
        # An event just before this found the thread alive, and did not start another one.
        if has_more(emitter.outbox):
            self.start()
        return True


def _keep_draining(reference: weakref.ref[Emitter], worker: Worker) -> None:
    """Try again until nothing waits; holds no reference to the emitter between two tries."""
    while True:
        time.sleep(_TICK_SECONDS)
        emitter = reference()
        if emitter is None:
            return
        if worker.rests(emitter):
            emitter.outbox.stderr_log.flush()
            return
        emitter.outbox.try_again()
        del emitter
