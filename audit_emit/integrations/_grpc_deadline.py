"""gRPC: whether a cancelled call has exceeded its deadline, or its client has left."""

from __future__ import annotations

from typing import Any

_FOREVER = 1e9  # seconds; a synchronous server gives more than that where there is no deadline


def seconds_left(context: Any) -> float | None:
    """Until the deadline of a call; ``None`` where it has none."""
    left = context.time_remaining()
    return None if left is None or left > _FOREVER else float(left)


def is_late(allowed: float | None, remaining: float | None) -> bool:
    """Whether a cancelled call has exceeded its deadline.

    A client cancels the call when its deadline passes. That is before the deadline on the server,
    which counts from the arrival of the call, and which gRPC rounds up by as much as 1 %. So a
    cancellation within the last 1 % plus a tenth of a second, but never in the first half, counts
    as a missed deadline.

    Args:
        allowed: seconds until the deadline when the call began.
        remaining: seconds until it now.
    """
    if allowed is None or remaining is None:
        return False
    return remaining <= min(0.1 + allowed / 100, allowed / 2)
