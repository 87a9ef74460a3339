"""When a worker works: once a day, at an hour of UTC, later where it was not running then. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

JITTER_SECONDS = 900.0
"""Workers begin at a random time within this many seconds, so that many hosts do not all begin at
once."""

LONGEST_SLEEP = 600.0
"""Seconds after which a worker reads the clock again: it may be set, or the machine may sleep."""

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
"""Seconds until a day that failed is tried again; doubled with each failure."""

_HOUR = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def hour_of(text: str) -> tuple[int, int]:
    """Hour and minute of ``03:00``.

    Raises:
        ValueError: it is no time of day.
    """
    found = _HOUR.fullmatch(text)
    if found is None:
        raise ValueError("must be a time of day in UTC, such as 03:00")
    return int(found[1]), int(found[2])


def due(now: datetime, hour: tuple[int, int], done: str) -> str:
    """The day whose work is due, as ``2026-05-19``; empty for none.

    Args:
        now: in UTC.
        hour: see ``hour_of``.
        done: the last day whose work was done. One that is still to come was not: a clock was
            ahead, or somebody wrote it.
    """
    begun = now.replace(hour=hour[0], minute=hour[1], second=0, microsecond=0)
    day = now if now >= begun else now - timedelta(days=1)
    name = day.strftime("%Y-%m-%d")
    return "" if name <= done <= now.strftime("%Y-%m-%d") else name


def seconds_until(now: datetime, hour: tuple[int, int]) -> float:
    """Until the hour comes next."""
    next_one = now.replace(hour=hour[0], minute=hour[1], second=0, microsecond=0)
    if next_one <= now:
        next_one += timedelta(days=1)
    return (next_one - now).total_seconds()


def pause_after(failures: int) -> float:
    """Seconds until the next try after a number of failures, which is at least one."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))


def utc(ns: int) -> datetime:
    """The time as a ``datetime``."""
    return datetime.fromtimestamp(ns / 1e9, UTC)
