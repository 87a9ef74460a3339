"""The tables of a report out of what was counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from audit_emit._format.record import RESERVED
from audit_emit._report.counts import UNTOLD, Counts, Who
from audit_emit._report.counts import Row as Counted
from audit_emit._report.model import Activity, Bar, Cell, Row, Section
from audit_emit._report.period import SECOND, short
from audit_emit._report.queries import Queries, where
from audit_emit._report.tally import Tally

_BY_ACTOR = frozenset({"actors", "kinds"})
"""Tables whose figures are lower bounds where not every actor was told apart."""

MOST = 1_000
"""Rows of a table; the others are counted."""

Group = TypeVar("Group")

NOBODY = "(no user_id)"
NOT_TOLD = "(not told apart)"

_OF_THE_LOG = {
    "audit.started": "a process opened the log; its configuration is named by config_hash",
    "audit.rotated": "a new file of the log was begun",
    "audit.gap": "events were lost, and the log says so",
    "audit.recovered": "bytes that are no record were found and declared",
    "audit.checkpoint": "the log was signed up to there",
    "audit.checkpoint_refused": "a signer refused to sign what it found",
    "audit.key_rotated": "another key signs from there on",
    "audit.pruned": "the oldest records were removed, by a signed statement",
    "audit.archived": "records were archived",
    "audit.hold": "a legal hold was placed or released",
    "audit.erased": "personal data were erased",
    "audit.anomaly": "an anomaly was detected",
    "audit.invalid_event_type": "an application named an event as none may be named",
    "audit.legacy": "records that are older than the chain were vouched for",
}

_QUALITY = (
    ("user_id", "who did it"),
    ("actor_kind", "what kind of actor it was"),
    ("workspace_id", "for which tenant"),
    ("correlation_id", "in which request"),
    ("outcome", "whether it succeeded"),
    ("client_ip", "from where it came"),
    ("key", "which secret it was about"),
)
"""Members whose presence is counted, and the question that each answers."""


class Figures:
    """Makes the tables of one report.

    Args:
        tally: what was counted.
        queries: makes the command lines.
    """

    def __init__(self, tally: Tally, queries: Queries) -> None:
        self._tally = tally
        self._queries = queries

    def types(self) -> Section:
        """What happened, and how often."""
        found = self._grouped(lambda who: who.event_type)
        rows = [
            Row((_shown(name), many.count, refused, len(actors), *_ends(many)), self._of_type(name))
            for name, (many, refused, actors) in found
            if not name.startswith(RESERVED)
        ]
        return self._section(
            "types", "What happened",
            ("Event type", "Records", "Refused", "Actors", "First", "Last"), rows,
            "Every event type of the period; what the log says of itself is in a table of its own.",
        )  # fmt: skip

    def own(self) -> Section:
        """What the log says of itself."""
        found = self._grouped(lambda who: who.event_type)
        rows = [
            Row((name, many.count, _OF_THE_LOG.get(name, ""), *_ends(many)), self._of_type(name))
            for name, (many, _, _) in found
            if name.startswith(RESERVED)
        ]
        return self._section(
            "log", "What the log says of itself",
            ("Event type", "Records", "Meaning", "First", "Last"), rows,
            "Starts, losses, signatures, removals and holds are records in the same chain.",
        )  # fmt: skip

    def actors(self) -> Section:
        """By whom."""
        found = self._grouped(lambda who: (who.actor, who.kind), lambda who: who.event_type)
        rows = [
            Row(
                (_named(actor), _shown(kind), many.count, refused, len(kinds), *_ends(many)),
                self._query(where("user_id", actor), where("actor_kind", kind)),
            )
            for (actor, kind), (many, refused, kinds) in found
        ]
        return self._section(
            "actors", "By whom",
            ("Actor", "Kind", "Records", "Refused", "Event types", "First", "Last"), rows,
            "An actor is a user_id together with its actor_kind, as the service stated them.",
        )  # fmt: skip

    def kinds(self) -> Section:
        """By what kind of actor."""
        found = self._grouped(lambda who: who.kind)
        rows = [
            Row((_shown(kind) or "(no actor_kind)", many.count, refused, len(actors)),
                self._query(where("actor_kind", kind)))
            for kind, (many, refused, actors) in found
        ]  # fmt: skip
        return self._section(
            "kinds", "Kinds of actors", ("Kind", "Records", "Refused", "Actors"), rows,
            "admin, agent, cron and service are what a service states; user is the default.",
        )  # fmt: skip

    def refusals(self) -> Section:
        """What was refused, or failed."""
        groups: dict[tuple[str, str], tuple[Counted, set[str]]] = {}
        for who, row in self._tally.who.items():
            if row.refused:
                _joined(groups, (who.event_type, who.outcome), row)[1].add(who.actor)
        rows = [
            Row((_shown(kind), _shown(outcome) or "(by its type)", many.count, len(actors),
                 *_ends(many)),
                self._query(("--type", kind), where("outcome", outcome)))
            for (kind, outcome), (many, actors) in _sorted(groups.items())
        ]  # fmt: skip
        return self._section(
            "refusals", "What was refused or failed",
            ("Event type", "Outcome", "Records", "Actors", "First", "Last"), rows,
            "By the outcome that a record states (denied, failure, error, …), else by its type "
            "(secret.denied, auth.login_failed, …).",
        )  # fmt: skip

    def values(self) -> Iterable[Section]:
        """What was acted on, from where, and for whom."""
        for name, title, head, member, counts, said in (
            ("keys", "What was acted on", "Key", "fields.key", self._tally.keys,
             "By fields.key, the name of the secret; never its value."),
            ("origins", "From where", "Address", "fields.client_ip", self._tally.addresses,
             "By fields.client_ip; an adapter records networks unless it is told otherwise."),
            ("workspaces", "For whom", "Workspace", "workspace_id", self._tally.workspaces,
             "By workspace_id, the tenant."),
        ):  # fmt: skip
            rows = [
                Row((_shown(one), many.count, *_ends(many)), self._query(where(member, one)))
                for one, many in _by_count(counts)
            ]
            yield self._section(
                name, title, (head, "Records", "First", "Last"), rows, said,
                *_untold(counts),
            )  # fmt: skip

    def quality(self) -> Section:
        """How much the records tell."""
        total = self._tally.records
        rows = []
        for member, question in _QUALITY:
            count = self._having(member)
            share = f"{100 * count / total:.1f} %" if total else "-"
            name = member if member not in {"outcome", "client_ip", "key"} else f"fields.{member}"
            rows.append(Row((name, question, count, share), self._query(("--where", f"{name}!="))))
        return self._section(
            "quality", "How complete the records are",
            ("Member", "Answers", "Records that have it", "Share"), rows,
            "Not every event has every member: a timer has no address.",
        )  # fmt: skip

    def activity(self) -> Activity:
        """When there were records."""
        tally, period = self._tally, self._tally.period
        step = period.step
        bars = [
            Bar(short(at * step), tally.bars[at], tally.refused[at]) for at in period.bars_of(step)
        ]
        hours = [tuple(tally.hours[day * 24 + hour] for hour in range(24)) for day in range(7)]
        return Activity(step // SECOND, tuple(bars), tuple(hours))

    def matching(self, wanted: Callable[[Who], bool], refused: bool | None) -> tuple[int, int, int]:
        """How many records there are of some rows, of how many types, by how many actors."""
        count, kinds, actors = 0, set(), set()
        for who, row in self._tally.who.items():
            if (refused is None or row.refused is refused) and wanted(who):
                count += row.count
                kinds.add(who.event_type)
                actors.add((who.actor, who.kind))
        return count, len(kinds), len(actors)

    def _having(self, member: str) -> int:
        tally = self._tally
        table = {"workspace_id": tally.workspaces, "client_ip": tally.addresses, "key": tally.keys}
        if member in table:
            return sum(row.count for row in table[member].rows.values()) + table[member].untold
        return {
            "user_id": tally.with_actor,
            "actor_kind": tally.with_kind,
            "correlation_id": tally.with_correlation,
            "outcome": tally.with_outcome,
        }[member]

    def _grouped(
        self, by: Callable[[Who], Group], among: Callable[[Who], str] = lambda who: who.actor
    ) -> list[tuple[Group, tuple[Counted, int, set[str]]]]:
        """Rows of the one table put together: count, refusals, and the different others."""
        groups: dict[Group, tuple[Counted, set[str]]] = {}
        refused: dict[Group, int] = {}
        for who, row in self._tally.who.items():
            key = by(who)
            _joined(groups, key, row)[1].add(among(who))
            refused[key] = refused.get(key, 0) + row.refused * row.count
        return [(key, (many, refused[key], all_)) for key, (many, all_) in _sorted(groups.items())]

    def _section(
        self, name: str, title: str, columns: tuple[str, ...], rows: list[Row], *said: str
    ) -> Section:  # fmt: skip
        figure = next(at for at, head in enumerate(columns) if head.startswith("Records"))
        exact = name not in _BY_ACTOR or not self._tally.untold
        return Section(
            name, title, columns, tuple(rows[:MOST]), figure, said, max(len(rows) - MOST, 0), exact
        )

    def _of_type(self, name: str) -> str:
        return "" if name in UNTOLD else self._queries.count("--type", name)

    def _query(self, *conditions: tuple[str, ...] | None) -> str:
        """The query of all of these; empty where one of them cannot be asked for."""
        words: list[str] = []
        for one in conditions:
            if one is None or not UNTOLD.isdisjoint(one):
                return ""
            words += one
        return self._queries.count(*words)


def _joined(
    groups: dict[Group, tuple[Counted, set[str]]], key: Group, row: Counted
) -> tuple[Counted, set[str]]:
    """The group of a row, with the row in it."""
    found = groups.get(key)
    if found is None:
        found = groups[key] = (Counted(), set())
    found[0].add(row.count, row.first, row.last)
    return found


def _sorted(
    groups: Iterable[tuple[Group, tuple[Counted, set[str]]]],
) -> list[tuple[Group, tuple[Counted, set[str]]]]:
    """The most frequent first; among those of the same count in the order of their names."""
    return sorted(groups, key=lambda one: (-one[1][0].count, one[0]))


def _by_count(counts: Counts) -> list[tuple[str, Counted]]:
    return sorted(counts.rows.items(), key=lambda one: (-one[1].count, one[0]))


def _untold(counts: Counts) -> tuple[str, ...]:
    if not counts.untold:
        return ()
    return (f"{counts.untold:,} records have further values, which are not told apart.",)


def _ends(row: Counted) -> tuple[Cell, Cell]:
    return f"{row.first[:19]}Z", f"{row.last[:19]}Z"


def _shown(text: str) -> str:
    """A value of a record, so that none looks like what this page itself says in brackets."""
    if text in UNTOLD:
        return NOT_TOLD
    return f"“{text}”" if text and (text.isspace() or text.startswith("(")) else text


def _named(actor: str) -> str:
    return _shown(actor) or NOBODY
