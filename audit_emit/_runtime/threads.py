"""Background threads of this library. They start when there is work, and keep no process alive.

Not ``threading.Thread``: its ``start`` waits until the new thread runs. If a signal handler forks
in that moment and the child returns from the handler, the child waits for ever, because it does not
have that thread. Not ``threading.Event`` either: its methods are Python code, and an exception of a
signal handler in the middle of one can leave its lock acquired. ``queue.SimpleQueue`` is written in
C and cannot be interrupted.
"""

from __future__ import annotations

import _thread
import os
import queue
import sys
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from audit_emit._runtime.interrupts import let_through

__all__ = ["Background", "prepare_exit", "weak_callback"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_UNWINDER = "libgcc_s.so.1"
_unwinder: list[int] = []
_dlopen: Callable[[str, int], int] | None = None
if sys.platform == "linux" and sys.version_info < (3, 14):
    # Not in ``prepare_exit``: a child that is forked while another thread of its parent imports a
    # module waits for ever when it imports that module itself.
    try:
        from _ctypes import dlopen as _dlopen
    except Exception as error:  # noqa: BLE001 - an audit hook (PEP 578) may raise anything
        let_through(error)


def prepare_exit() -> None:
    """Load now what the C library needs to end a thread; call it before a daemon thread starts.

    Before 3.14, Python ends a daemon thread that wakes while the interpreter is being finalized
    with ``pthread_exit``. The GNU C library opens its unwinder in that moment, and aborts the
    process where no descriptor is left for it.
    """
    if _unwinder or _dlopen is None:
        return
    try:
        _unwinder.append(_dlopen(_UNWINDER, os.RTLD_NOW))
    except Exception as error:  # noqa: BLE001 - an audit hook (PEP 578) may raise anything
        let_through(error)
        # Another C library, or a hook forbids it; or no descriptor is left, and the next thread
        # tries again. The thread starts without it.


class _Token:
    """Only the thread has a reference to it, so it is gone when the thread is."""


class Background:
    """One background thread. It belongs to the process in which this object was made."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._started = False
        self._over = False
        self._token: weakref.ref[_Token] | None = None
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def start(self, work: Callable[..., object], *args: object) -> None:
        """Run ``work(*args)`` once in a new thread. Does not wait for the thread to start.

        Raises:
            RuntimeError: no thread can be started, or the interpreter is shutting down.
        """

        def run(_token: _Token) -> None:
            try:
                work(*args)
            finally:
                self._over = True
                self._ended.put(None)

        # Without the memory to call ``run``, not even its ``finally`` runs, but the token is gone.
        token = _Token()
        self._token = weakref.ref(token)
        prepare_exit()
        _thread.start_new_thread(run, (token,))
        # If an interrupt prevents this assignment, the next call starts another thread.
        self._started = True

    def is_alive(self) -> bool:
        """Whether it was started in this process and still runs."""
        if not self._started or self._pid != os.getpid() or self._over:
            return False
        return self._token is None or self._token() is not None

    def join(self, timeout: float) -> None:
        """Wait until it has ended, for at most ``timeout`` seconds."""
        if self.is_alive():
            try:
                self._ended.get(timeout=timeout)
            except queue.Empty:
                return
            self._ended.put(None)  # for other threads that wait


def weak_callback(method: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Wrap a bound method so that it holds only a weak reference to its object.

    When the object is gone the call returns ``None``. Without this, two objects that refer to each
    other would live until the garbage collector finds the cycle, and a log that was not closed
    would keep its descriptors and its thread until then.
    """
    reference: Any = weakref.WeakMethod(method)

    def call(*args: _P.args, **named: _P.kwargs) -> _R | None:
        found: Callable[_P, _R] | None = reference()
        return None if found is None else found(*args, **named)

    return call
