"""Threads of the library's own: they begin when there is work, and keep no process alive.

``threading.Thread.start`` waits until the new thread runs. Should a signal handler fork meanwhile,
and its child return from the handler, the child would wait for ever: it has no such thread.
Nor is there a ``threading.Event`` here: what a signal handler raises can come inside its methods,
which are Python code, and leave their lock taken. A ``queue.SimpleQueue`` is C.
"""

from __future__ import annotations

import _thread
import os
import queue
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["Background", "weakly"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Background:
    """One such thread. It belongs to the process that made the object."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._started = False
        self._over = False
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def start(self, work: Callable[..., object], *args: object) -> None:
        """Run ``work(*args)`` in it, once, and wait for nothing.

        Raises:
            RuntimeError: there are no threads to be had, or the interpreter is ending.
        """

        def run() -> None:
            try:
                work(*args)
            finally:
                self._over = True
                self._ended.put(None)

        _thread.start_new_thread(run, ())
        # Should an interrupt prevent this, another thread is started in its place.
        self._started = True

    def is_alive(self) -> bool:
        """Whether it was started here and goes on."""
        return self._started and self._pid == os.getpid() and not self._over

    def join(self, timeout: float) -> None:
        """Wait until it has ended, for ``timeout`` seconds at most."""
        if self.is_alive():
            try:
                self._ended.get(timeout=timeout)
            except queue.Empty:
                return
            self._ended.put(None)  # for whoever else waits


def weakly(method: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """A bound method that keeps its object no longer alive; it gives ``None`` once that is gone.

    Objects that hold each other are given back when the collector comes by, if ever: a log that
    nobody closed would keep its descriptors and its thread until then.
    """
    reference: Any = weakref.WeakMethod(method)

    def call(*args: _P.args, **named: _P.kwargs) -> _R | None:
        found: Callable[_P, _R] | None = reference()
        return None if found is None else found(*args, **named)

    return call
