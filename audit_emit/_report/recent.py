"""The newest alerts of a log, found without reading what is older."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._query.question import Question, Term
from audit_emit._query.search import Answer, ask_log
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, Recorded, alerts_in
from audit_emit._report.period import DAY
from audit_emit._settings.settings import Settings
from audit_emit._signing.trusted_keys import KeyRing

DAYS = 30
"""What is older is not open any more, for those who ask how a log stands."""

MOST = 1_000
"""Alerts that are looked at, the newest, and as many acknowledgements."""

_CHAINS = 16
"""Chains of alerts that are looked for in a trail, the newest: each is a search, and whoever writes
lines into the log chooses how many there are."""


class Recent(NamedTuple):
    """What was found.

    Attributes:
        alerts: oldest first.
        cut: there are more, older ones, or older acknowledgements, than ``MOST``.
    """

    alerts: list[Recorded]
    cut: bool


class Trail(NamedTuple):
    """The log of the console's own events, in which operators acknowledge alerts of another log.

    Attributes:
        where: it is, as for ``ask_log``; empty for none.
        service: that writes to it.
    """

    where: str
    service: str

    @classmethod
    def of(cls, given: Settings) -> Trail:
        """Where an emitter keeps what it writes. With a file and a database the file is first."""
        if given.jsonl is None and given.address is not None:
            return cls(f"{given.address.conninfo()}#service={given.service}", given.service)
        return cls(given.jsonl or "", given.service)


NO_TRAIL = Trail("", "")


def recent_alerts(
    log: str | Sequence[str], now: int, trail: Trail = NO_TRAIL, ring: KeyRing | None = None
) -> Recent:
    """The alerts of the last ``DAYS`` days that are records of a log.

    Args:
        log, ring: as for ``ask_log``.
        now: nanoseconds since 1970.
        trail: whose acknowledgements count, too, where they name the chain of the alert.

    Raises:
        OSError, UnsupportedError: as ``ask_log``.
    """
    # Each type has a search of its own, so that no flood of another one pushes its records out.
    since = max(0, now - DAYS * DAY)
    alerts, acknowledgements = (
        ask_log(Question(types=(kind,), since=since), log, MOST, ring=ring)
        for kind in (ANOMALY, ACKNOWLEDGED)
    )
    found = alerts_in(alerts.lines, acknowledgements.lines)
    chains = list(dict.fromkeys(one.chain for one in reversed(found))) if trail.where else []
    beside = [_in_trail(trail, chain, since) for chain in chains[:_CHAINS]]
    lines = [*acknowledgements.lines, *(line for one in beside for line in one.lines)]
    cut = len(chains) > _CHAINS or any(one.cut for one in (alerts, acknowledgements, *beside))
    return Recent(alerts_in(alerts.lines, lines) if beside else found, cut)


def _in_trail(trail: Trail, chain: str, since: int) -> Answer:
    """The acknowledgements of alerts of a chain, or of none, in the console's own log."""
    terms = (Term(("fields", "chain"), chain), Term(("service",), trail.service))
    asked = Question(types=(ACKNOWLEDGED,), terms=terms, since=since)
    try:
        return ask_log(asked, trail.where, MOST)
    except FileNotFoundError:
        return Answer([], cut=False, strange=0)  # nothing was written to it yet
