"""What a report says of the log itself: verdict, findings, losses, history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit_emit._format.printable import visible
from audit_emit._format.record import ns_of, parsed
from audit_emit._report.alerts import ACKNOWLEDGED, ANOMALY, Recorded, state_of
from audit_emit._report.alerts import KEPT as ALERTS
from audit_emit._report.model import Row, Section, Verdict
from audit_emit._report.period import DAY
from audit_emit._report.queries import command
from audit_emit._report.tally import GAP, KEPT, Tally, lost_in
from audit_emit._verify.findings import INFORMATIVE, TAMPERED, Kind
from audit_emit._verify.findings import Report as Verified

_SAID = {
    "ok": "The log holds: every hash and every link is right, and nothing is missing.",
    "tampered": "The log was changed after it was written, or parts of it are gone. What follows "
    "counts what is there now.",
    "incomplete": "What is there holds as far as it could be checked; it is not complete.",
    "nothing-found": "There is no chained record.",
}
_WHOLE = "Of the whole log, not only of the period."
_WHY = {
    Kind.KEY_UNAVAILABLE: "a key to check signatures with was not given",
    Kind.DECLARED_GAP: "the log itself says that events were lost",
    Kind.TORN_TAIL: "its last line has no end",
}


def verdict_of(report: Verified, log: tuple[str, ...], *, keys: bool) -> Verdict:
    """The verdict, and the command that repeats it."""
    found = report.as_dict()["verdict"]
    why = ", and ".join(text for kind, text in _WHY.items() if kind in report.counts)
    said = _SAID[found] + (f" Reason: {why}." if found == "incomplete" and why else "")
    said += f" {_covered(report)}" if report.records else ""
    head = f"{report.last_seq}:{report.last_hash}"
    words = ["verify", *log, *(["--key", "KEY"] if keys else [])]
    words += ["--expect-head", head] if report.records else []
    return Verdict(
        found, said, report.chain, report.last_seq, report.last_hash,
        report.anchored_seq, report.anchored_at, report.anchored_by, report.unanchored,
        command(*words),
    )  # fmt: skip


def _covered(report: Verified) -> str:
    if report.anchored_seq:
        return f"A trusted signature covers it up to record {report.anchored_seq:,}."
    return "No trusted signature covers it: a log that was written anew as a whole would not show."


def findings_of(report: Verified) -> Section:
    """What the verification found, by kind."""
    rows = []
    for kind in Kind:
        if kind in report.counts:
            group = "tampering" if kind in TAMPERED else "told by the log"
            if kind not in TAMPERED and kind not in INFORMATIVE:
                group = "incomplete"
            first = next((one for one in report.findings if one.kind == kind), None)
            where = "" if first is None else _place(first.file, first.line, first.seq)
            rows.append(Row((kind.value, report.counts[kind], group, where)))
    return Section(
        "findings", "What the verification found",
        ("Kind", "Findings", "Group", "The first one"), tuple(rows),
        said=(_WHOLE, "docs/wire-format.md, section 7, says what each kind means."),
    )  # fmt: skip


def _place(file: str, line: int | None, seq: int | None) -> str:
    place = file if line is None else f"{file}:{line}"
    return place if seq is None else f"record {seq}, {place}"


def losses_of(tally: Tally, log: tuple[str, ...]) -> Section:
    """What the log says was lost."""
    rows = []
    for line in tally.gaps:
        record = parsed(line) or {}
        fields = record.get("fields")
        fields = fields if isinstance(fields, dict) else {}
        told = (_text(fields, name) for name in ("sink", "reason", "first_ts", "last_ts"))
        seq = record.get("seq")
        query = command("query", *log, "--where", f"seq={seq}") if type(seq) is int else ""
        rows.append(Row((_text(record, "ts"), lost_in(record), *told), query))
    return Section(
        "gaps", "Losses that the log declares",
        ("Declared", "Events lost", "Where", "Reason", "From", "To"), tuple(rows[::-1]),
        said=(f"Of the period, {tally.lost:,} events or lines are declared as lost.",
              "What was lost at stdout is a copy: the record is in the log.",
              f"The newest {KEPT} are shown; --type {GAP} has all."),
    )  # fmt: skip


def alerts_of(alerts: Sequence[Recorded], written: int, log: tuple[str, ...]) -> Section:
    """The newest alerts that are records, and who looked at them.

    Args:
        written: how many there are in the period.
    """
    rows = []
    for one in alerts:
        state = state_of(one.acknowledged)
        query = command("query", *log, "--where", f"seq={one.seq}") if one.seq else ""
        cells = (one.ts, one.level, one.title or one.rule, len(one.records), one.reason, state)
        rows.append(Row(cells, query))
    return Section(
        "alerts", "Alerts that are records",
        ("Written", "Level", "Rule", "Records", "Reason", "State"),
        tuple(rows[::-1]),
        said=(f"Records {ANOMALY} of the period, the newest {ALERTS}.",
              f"An alert is open until an event {ACKNOWLEDGED} of this log names it.",
              "What is acknowledged in a console is in that console's own log, not read here."),
        more=max(written - len(alerts), 0),
    )  # fmt: skip


def _text(values: Mapping[str, Any], name: str) -> str:
    """A member for people, whatever it is."""
    value = values.get(name, "")
    return (value if isinstance(value, str) else visible(str(value)))[:200]


class History:
    """How far back a log goes.

    Args:
        report: the verdict on it.
        oldest, newest: ``ts`` of its first and last record; empty where there is none.
        until: the end of the period.
        removed: what the log says of records that were removed on purpose; empty for nothing.
        archived: the last record that is in an archive; 0 for none.
    """

    def __init__(
        self, report: Verified, oldest: str, newest: str, until: int, removed: str, archived: int
    ) -> None:
        self.days = max(0, (until - _ns(oldest)) // DAY) if oldest else 0
        self._report, self._oldest, self._newest = report, oldest, newest
        self._removed, self._archived = removed, archived

    @property
    def said(self) -> str:
        """In a sentence."""
        if not self._oldest:
            return "There is no record."
        return (
            f"Records reach back {self.days:,} days ({self.days / 30.44:.1f} months), to "
            f"{self._oldest[:19]}Z."
        )

    def section(self, log: tuple[str, ...]) -> Section:
        """As a table."""
        report = self._report
        seq = f"seq={report.first_seq}"
        oldest = command("query", *log, "--where", seq) if report.first_seq else ""
        rows = [
            Row(("Oldest record", f"{report.first_seq:,}, {self._oldest[:19]}Z"), oldest),
            Row(("Newest record", f"{report.last_seq:,}, {self._newest[:19]}Z")),
            Row(("Records in the log", f"{report.records:,}")),
            Row(("Records older than the chain", f"{report.legacy:,}")),
            Row(("History", self.said)),
            Row(("Removed on purpose", self._removed or "nothing is declared as removed")),
            Row(("In an archive", f"up to record {self._archived:,}" if self._archived else
                 "no archive was named")),
            Row(("Signed", _signed(report))),
        ]  # fmt: skip
        return Section(
            "history", "History and retention", ("Fact", "Value"), tuple(rows),
            said=(_WHOLE,),
        )  # fmt: skip


def _signed(report: Verified) -> str:
    if not report.anchored_seq:
        return "no signature was checked"
    at = report.anchored_at if report.anchored_time else f"{report.anchored_at} (unsigned time)"
    return (
        f"up to record {report.anchored_seq:,}, {at}, by {report.anchored_by}; "
        f"{report.unanchored:,} records after that"
    )


def _ns(ts: str) -> int:
    try:
        return ns_of(ts)
    except (ValueError, OverflowError):
        return 0
