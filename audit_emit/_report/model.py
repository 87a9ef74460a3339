"""What a report is: data that every format writes down, and no format adds to."""

from __future__ import annotations

from typing import Any

import msgspec

Cell = str | int
"""What stands in a table; texts may be a record's, so every format neutralises all of them."""


class Row(msgspec.Struct, frozen=True):
    """One row of a table.

    Attributes:
        cells: one for each column.
        query: the command line that repeats the figure of this row (``--total``), or shows what
            the row is about; empty where none can.
    """

    cells: tuple[Cell, ...]
    query: str = ""


class Section(msgspec.Struct, frozen=True):
    """One table of a report.

    Attributes:
        id: stable, for programs and for the map of controls.
        title: of the section.
        columns: the heads of its columns.
        rows: what is told.
        figure: the number of the column with the figure; -1 for none.
        said: what a reader has to know, in sentences of our own.
        more: rows that there are besides.
        exact: whether each figure is what its query prints; else it is at most that.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    figure: int = -1
    said: tuple[str, ...] = ()
    more: int = 0
    exact: bool = True


class Bar(msgspec.Struct, frozen=True):
    """One bar of the plot over time: from when on, and how many records and refusals."""

    since: str
    records: int
    refused: int


class Activity(msgspec.Struct, frozen=True):
    """When there were records.

    Attributes:
        step: seconds of one bar.
        bars: over the whole period, those without records, too.
        hours: records of each hour of the week, in UTC; seven rows, Monday first, of 24.
    """

    step: int
    bars: tuple[Bar, ...]
    hours: tuple[tuple[int, ...], ...]


class Verdict(msgspec.Struct, frozen=True):
    """Whether the log holds, and up to where that was looked at.

    Attributes:
        verdict: ``ok``, ``tampered``, ``incomplete`` or ``nothing-found``.
        said: the same in a sentence.
        chain, seq, hash: the head that it holds for.
        signed_seq: the last record that a trusted signature covers; 0 for none.
        signed_at: when that was signed.
        signed_by: algorithm and id of the key.
        unsigned: records after it.
        command: repeats the verdict, given the key.
    """

    verdict: str
    said: str
    chain: str
    seq: int
    hash: str
    signed_seq: int
    signed_at: str
    signed_by: str
    unsigned: int
    command: str


class Control(msgspec.Struct, frozen=True):
    """One control, with the question that it asks of a log, and what here supports an answer.

    Attributes:
        framework, control: what it is of, and its number there.
        question: of an auditor.
        evidence: sentences with figures of this report; each with its query, or an empty one.
        sections: where in the report it stands.
    """

    framework: str
    control: str
    question: str
    evidence: tuple[tuple[str, str], ...]
    sections: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        log: as it was named.
        service: as its newest record says.
        made_at: when the report was made.
        version: of audit_emit.
        since, until: the period; ``until`` is not in it.
        period: how that was asked for, in words.
        verdict: on the whole log, not only on the period.
        summary: the figures that come first.
        activity: when there were records.
        sections: the tables.
        controls: the map.
        method: how the figures came about, and what limits they have.
    """

    log: str
    service: str
    made_at: str
    version: str
    since: str
    until: str
    period: str
    verdict: Verdict
    summary: Section
    activity: Activity
    sections: tuple[Section, ...]
    controls: tuple[Control, ...]
    method: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def section(self, name: str) -> Section:
        """The section with an id.

        Raises:
            LookupError: there is none.
        """
        for section in (self.summary, *self.sections):
            if section.id == name:
                return section
        raise LookupError(name)
