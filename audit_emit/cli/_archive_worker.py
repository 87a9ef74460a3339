"""``audit-emit archive run --daily``: the worker, once a day until a signal comes.

The day that was done is noted beside the journal, so that a worker that is started again does not
do it twice, and one that was not running at the hour does it when it comes back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

import click

from audit_emit._facade.archive import (
    JITTER_SECONDS,
    LONGEST_SLEEP,
    due,
    hour_of,
    note,
    noted,
    pause_after,
    seconds_until,
    utc,
)
from audit_emit._facade.records import ts_of
from audit_emit._facade.text import visible
from audit_emit.cli import _streams
from audit_emit.cli._daemon import pause, until_told
from audit_emit.cli._exit import Exit
from audit_emit.cli._group import failed
from audit_emit.errors import SignerError


def daily(
    hour: str,
    guard: str,
    work: Callable[[Callable[[], bool]], Exit],
    *,
    enabled: bool,
    jitter: float = JITTER_SECONDS,
) -> Exit:
    """Work every day at an hour, until SIGTERM or SIGINT.

    Args:
        hour: in UTC.
        guard: the file that has the day that is done.
        work: one day's work; given what says that it should end; its exit status.
        enabled: without it nothing is done, and the process waits to be ended.
        jitter: seconds after the hour within which it begins.
    """
    at = hour_of(hour)
    with until_told() as told:
        if not enabled:
            click.echo("audit-emit: dormant: AUDIT_EMIT_ARCHIVE_ENABLED is not 1", err=True)
        while not told and not enabled:
            pause(told, LONGEST_SLEEP)
        failures = 0
        while not told:
            before = noted(guard).day
            day = due(utc(time.time_ns()), at, before)
            if not day:
                wait = seconds_until(utc(time.time_ns()), at) + random.uniform(0, jitter)  # noqa: S311
                pause(told, min(wait, LONGEST_SLEEP))
                continue
            status = _status(work, told)
            if told:
                break
            if status in {Exit.OK, Exit.NOTHING}:
                try:
                    note(guard, day)
                    failures = 0
                    continue
                except OSError as error:
                    failed(error)
                    status = Exit.INCOMPLETE
            failures += 1
            with suppress(OSError):  # the disk may be what is in the way
                word = status.name.lower().replace("_", "-")
                note(guard, before, f"{ts_of(time.time_ns())} {word}: see what the worker printed")
            wait = pause_after(failures) * random.uniform(0.5, 1)  # noqa: S311
            click.echo(visible(f"audit-emit: {day} is not done; again in {wait:.0f} s"), err=True)
            pause(told, wait)
    return Exit.OK


def _status(work: Callable[[Callable[[], bool]], Exit], told: list[int]) -> Exit:
    """Do a day's work; its exit status.

    A database, a disk or a key service may be back at the next try, so the worker goes on. The
    reader of its standard output does not come back, so that ends it.
    """
    try:
        return work(lambda: bool(told))
    except (OSError, SignerError) as error:
        if isinstance(error, OSError) and _streams.printing(error):
            raise
        failed(error)
        return Exit.INCOMPLETE
