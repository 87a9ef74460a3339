"""For spreadsheets and programs: one table, one figure a row."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._export.cells import row
from audit_emit._report.model import Report, Section

COLUMNS = ("section", "row", "subject", "figure", "value", "query")


def written(report: Report) -> bytes:
    """The table (RFC 4180), formulas neutralised."""
    return b"".join(map(row, (COLUMNS, *_rows(report))))


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    for name in ("log", "service", "period", "since", "until", "made_at", "version"):
        yield "report", "1", "", name, str(getattr(report, name)), ""
    for name in ("verdict", "said", "chain", "seq", "hash", "signed_seq", "signed_at", "signed_by"):
        yield "verdict", "1", "", name, str(getattr(report.verdict, name)), report.verdict.command
    for section in (report.summary, *report.sections):
        yield from _of_section(section)
    for number, bar in enumerate(report.activity.bars, 1):
        yield "activity", str(number), bar.since, "records", str(bar.records), ""
        yield "activity", str(number), bar.since, "refused", str(bar.refused), ""
    for number, one in enumerate(report.controls, 1):
        subject = f"{one.framework} {one.control}"
        yield "controls", str(number), subject, "question", one.question, ""
        for said, query in one.evidence:
            yield "controls", str(number), subject, "evidence", said, query
    for number, said in enumerate(report.method, 1):
        yield "method", str(number), "", "said", said, ""


def _of_section(section: Section) -> Iterator[tuple[str, ...]]:
    for number, one in enumerate(section.rows, 1):
        subject, *others = map(str, one.cells)
        for name, value in zip(section.columns[1:], others, strict=True):
            is_figure = section.columns.index(name) == section.figure or section.figure < 0
            yield section.id, str(number), subject, name, value, one.query if is_figure else ""
    if section.more:
        yield section.id, "", "", "further rows", str(section.more), ""
