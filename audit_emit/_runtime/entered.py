"""Whether what a context manager sets in the context can be seen by what is in its block."""

from __future__ import annotations

from types import FrameType

__all__ = ["entered_alone"]

GENERATOR = 0x20
"""``inspect.CO_GENERATOR``, without the import."""

THREADS = frozenset(("anyio", "asgiref", "concurrent", "outcome", "threading", "trio"))
"""The packages that run something in a thread, in a copy of the context."""


def entered_alone(frame: FrameType | None) -> bool:
    """Whether a thread enters a block and does nothing else.

    So a framework enters a synchronous dependency with ``yield``: a generator (of generators) that
    ``contextlib`` has made a context manager of. What is in the block runs after that, in other
    copies of the context.

    Args:
        frame: of what enters the block.
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
