"""The time that a report is about, and the steps in which its plots show it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from audit_emit._format.record import ts_of

SECOND = 10**9
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
DAY = _DAY * SECOND

_STEPS = (
    *(_MINUTE * many for many in (1, 5, 15, 30)),
    *(_HOUR * many for many in (1, 3, 6, 12)),
    *(_DAY * many for many in (1, 2, 7, 14, 28, 91, 364, 3640)),
)
"""Seconds of one bar."""

MOST_BARS = 60


def padded(ns: int) -> str:
    """A time as records have it, so that texts compare as times do."""
    return ts_of(ns)


class Period(NamedTuple):
    """From ``since`` on and before ``until``, both in nanoseconds since 1970."""

    since: int
    until: int

    @classmethod
    def of_days(cls, days: int, until: int) -> Period:
        """So many days before the one (UTC) that ``until`` is in, and that one as far as it goes.

        They begin at midnight, so that the bars of a plot are whole days.
        """
        return cls(max(0, until // DAY - days) * DAY, until)

    @property
    def step(self) -> int:
        """Nanoseconds of one bar."""
        for step in _STEPS:
            if len(self.bars_of(step * SECOND)) <= MOST_BARS:
                return step * SECOND
        return _STEPS[-1] * SECOND

    def bars_of(self, step: int) -> range:
        """The numbers of the bars; the first one begins at or before ``since``."""
        return range(self.since // step, -(-self.until // step))

    @property
    def texts(self) -> tuple[str, str]:
        """Both ends as a command line has them: without digits that say nothing."""
        return short(self.since), short(self.until)


def short(ns: int) -> str:
    """A time (RFC 3339) without a fraction that is zero."""
    text = ts_of(ns)
    return f"{text[:-1].rstrip('0').rstrip('.')}Z" if "." in text else text
