"""What something costs, on a machine that does other things as well, or is a slow one.

Load, a collection of garbage or a slow moment only ever add to a measurement. So it is taken again
while it is too high: what is too slow in itself is too slow every time. And what seconds are given
are those of a usual machine: they are as many times what this one takes for a known piece of work.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

ROUNDS = 12


def cost(work: Callable[[], object]) -> float:
    """Seconds of the processor, in this thread, without the collector of garbage.

    That would look at all that the other tests have left.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        start = time.thread_time()
        work()
        return time.thread_time() - start
    finally:
        if collects:
            gc.enable()


def a_millisecond() -> int:
    """What takes about so long on a usual machine; on any other it is the unit."""
    return sum(n % 7 for n in range(20_000))


def takes_less(
    work: Callable[[], object],
    seconds: float,
    *,
    times: float = 0.0,
    than: Callable[[], object] = a_millisecond,
) -> bool:
    """Whether it can be done in ``seconds`` and so many times what something else costs."""
    ours = theirs = unit = float("inf")
    for _ in range(ROUNDS):
        ours = min(ours, cost(work))
        unit = min(unit, cost(a_millisecond))
        theirs = min(theirs, cost(than)) if times else 0.0
        if ours < times * theirs + seconds * max(unit / 0.001, 1.0):
            return True
    return False
