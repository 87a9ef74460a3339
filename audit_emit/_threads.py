"""Threads of the library's own: they begin when there is work, and keep no process alive.

``threading.Thread.start`` waits until the new thread runs. Should a signal handler fork meanwhile,
and its child return from the handler, the child would wait for ever: it has no such thread.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable

__all__ = ["Background"]


class Background:
    """One such thread. It belongs to the process that made the object."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._started = False
        self._ended = threading.Event()

    def start(self, work: Callable[..., object], *args: object) -> None:
        """Run ``work(*args)`` in it, once, and wait for nothing.

        Raises:
            RuntimeError: there are no threads to be had, or the interpreter is ending.
        """

        def run() -> None:
            try:
                work(*args)
            finally:
                self._ended.set()

        _thread.start_new_thread(run, ())
        # Should an interrupt prevent this, another thread is started in its place.
        self._started = True

    def is_alive(self) -> bool:
        """Whether it was started here and goes on."""
        return self._started and self._pid == os.getpid() and not self._ended.is_set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended, for ``timeout`` seconds at most."""
        if self.is_alive():
            self._ended.wait(timeout)
