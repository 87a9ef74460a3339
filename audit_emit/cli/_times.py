"""``--since`` and ``--until``: the time that a word stands for is printed on standard error.

Nobody should have to guess which day ``monday`` was.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from audit_emit._facade.queries import TIME_EXAMPLES as EXAMPLES
from audit_emit._facade.queries import instant, span
from audit_emit._facade.records import ns_of
from audit_emit._facade.text import visible

__all__ = ["EXAMPLES", "span", "time_option"]

_OFFSET = re.compile(r"(.*\d)([+-]\d\d:\d\d)", re.ASCII)


def time_option(_: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """The callback of an option that takes a time (``instant``); empty when it is not given."""
    if value is None:
        return ""
    try:
        found = instant(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None
    if not _is_plain(value):
        short = re.sub(r"(\.\d*?)0+Z$", r"\1Z", found).replace(".Z", "Z")
        click.echo(f"{parameter.opts[0]} {visible(value)} is {short} (UTC)", err=True)
    return found


def _is_plain(text: str) -> bool:
    """Whether nobody could take it for another time: a span, or a date with its zone."""
    return _is_span(text) or (
        "T" in text and (text.endswith("Z") or _OFFSET.fullmatch(text) is not None)
    )


def _is_span(text: str) -> bool:
    try:
        span(text)
    except ValueError:
        return False
    return True


def cutoff(text: str) -> int:
    """The time that ``--older-than`` means, in nanoseconds since 1970.

    Raises:
        UsageError: it is none.
    """
    try:
        return ns_of(instant(text, datetime.now(UTC)))
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--older-than {visible(text)} is no span (90d, 12w) and no date (2026-01-31)"
        ) from None
