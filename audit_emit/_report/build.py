"""The one pass over a log that makes a report of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._checkpoints.beginning import Removed, beginning_of
from audit_emit._format.record import ts_of
from audit_emit._loki.labels import service_of
from audit_emit._readers.base import LogReader
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, alerts_in
from audit_emit._report.controls import USUAL, Entry, answered, read_map
from audit_emit._report.figures import Figures
from audit_emit._report.integrity import History, alerts_of, findings_of, losses_of, verdict_of
from audit_emit._report.method import method_of
from audit_emit._report.model import Report, Row, Section
from audit_emit._report.period import Period
from audit_emit._report.queries import Queries
from audit_emit._report.tally import GAP, Tally
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.archived import Archived
from audit_emit._verify.findings import Report as Verified
from audit_emit._verify.verify import Options, Progress, verify_log
from audit_emit._version import __version__

SECTIONS = (
    "types", "actors", "kinds", "refusals", "keys", "origins", "workspaces", "quality", "log",
    "alerts", "gaps", "findings", "history",
)  # fmt: skip
"""The ids of the sections, in their order."""


class Asked(NamedTuple):
    """What a report is to be about.

    Attributes:
        log: as it is named on a command line, with its archive.
        period: which records.
        words: the period as it was asked for.
        ring: the keys that are trusted.
        controls: the map; the one that comes with this package if it is not given.
    """

    log: tuple[str, ...]
    period: Period
    words: str
    ring: KeyRing = KeyRing()
    controls: Sequence[Entry] | None = None


def report_on(reader: LogReader, asked: Asked, progress: Progress | None = None) -> Report:
    """Read a log once, verify it, count it, and say what was found.

    Raises:
        OSError: it cannot be read.
        UnsupportedError: it is packed in a way that cannot be read here.
    """
    tally = Tally(asked.period)
    options = Options(ring=asked.ring, progress=progress)
    verified = verify_log(reader, options, tally.look).report
    return _Writer(asked, tally, verified, _history(reader, asked, verified)).report()


def _history(reader: LogReader, asked: Asked, verified: Verified) -> History:
    bounds = reader.bounds()
    removed = beginning_of(reader, asked.ring).removed if verified.first_seq > 1 else None
    return History(
        verified,
        bounds.first.ts if bounds.first is not None else "",
        bounds.last.ts if bounds.last is not None else "",
        asked.period.until,
        _removal(removed),
        reader.edge.highest_archived_seq if isinstance(reader, Archived) else 0,
    )


def _removal(removed: Removed | None) -> str:
    if removed is None:
        return ""
    vouched = "signed by a trusted key" if removed.trusted else "not signed by a key that was given"
    return (
        f"records up to {removed.last_seq:,} at {removed.at[:19]}Z ({removed.reason}), declared by "
        f"record {removed.declared_by:,}, {vouched}"
    )


class _Writer:
    """Puts a report together out of what was counted and verified."""

    def __init__(self, asked: Asked, tally: Tally, verified: Verified, history: History) -> None:
        self._asked = asked
        self._tally = tally
        self._verified = verified
        self._history = history
        self._since, self._until = asked.period.texts
        self._queries = Queries(asked.log, self._since, self._until)
        self._figures = Figures(tally, self._queries)
        own = tally.own
        self._alerts = alerts_in(own.get(ANOMALY, ()), own.get(ACKNOWLEDGED, ()))

    def report(self) -> Report:
        """All of it."""
        asked, figures, log = self._asked, self._figures, self._asked.log
        sections = {
            one.id: one
            for one in (
                figures.types(), figures.actors(), figures.kinds(), figures.refusals(),
                *figures.values(), figures.quality(), figures.own(),
                alerts_of(self._alerts, log),
                losses_of(self._tally, log), findings_of(self._verified),
                self._history.section(log),
            )
        }  # fmt: skip
        verdict = verdict_of(self._verified, log, keys=bool(asked.ring.keys))
        entries = read_map(USUAL, SECTIONS) if asked.controls is None else asked.controls
        facts = {
            "integrity": ((verdict.said, verdict.command),),
            "history": ((self._history.said, sections["history"].rows[0].query),),
            "gaps": self._gaps(),
            "quality": self._quality(sections["quality"]),
            "anomalies": self._anomalies(),
        }
        return Report(
            log=" ".join(log),
            service=self._service(),
            made_at=ts_of(time.time_ns()),
            version=__version__,
            since=self._since,
            until=self._until,
            period=asked.words,
            verdict=verdict,
            summary=self._summary(sections),
            activity=figures.activity(),
            sections=tuple(sections[name] for name in SECTIONS),
            controls=answered(entries, figures, facts, self._queries),
            method=method_of(self._tally),
        )

    def _summary(self, sections: dict[str, Section]) -> Section:
        refused, _, _ = self._figures.matching(lambda _: True, refused=True)
        losses, _, _ = self._figures.matching(lambda who: who.event_type == GAP, refused=None)
        rows = (
            Row(("Records", self._tally.records), self._queries.count()),
            Row(("Refused or failed", refused)),
            Row(("Event types", _many(sections["types"]))),
            Row(("Actors", _many(sections["actors"]))),
            Row(("Losses declared", losses), self._queries.count("--type", GAP)),
            Row(("Open alerts", sum(one.acknowledged is None for one in self._alerts))),
            Row(("Days of history", self._history.days)),
        )
        return Section("summary", "At a glance", ("Figure", "Value"), rows, 1)

    def _anomalies(self) -> tuple[tuple[str, str], ...]:
        found, _, _ = self._figures.matching(lambda who: who.event_type == ANOMALY, refused=None)
        still = sum(one.acknowledged is None for one in self._alerts)
        said = f"{found:,} alerts were written to the log in this period; {still:,} are open."
        return ((said, self._queries.count("--type", ANOMALY)),)

    def _gaps(self) -> tuple[tuple[str, str], ...]:
        losses, _, _ = self._figures.matching(lambda who: who.event_type == GAP, refused=None)
        said = f"{losses:,} losses are declared in this period, of {self._tally.lost:,} events."
        return ((said, self._queries.count("--type", GAP)),)

    def _quality(self, section: Section) -> tuple[tuple[str, str], ...]:
        shares = [f"{row.cells[0]} {row.cells[3]}" for row in section.rows]
        return ((f"Records that have it: {', '.join(shares)}.", ""),)

    def _service(self) -> str:
        return service_of(self._tally.newest) if self._tally.newest else ""


def _many(section: Section) -> int:
    return len(section.rows) + section.more
