"""What something costs, on a machine that does other things as well.

Load, a collection of garbage or a slow moment only ever add to a measurement. So it is taken again
while it is too high: what is too slow in itself is too slow every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

ROUNDS = 12


def cost(work: Callable[[], object]) -> float:
    """Seconds of the processor, in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def takes_less(
    work: Callable[[], object],
    seconds: float,
    *,
    times: float = 0.0,
    than: Callable[[], object] | None = None,
) -> bool:
    """Whether it can be done in ``seconds`` and so many times what something else costs."""
    ours = theirs = float("inf")
    for _ in range(ROUNDS):
        ours = min(ours, cost(work))
        theirs = min(theirs, cost(than)) if than is not None else 0.0
        if ours < times * theirs + seconds:
            return True
    return False
