"""What all pages of one console share."""

from __future__ import annotations

from collections import Counter
from typing import Any

from audit_emit.console import own_events
from audit_emit.console.alerts import Alerts
from audit_emit.console.exporting import Exports
from audit_emit.console.jobs import Verification
from audit_emit.console.notes import Notes
from audit_emit.console.own_events import OwnEvents
from audit_emit.console.place import Records
from audit_emit.console.source import Source


class Console:
    """What all pages share.

    Attributes:
        records: the log, or Loki.
        events: the console's own.
        signing_keys: for checkpoints that an operator asks for; empty: those of the environment.
        grafana: the address of a Grafana, for links by trace id; empty for none.
        exports: the results of the newest exports.
        alerts: those that are records of the log.
        notes: results of buttons, for the next page.
        streams: how many live tails each user has open.
    """

    def __init__(
        self,
        records: Records,
        events: OwnEvents,
        *,
        signing_keys: tuple[str, ...] = (),
        grafana: str = "",
    ) -> None:
        self.records: Records = records
        self.events: OwnEvents = events
        self.signing_keys: tuple[str, ...] = signing_keys
        self.grafana: str = grafana
        self.exports: Exports = Exports()
        log = records if isinstance(records, Source) else None
        self._log = log
        self.alerts: Alerts = Alerts(log, events.trail)
        self.notes: Notes = Notes()
        self.streams: Counter[str] = Counter()
        self._verification: Verification | None = None
        if log is not None:
            self._verification = Verification(
                log.where, log.keys, self._verified, archive=log.archive
            )

    @property
    def source(self) -> Source:
        """The log; pages that need one are there only where there is one."""
        if self._log is None:
            raise LookupError("this console looks at no log")
        return self._log

    @property
    def verification(self) -> Verification:
        """The running verification, or the last one; raises as ``source``."""
        if self._verification is None:
            raise LookupError("this console looks at no log")
        return self._verification

    def close(self) -> None:
        """End whatever is running, and record what is not recorded yet."""
        if self._verification is not None:
            self._verification.close()
        self.events.close()

    def _verified(self, verdict: dict[str, Any], by: str) -> None:
        self.events.tell(
            own_events.VERIFIED,
            by,
            verdict=verdict.get("verdict", "error"),
            last_seq=verdict.get("last_seq"),
        )
