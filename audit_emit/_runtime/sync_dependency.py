"""Recognises a synchronous dependency with ``yield``, whose context is lost after it is entered.

FastAPI turns such a dependency, a generator function, into a context manager and enters it in a
worker thread, in a copy of the context. The code that runs in the block is executed later, in other
copies. So a ``ContextVar`` that is set when the block is entered is visible nowhere. ``bind`` must
know this, to store the ids in the shared context of the request instead.
"""

from __future__ import annotations

from types import FrameType

__all__ = ["is_entered_by_worker_thread"]

GENERATOR = 0x20
"""``inspect.CO_GENERATOR``; importing ``inspect`` would take 10 ms."""

THREADS = frozenset(("anyio", "asgiref", "concurrent", "outcome", "threading", "trio"))
"""The packages that run functions in a worker thread, in a copy of the context."""


def is_entered_by_worker_thread(frame: FrameType | None) -> bool:
    """Whether a worker thread runs only the entry of the block that this frame enters.

    On the stack there are then only the frames of generators, a frame of ``contextlib``, and below
    them a frame of a package that runs functions in threads. Any other function in between would
    still be running when the block is executed.

    Args:
        frame: the frame that enters the block.
    """
    managed = False
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name == "contextlib":
            managed = True
        elif not frame.f_code.co_flags & GENERATOR:
            return managed and str(name).partition(".")[0] in THREADS
        frame = frame.f_back
    return False
