"""The alerts in the log (records ``audit.anomaly``), as pages show them beside their events.

Searching the log for them takes longer than a page may. It is done in a thread of its own, at most
once in 30 seconds, and pages show the last result. Only the page of the alerts waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from audit_emit._facade.reports import (
    DAYS,
    MOST,
    NO_TRAIL,
    Recorded,
    Trail,
    recent_alerts,
    state_of,
)
from audit_emit.console.access import Identity
from audit_emit.console.source import Source
from audit_emit.errors import AuditEmitError

FRESH_SECONDS = 30.0
"""Seconds for which the last result is used, before the log is searched again."""

_LINKED = 20
"""Records of an alert that are linked."""

__all__ = ["DAYS", "MOST", "Alert", "Alerts"]


class Alert(NamedTuple):
    """One alert in the table; texts are as the record has them.

    Attributes:
        by, at, note: who acknowledged it, when, and with which note; empty while nobody has.
        id: by which it is acknowledged; empty where the record has none.
        chain: of its record; empty where that is in none.
        place: ``CHAIN:SEQ`` of its record; empty where that is in no chain.
        records: ``seq`` and place of the first records that it is about.
        more: how many others it is about.
        acknowledged: whether somebody has acknowledged it.
    """

    ts: str
    level: str
    title: str
    reason: str
    whom: str
    place: str
    records: tuple[tuple[int, str], ...]
    more: int
    acknowledged: bool
    state: str
    by: str
    at: str
    note: str
    id: str
    chain: str


class Alerts:
    """The newest alerts of one log.

    Args:
        source: the log; ``None``: there is none, and no alert.
        trail: the log of the console's own events, where operators acknowledge alerts.
    """

    def __init__(self, source: Source | None, trail: Trail = NO_TRAIL) -> None:
        self._source = source
        self._trail = trail
        self._lock = threading.Lock()
        self._found: list[Recorded] = []
        self._chain = ""
        self._next = 0.0
        self._looking = False

    def look(self) -> tuple[list[Alert], bool]:
        """Search now: the alerts, newest first, and whether there are more than ``MOST``.

        Raises:
            OSError, AuditEmitError: the log cannot be read.
        """
        if self._source is None:
            return [], False
        head = self._source.head()
        found, cut = recent_alerts(
            self._source.where, time.time_ns(), self._trail, self._source.ring
        )
        with self._lock:
            self._found, self._chain = found, head.chain if head is not None else ""
            self._next = time.monotonic() + FRESH_SECONDS
        return [self._shown(one) for one in reversed(found)], cut

    def named(self, places: Iterable[str], identity: Identity) -> dict[str, str]:
        """Which of some records are named by an alert that is open, by the title of its rule.

        Args:
            places: of the records, ``CHAIN:SEQ``.
            identity: who asks; a user who sees a part of the log only gets an empty answer.
        """
        if not identity.whole or self._source is None:
            return {}
        with self._lock:
            stale = not self._looking and time.monotonic() >= self._next
            found = self._found
            if stale:
                self._looking = True
        if stale:
            threading.Thread(target=self._refresh, daemon=True).start()
        titles = {
            self._place(one, seq): one.title or one.rule
            for one in found
            if one.acknowledged is None
            for seq in one.records
        }
        return {place: titles[place] for place in places if place in titles}

    def _refresh(self) -> None:
        try:
            self.look()
        except (OSError, AuditEmitError):
            pass  # the pages say themselves that the log cannot be read
        finally:
            with self._lock:
                self._looking = False
                self._next = time.monotonic() + FRESH_SECONDS

    def _shown(self, one: Recorded) -> Alert:
        linked = [(seq, self._place(one, seq)) for seq in one.records[:_LINKED]]
        return Alert(
            one.ts,
            one.level,
            one.title or one.rule,
            one.reason,
            one.whom,
            self._place(one, one.seq) if one.seq else "",
            tuple(linked),
            len(one.records) - len(linked),
            one.acknowledged is not None,
            state_of(one.acknowledged),
            *(one.acknowledged or ("", "", "")),
            one.id,
            one.chain,
        )

    def _place(self, one: Recorded, seq: int) -> str:
        """``CHAIN:SEQ``; an alert without a chain is about the newest chain of the log."""
        return f"{one.chain or self._chain}:{seq}"
