"""The earliest and the latest time in a block of lines. Pure."""

from __future__ import annotations

import re

from audit_emit._format.link import TS

Span = tuple[str, str]
"""Two times, as ``ts`` of a record."""

UNTIMED: Span = "0000-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999999999Z"
"""The span of lines of which one has no time that can be read."""

_TS = re.compile(
    rb'\{"ts":"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z"'
)


def span_of(lines: list[bytes]) -> Span:
    """The earliest and the latest ``ts`` of some lines."""
    return between(min(lines), max(lines))


def between(low: bytes, high: bytes) -> Span:
    """The earliest and the latest ``ts`` of lines, from their first and last one.

    If the first and the last line in the order of their bytes begin as records do, every other line
    has the same beginning, followed by a time between theirs, in the order of texts.

    Args:
        low, high: these two lines, or their beginnings.
    """
    if not (_TS.match(low) and _TS.match(high)):
        return UNTIMED
    return low[TS].decode(), high[TS].decode()
