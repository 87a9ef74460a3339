"""The console's own threads, so that it never uses up those of an application it is mounted in.

One request may read the whole log, and hashing a password takes 0.2 s and 16 MiB. So there are few
threads for reading, and one per processor for passwords: many such requests wait for each other,
and need no more memory. ``attempts.py`` says how many passwords one client may have hashed at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
from anyio.lowlevel import RunVar

P = ParamSpec("P")
T = TypeVar("T")

READING = 8
_reading: RunVar[CapacityLimiter] = RunVar("audit_emit.console.reading")
ASKING = 4
ASKING_SECONDS = 30.0
_hashing: RunVar[CapacityLimiter] = RunVar("audit_emit.console.hashing")
_asking: RunVar[CapacityLimiter] = RunVar("audit_emit.console.asking")
_END: Any = object()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads a log or runs a command, in one of the threads for that."""
    return await to_thread.run_sync(
        partial(function, *args, **kwargs), limiter=_limiter(_reading, READING)
    )


async def hashing(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that hashes a password, in one of the threads for that: one a processor."""
    return await to_thread.run_sync(
        partial(function, *args, **kwargs), limiter=_limiter(_hashing, os.cpu_count() or 1)
    )


async def asking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that asks the OpenID provider, in one of the threads for that.

    Raises:
        TimeoutError: the provider takes too long. The thread ends later, and nobody waits for it.
    """
    with fail_after(ASKING_SECONDS):
        return await to_thread.run_sync(
            partial(function, *args, **kwargs),
            limiter=_limiter(_asking, ASKING),
            abandon_on_cancel=True,
        )


async def each_in_thread(items: Generator[T, None, None]) -> AsyncIterator[T]:
    """Iterate over a generator that reads a log, in a thread; it is closed with the iterator."""
    try:
        while (item := await in_thread(next, items, _END)) is not _END:
            yield item
    finally:
        items.close()


def _limiter(kept: RunVar[CapacityLimiter], most: int) -> CapacityLimiter:
    found = kept.get(None)
    if found is None:
        found = CapacityLimiter(most)
        kept.set(found)
    return found
