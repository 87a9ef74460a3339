"""The map from controls to questions, and what of a report supports an answer. Pure.

The map is data: ``controls.json`` beside this module, or a file of the user's own in the same form.
Nothing here says that a control is met: that takes a person, who looks at more than a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from audit_emit._query.patterns import alike
from audit_emit._report.counts import Who
from audit_emit._report.figures import Figures
from audit_emit._report.model import Control
from audit_emit._report.queries import Queries, value

USUAL = Path(__file__).parent / "controls.json"
LARGEST = 1 << 20
"""Bytes of a map."""

FACTS = ("integrity", "history", "gaps", "quality", "anomalies")
"""What a report can say besides counting records."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for: a fact, or records.

    Attributes:
        fact: one of ``FACTS``; empty for records, which all that follows is about.
        said: what these records are of, for people.
        types: event types or shell patterns, one of which must be the record's; empty for any.
        actor_kind: that it must have; empty for any.
        refused: only those that tell of something refused or failed; without it, any.
    """

    fact: str = ""
    said: str = ""
    types: tuple[str, ...] = ()
    actor_kind: str = ""
    refused: bool = False


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One control of a map; see ``Control``."""

    framework: str
    control: str
    question: str
    evidence: tuple[Evidence, ...] = ()
    sections: tuple[str, ...] = ()


def read_map(path: Path, sections: Sequence[str]) -> tuple[Entry, ...]:
    """The map in a file.

    Args:
        sections: those that a report has.

    Raises:
        ValueError: it is none; the message says where and why.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"a map of controls has at most {LARGEST:,} bytes")
    try:
        entries = msgspec.json.decode(data, type=tuple[Entry, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is no map of controls: {error} (docs/report.md)") from None
    for entry in entries:
        for one in entry.evidence:
            if one.fact and one.fact not in FACTS:
                known = ", ".join(FACTS)
                raise ValueError(f"{entry.control}: there is no fact {one.fact!r}, only {known}")
        for name in entry.sections:
            if name not in sections:
                known = ", ".join(sections)
                raise ValueError(f"{entry.control}: there is no section {name!r}, only {known}")
    return entries


def answered(
    entries: Sequence[Entry],
    figures: Figures,
    facts: Mapping[str, tuple[tuple[str, str], ...]],
    queries: Queries,
) -> tuple[Control, ...]:
    """Each control with what a report has to say to its question.

    Args:
        facts: sentences with their queries, by the name of the fact.
    """
    made = []
    for one in entries:
        evidence: list[tuple[str, str]] = []
        for what in one.evidence:
            evidence += facts[what.fact] if what.fact else [_counted(what, figures, queries)]
        control = Control(one.framework, one.control, one.question, tuple(evidence), one.sections)
        made.append(control)
    return tuple(made)


def _counted(what: Evidence, figures: Figures, queries: Queries) -> tuple[str, str]:
    records, kinds, actors = figures.matching(_wanted(what), refused=what.refused or None)
    found = "No such record in this period"
    if records:
        found = (
            f"{many(records, 'record')} of {many(kinds, 'event type')} by {many(actors, 'actor')}"
        )
    said = f" ({what.said})" if what.said else ""
    return f"{found}{said}.", _query(what, queries)


def _wanted(what: Evidence) -> Callable[[Who], bool]:
    def wanted(who: Who) -> bool:
        return (not what.actor_kind or who.kind == what.actor_kind) and (
            not what.types or any(alike(who.event_type, one) for one in what.types)
        )

    return wanted


def _query(what: Evidence, queries: Queries) -> str:
    """The command that counts the same; what was refused takes several (section ``refusals``)."""
    kind = value(what.actor_kind)
    if what.refused or kind is None:
        return ""
    words = [word for one in what.types for word in ("--type", one)]
    return queries.count(*words, *(["--where", f"actor_kind={kind}"] if kind else []))


def many(count: int, noun: str, nouns: str = "") -> str:
    """A number of things: ``1 record``, ``2 records``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
