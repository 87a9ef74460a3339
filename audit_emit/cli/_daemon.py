"""Commands that run until a signal comes: signals, pauses, waiting for a server."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from audit_emit._facade.text import visible
from audit_emit.errors import DatabaseError

LONGEST_SECONDS = 60.0
"""Of the pauses after failures, each twice as long as the one before."""


@contextmanager
def until_told() -> Iterator[list[int]]:
    """A list that SIGTERM and SIGINT put themselves into."""
    told: list[int] = []

    def tell(number: int, _: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pause(told: list[int], seconds: float) -> None:
    """Wait for some seconds, or until a signal comes."""
    end = time.monotonic() + seconds
    while not told and time.monotonic() < end:
        time.sleep(min(0.05, seconds))


def go_on(work: Callable[[], bool], told: list[int], every: float) -> None:
    """Work again and again until a signal comes, with growing pauses after failures.

    Args:
        work: one round; whether there may be more to do at once.
        told: see ``until_told``.
        every: seconds between two rounds without work.
    """
    failures = 0
    while not told:
        try:
            more = work()
        except DatabaseError as error:
            failures += 1
            # A random part, so that a hundred hosts do not all try again at the same moment.
            wait = min(LONGEST_SECONDS, 2.0 ** min(failures - 1, 6)) * random.uniform(0.5, 1)  # noqa: S311
            click.echo(
                f"audit-emit: {visible(str(error))} ({error.reason}); again in {wait:.0f} s",
                err=True,
            )
            pause(told, wait)
            continue
        if failures:
            click.echo("audit-emit: the database answers again", err=True)
        failures = 0
        if not more:
            pause(told, every)
