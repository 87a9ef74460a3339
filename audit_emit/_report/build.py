"""The one pass over a log that makes a report of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import structs

from audit_emit._checkpoints.beginning import Removed, beginning_of
from audit_emit._detection.loading import built_in
from audit_emit._detection.ruleset import RuleSet
from audit_emit._format.record import ts_of
from audit_emit._loki.labels import service_of
from audit_emit._readers.base import LogReader
from audit_emit._readers.opening import open_reader
from audit_emit._report.alerts import ANOMALY
from audit_emit._report.controls import USUAL, Entry, answered, many, read_map
from audit_emit._report.detected import Detected
from audit_emit._report.figures import Figures
from audit_emit._report.formats import FORMATS, written
from audit_emit._report.integrity import History, alerts_of, findings_of, losses_of, verdict_of
from audit_emit._report.method import method_of
from audit_emit._report.model import Report, Row, Section
from audit_emit._report.period import Period
from audit_emit._report.queries import Queries, command
from audit_emit._report.tally import GAP, Tally
from audit_emit._settings.address import Address, is_address
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.archived import Archived
from audit_emit._verify.findings import Report as Verified
from audit_emit._verify.verify import Options, Progress, verify_log
from audit_emit._version import __version__

SECTIONS = (
    "types", "actors", "kinds", "refusals", "keys", "origins", "workspaces", "quality", "log",
    "anomalies", "detected", "alerts", "gaps", "findings", "history",
)  # fmt: skip
"""The ids of the sections, in their order."""


_NOT_LOOKED = "Anomalies were not looked for."


class Asked(NamedTuple):
    """What a report is to be about.

    Attributes:
        log: as it is named on a command line, with its archive.
        period: which records.
        words: the period as it was asked for.
        ring: the keys that are trusted.
        controls: the map; the one that comes with this package if it is not given.
        rules: of the anomalies to look for; ``None``: none.
    """

    log: tuple[str, ...]
    period: Period
    words: str
    ring: KeyRing = KeyRing()
    controls: Sequence[Entry] | None = None
    rules: RuleSet | None = None


def report_on(reader: LogReader, asked: Asked, progress: Progress | None = None) -> Report:
    """Read a log once, verify it, count it, and say what was found.

    Raises:
        OSError: it cannot be read.
        UnsupportedError: it is packed in a way that cannot be read here.
    """
    detected = None if asked.rules is None else Detected(asked.rules, asked.period)
    tally = Tally(asked.period, None if detected is None else detected.look)
    options = Options(ring=asked.ring, progress=progress)
    verified = verify_log(reader, options, tally.look).report
    if detected is not None:
        detected.end(time.time_ns())
    history = _history(reader, asked, verified)
    return _Writer(asked, tally, verified, history, detected).report()


def report_from(
    where: Sequence[str],
    ring: KeyRing,
    period: tuple[int | None, int | None],
    form: str,
    *,
    anomalies: bool,
) -> bytes:
    """What ``AuditLog.report`` gives.

    Raises:
        ValueError: there is no such format, or no such period.
        OSError, UnsupportedError: as ``report_on``.
    """
    since, until = period
    if since is None or until is None or since >= until:
        raise ValueError("a period begins before it ends")
    if form not in FORMATS:
        raise ValueError(f"there is no format {form!r}, only {', '.join(FORMATS)}")
    names = tuple(Address.chosen(one)[0].shown if is_address(one) else one for one in where)
    rules = built_in() if anomalies else None
    asked = Asked(names, Period(max(0, since), until), "as asked for", ring, rules=rules)
    with open_reader(*where, ring=ring) as reader:
        return written(report_on(reader, asked), form)


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

    def __init__(
        self,
        asked: Asked,
        tally: Tally,
        verified: Verified,
        history: History,
        detected: Detected | None,
    ) -> None:
        self._asked = asked
        self._tally = tally
        self._verified = verified
        self._history = history
        self._detected = detected
        self._since, self._until = asked.period.texts
        self._queries = Queries(asked.log, self._since, self._until)
        self._figures = Figures(tally, self._queries)
        self._alerts = tally.alerts

    def report(self) -> Report:
        """All of it."""
        asked, figures, log = self._asked, self._figures, self._asked.log
        sections = {
            one.id: one
            for one in (
                figures.types(), figures.actors(), figures.kinds(), figures.refusals(),
                *figures.values(), figures.quality(), figures.own(),
                *self._found(),
                alerts_of(self._alerts.newest(), _count(figures, ANOMALY), log),
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
        rows = (
            Row(("Records", self._tally.records), self._queries.count()),
            Row(("Refused or failed", refused)),
            Row(("Event types", _many(sections["types"]))),
            Row(("Actors", _many(sections["actors"]))),
            Row(
                ("Losses declared", _count(self._figures, GAP)), self._queries.count("--type", GAP)
            ),
            Row(("Anomalies found", self._detected.count if self._detected else "not looked for")),
            Row(("Open alerts", self._alerts.still)),
            Row(("Days of history", self._history.days)),
        )
        return Section("summary", "At a glance", ("Figure", "Value"), rows, 1)

    def _found(self) -> tuple[Section, Section]:
        log, detected = self._asked.log, self._detected or Detected(built_in(), self._asked.period)
        seen = self._alerts.acknowledged
        found = detected.by_rule(log), detected.one_by_one(log, seen)
        if self._detected is not None:
            return found
        by_rule, one_by_one = (structs.replace(one, rows=(), said=(_NOT_LOOKED,)) for one in found)
        return by_rule, one_by_one

    def _anomalies(self) -> tuple[tuple[str, str], ...]:
        written = _count(self._figures, ANOMALY)
        still = self._alerts.still
        said = (
            f"Written to the log in this period: {many(written, 'alert')}, {still:,} of them open."
        )
        found = (_NOT_LOOKED, "")
        if self._detected is not None:
            found = (
                (
                    f"{many(self._detected.applied, 'rule')} applied: "
                    f"{many(self._detected.count, 'alert')}."
                ),
                command("anomalies", *self._asked.log, "--no-verify"),
            )
        return (found, (said, self._queries.count("--type", ANOMALY)))

    def _gaps(self) -> tuple[tuple[str, str], ...]:
        losses, lost = _count(self._figures, GAP), self._tally.lost
        said = f"{many(losses, 'loss', 'losses')} of {many(lost, 'event')} declared in this period."
        return ((said, self._queries.count("--type", GAP)),)

    def _quality(self, section: Section) -> tuple[tuple[str, str], ...]:
        shares = [f"{row.cells[0]} {row.cells[3]}" for row in section.rows]
        return ((f"Records that have it: {', '.join(shares)}.", ""),)

    def _service(self) -> str:
        return service_of(self._tally.newest) if self._tally.newest else ""


def _count(figures: Figures, event_type: str) -> int:
    return figures.matching(lambda who: who.event_type == event_type, refused=None)[0]


def _many(section: Section) -> int:
    return len(section.rows) + section.more
