"""Detects a fork, at a cost that every event can afford.

``os.register_at_fork`` is not enough. Python calls these hooks only for its own forks, not for
those of a library in C or of ``ctypes``. And it calls hooks that were registered before ours first,
and such a hook may emit an event. So there is one byte in a page of memory that the kernel clears
in the child of any fork (``madvise`` with ``MADV_WIPEONFORK``, Linux 4.14 and later); reading it
takes 30 ns. On other systems the process id is compared.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable

__all__ = ["PAGE", "SAME", "on_fork", "renew"]

_WIPE_ON_FORK = 18


class _ProcessId:
    """Stands in for the page on systems without it: compares the process id."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, at: int) -> int:
        return self._pid == os.getpid()

    def __setitem__(self, at: int, value: int) -> None:
        self._pid = os.getpid()


def _wiped_page() -> mmap.mmap | None:
    if sys.platform != "linux":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except OSError:
        return None
    page[0] = 1
    return page


PAGE = _wiped_page()
SAME: mmap.mmap | _ProcessId = _ProcessId() if PAGE is None else PAGE
"""``SAME[0]`` is 0 in a forked child until ``renew`` was called there."""

_callbacks: list[Callable[[], None]] = []


def on_fork(callback: Callable[[], None]) -> None:
    """Register a function that is called in every forked child, before its first event."""
    _callbacks.append(callback)


def renew() -> None:
    """In a forked child, call the registered functions, once."""
    if SAME[0]:
        return
    for callback in _callbacks:
        callback()
    SAME[0] = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew)
