"""The newest alerts of a log, found without reading what is older."""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._format.record import parsed
from audit_emit._query.question import Question
from audit_emit._query.search import ask_log
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, Recorded, alerts_in
from audit_emit._report.period import DAY
from audit_emit._settings.address import is_address

DAYS = 30
"""What is older is not open any more, for those who ask how a log stands."""

MOST = 1_000
"""Alerts and acknowledgements that are looked at, the newest."""


def recent_alerts(log: str | Sequence[str], now: int) -> list[Recorded]:
    """The alerts of the last ``DAYS`` days that are records of a log, oldest first.

    Args:
        log: as for ``ask_log``.
        now: nanoseconds since 1970.

    Raises:
        OSError, UnsupportedError: as ``ask_log``.
    """
    where = [log] if isinstance(log, str) else list(log)
    # A database has an index of types; files are searched once, for what both types hold.
    kinds = [ANOMALY, ACKNOWLEDGED] if any(map(is_address, where)) else ["*anomaly*"]
    lines: list[bytes] = []
    for kind in kinds:
        wanted = Question(types=(kind,), since=max(0, now - DAYS * DAY))
        lines += ask_log(wanted, where, MOST).lines
    found: dict[str, list[bytes]] = {ANOMALY: [], ACKNOWLEDGED: []}
    for line in lines:
        name = (parsed(line) or {}).get("event_type")
        if isinstance(name, str) and name in found:
            found[name].append(line)
    return alerts_in(found[ANOMALY], found[ACKNOWLEDGED])
