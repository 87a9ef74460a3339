"""The newest alerts of a log, found without reading what is older."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._query.question import Question
from audit_emit._query.search import ask_log
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, Recorded, alerts_in
from audit_emit._report.period import DAY

DAYS = 30
"""What is older is not open any more, for those who ask how a log stands."""

MOST = 1_000
"""Alerts that are looked at, the newest, and as many acknowledgements."""


class Recent(NamedTuple):
    """What was found.

    Attributes:
        alerts: oldest first.
        cut: there are more, older ones, or older acknowledgements, than ``MOST``.
    """

    alerts: list[Recorded]
    cut: bool


def recent_alerts(log: str | Sequence[str], now: int) -> Recent:
    """The alerts of the last ``DAYS`` days that are records of a log.

    Args:
        log: as for ``ask_log``.
        now: nanoseconds since 1970.

    Raises:
        OSError, UnsupportedError: as ``ask_log``.
    """
    # Each type has a search of its own, so that no flood of another one pushes its records out.
    since = max(0, now - DAYS * DAY)
    alerts, acknowledgements = (
        ask_log(Question(types=(kind,), since=since), log, MOST) for kind in (ANOMALY, ACKNOWLEDGED)
    )
    found = alerts_in(alerts.lines, acknowledgements.lines)
    return Recent(found, alerts.cut or acknowledgements.cut)
