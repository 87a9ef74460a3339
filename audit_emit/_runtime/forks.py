"""Whether this is still the process that it was, at a price that every event can pay.

Python tells of its own forks only (``os.register_at_fork``), and tells the hooks that were
registered before ours first: such a hook may emit. Others fork without a word (a library in C,
``ctypes``). So a byte is kept in a page that the kernel wipes in the child of any fork (Linux 4.14,
``MADV_WIPEONFORK``); reading it takes 30 ns. Elsewhere the process id is asked for.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable

__all__ = ["PAGE", "SAME", "on_fork", "renew"]

_WIPE_ON_FORK = 18


class _Asked:
    """What stands for the page where there is none."""

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
SAME: mmap.mmap | _Asked = _Asked() if PAGE is None else PAGE
"""``SAME[0]`` is 0 in a forked child until ``renew`` was called there."""

_callbacks: list[Callable[[], None]] = []


def on_fork(callback: Callable[[], None]) -> None:
    """Have ``callback`` called in every forked child, before anything of the child is recorded."""
    _callbacks.append(callback)


def renew() -> None:
    """Begin a life of its own in a forked child, once."""
    if SAME[0]:
        return
    for callback in _callbacks:
        callback()
    SAME[0] = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew)
