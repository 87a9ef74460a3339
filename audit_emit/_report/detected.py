"""What rules find in the pass that makes a report of a log; see ``audit_emit._detection``. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from audit_emit._detection.alert import LEVELS, Alert
from audit_emit._detection.engine import Engine
from audit_emit._detection.ruleset import RuleSet
from audit_emit._report.alerts import Acknowledgement, state_of
from audit_emit._report.counts import Row as Counted
from audit_emit._report.model import Row, Section
from audit_emit._report.period import Period, padded
from audit_emit._report.queries import command

KEPT = 200
"""Alerts that are told one by one, the newest; all are counted."""

_SHOWN = 10
"""Numbers of records that are named of each."""


class Detected:
    """Looks at every line, and keeps what was found in a period.

    Args:
        rules: what to look for.
        period: alerts that came up in it (``Alert.at``).

    Attributes:
        alerts: the newest, in the order in which they came up.
        rules: how many of each rule, first and last, with its title and level.
    """

    def __init__(self, rules: RuleSet, period: Period) -> None:
        self.alerts: deque[Alert] = deque(maxlen=KEPT)
        self.rules: dict[str, tuple[Alert, Counted]] = {}
        self._rules = rules
        self._engine = Engine(rules)
        self._since, self._until = padded(period.since), padded(period.until)
        self._end = period.until

    def look(self, lines: list[bytes]) -> None:
        """The next lines of the log, without their newlines."""
        self._take(self._engine.feed(lines))

    def end(self, now: int) -> None:
        """The log is at its end; what did not come until the end of the period is silence.

        Args:
            now: of a period that has not ended, no more is known than what came until now.
        """
        self._take(self._engine.now(min(self._end, now)))

    @property
    def applied(self) -> int:
        """How many rules make alerts."""
        return len(self._rules.rules) - len(self._rules.quiet)

    @property
    def count(self) -> int:
        """How many alerts there are."""
        return sum(row.count for _, row in self.rules.values())

    def _take(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            if self._since <= alert.at < self._until:
                self.alerts.append(alert)
                found = self.rules.get(alert.rule)
                if found is None:
                    found = self.rules[alert.rule] = alert, Counted()
                found[1].add(1, alert.at, alert.at)

    def by_rule(self, log: Sequence[str]) -> Section:
        """What was looked for, and how often it was found."""
        said = {
            name: (rule.level, rule.title, rule.reason or rule.description)
            for name, rule in self._rules.rules.items()
            if name not in self._rules.quiet
        }
        for name, (alert, _) in self.rules.items():
            said.setdefault(name, (alert.level, alert.title, ""))
        repeat = command("anomalies", *log, "--no-verify")
        rows = []
        for name, (level, title, why) in said.items():
            found = self.rules.get(name)
            row = None if found is None else found[1]
            ends = ("", "") if row is None else (row.first, row.last)
            rows.append(Row((title, level, 0 if row is None else row.count, why, *ends), repeat))
        rows.sort(key=lambda row: (-int(row.cells[2]), -_severity(str(row.cells[1])), row.cells[0]))
        return Section(
            "anomalies", "Anomalies: what was looked for",
            ("Rule", "Level", "Alerts", "Why", "First", "Last"), tuple(rows),
            said=("By rules, in the same pass; docs/anomalies.md describes them.",
                  "An alert is something to look at, and no proof of anything."),
        )  # fmt: skip

    def one_by_one(self, log: Sequence[str], seen: Mapping[str, Acknowledgement]) -> Section:
        """The newest alerts, with the records that each is about."""
        return Section(
            "detected", "Anomalies: what was found",
            ("Came up", "Level", "Rule", "For whom", "Records", "Reason", "State"),
            tuple(_row(alert, log, seen.get(alert.id)) for alert in reversed(self.alerts)),
            said=("The query shows the record with which an alert came up.",),
            more=self.count - len(self.alerts),
        )  # fmt: skip


def _row(alert: Alert, log: Sequence[str], seen: Acknowledgement | None) -> Row:
    whom = ", ".join(f"{name} {value}" for name, value in alert.group.items() if value is not None)
    named = ", ".join(map(str, alert.seqs[-_SHOWN:]))
    records = named if len(alert.seqs) <= _SHOWN else f"{len(alert.seqs):,}, the last are {named}"
    query = command("query", *log, "--where", f"seq={alert.seqs[-1]}") if alert.seqs else ""
    cells = (
        alert.at, alert.level, alert.title, whom, records, alert.reason, state_of(seen)
    )  # fmt: skip
    return Row(cells, query)


def _severity(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0
