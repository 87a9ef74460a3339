"""What all pages of one console share."""

from __future__ import annotations

from collections import Counter
from typing import Any

from audit_emit.console import own_events
from audit_emit.console.alerts import Alerts
from audit_emit.console.exporting import Exports
from audit_emit.console.jobs import Verification
from audit_emit.console.own_events import OwnEvents
from audit_emit.console.source import Source


class Console:
    """What all pages share.

    Attributes:
        source: the log.
        verification: the one that goes on, or the last one.
        events: the console's own.
        signing_keys: that a forced checkpoint is signed with; empty for those of the environment.
        grafana: the address of a Grafana, for links by trace id; empty for none.
        exports: what came of the newest ones.
        alerts: that are records of the log.
        streams: live tails that go on, by the name of who looks.
    """

    def __init__(
        self,
        source: Source,
        events: OwnEvents,
        *,
        signing_keys: tuple[str, ...] = (),
        grafana: str = "",
    ) -> None:
        self.source: Source = source
        self.events: OwnEvents = events
        self.signing_keys: tuple[str, ...] = signing_keys
        self.grafana: str = grafana
        self.exports: Exports = Exports()
        self.alerts: Alerts = Alerts(source)
        self.streams: Counter[str] = Counter()
        self.verification: Verification = Verification(
            source.where, source.keys, self._verified, archive=source.archive
        )

    def _verified(self, verdict: dict[str, Any], by: str) -> None:
        self.events.tell(
            own_events.VERIFIED,
            by,
            verdict=verdict.get("verdict", "error"),
            last_seq=verdict.get("last_seq"),
        )
