"""Threads of the console's own: an application that it is mounted in keeps all of its own.

A question may read the whole log, and a password takes 0.2 s. So there are few of the one kind, and
one of the other: who sends many of them waits for his own, and uses up nobody's memory.
"""

from __future__ import annotations

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
    """What a function returns that reads a log or runs a command."""
    return await to_thread.run_sync(
        partial(function, *args, **kwargs), limiter=_limiter(_reading, READING)
    )


async def hashing(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns that hashes a password."""
    return await to_thread.run_sync(
        partial(function, *args, **kwargs), limiter=_limiter(_hashing, 1)
    )


async def asking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns that asks another server who somebody is.

    Raises:
        TimeoutError: the other server takes too long. Nobody waits for its thread any more.
    """
    with fail_after(ASKING_SECONDS):
        return await to_thread.run_sync(
            partial(function, *args, **kwargs),
            limiter=_limiter(_asking, ASKING),
            abandon_on_cancel=True,
        )


async def each_in_thread(items: Generator[T, None, None]) -> AsyncIterator[T]:
    """What a generator gives that reads a log; it is closed when nobody wants more."""
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
