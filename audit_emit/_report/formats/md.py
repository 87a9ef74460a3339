"""For a ticket or a wiki: GitHub Flavored Markdown, with the queries in one block at its end.

Markdown has many dialects, and most let HTML through. So of a record's text every character that
any of them could take for markup is a numeric reference, which all of them show and none obeys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from audit_emit._format.printable import visible
from audit_emit._report.formats.shown import SHOWN, Numbered, cell, hidden, step_in_words
from audit_emit._report.model import Report, Section

_MARKUP = re.compile(
    r"[^\w ,.;:()/%+'-]"  # all punctuation but this
    r"|(?<![^\W_])_|_(?![^\W_])"  # a _ that is not inside a word
    r"|(?<![0-9]):|:(?![0-9])"  # a : that is not inside a time
    r"|(?i:(?<=www))\."  # the beginning of an address
    r"|^[-+]"  # an item of a list
)
_NUMBERED = re.compile(r"^([0-9]{1,9})([.)])(?=\s|$)")

_BAR = 24
"""Characters of the longest bar."""


def written(report: Report) -> str:
    """As Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    queries = Numbered()
    verdict = report.verdict
    yield f"# Audit report: {_text(report.service or report.log)}"
    yield ""
    yield f"- Log: {_text(report.log)}, chain {_text(verdict.chain)}"
    yield f"- Period: {_text(report.period)}, from {report.since} on, before {report.until}"
    yield f"- Made at {report.made_at[:19]}Z by audit_emit {report.version}"
    yield ""
    yield "## Integrity"
    yield ""
    yield f"**{verdict.verdict.upper()}.** {_text(verdict.said)}"
    yield ""
    number = queries.add(verdict.command)
    yield f"It holds for record {verdict.seq:,} with the hash {verdict.hash} ({number})."
    yield ""
    yield from _section(report.summary, queries)
    yield from _activity(report)
    for section in report.sections:
        yield from _section(section, queries)
    yield from _controls(report, queries)
    yield "## How to read this"
    yield ""
    yield from (f"- {_text(said)}" for said in report.method)
    yield ""
    yield "## Queries"
    yield ""
    yield "Each prints the figure with its number, or shows the records behind it."
    yield ""
    yield from _block([f"{name}  {query}" for name, query in queries.all()])


def _section(section: Section, queries: Numbered) -> Iterator[str]:
    yield f"## {section.title}"
    yield ""
    for said in section.said:
        yield _text(said)
        yield ""
    if not section.rows:
        yield "None."
        yield ""
        return
    heads = (*section.columns, "Query")
    yield f"| {' | '.join(heads)} |"
    numbers = {at for at, one in enumerate(section.rows[0].cells) if isinstance(one, int)}
    yield "|" + "|".join(" ---: " if at in numbers else " --- " for at in range(len(heads))) + "|"
    for row in section.rows[:SHOWN]:
        cells = [_text(cell(one)) for one in row.cells]
        yield f"| {' | '.join(cells)} | {queries.add(row.query)} |"
    yield ""
    if more := hidden(section):
        yield more
        yield ""


def _activity(report: Report) -> Iterator[str]:
    yield "## When"
    yield ""
    yield f"Records by {step_in_words(report.activity.step)}; bars without records are left out."
    yield ""
    most = max((bar.records for bar in report.activity.bars), default=0)
    bars = [bar for bar in report.activity.bars if bar.records]
    yield from _block(
        f"{bar.since}  {'#' * max(1, _BAR * bar.records // most):<{_BAR}}  {bar.records:>9,}"
        + (f", {bar.refused:,} refused" if bar.refused else "")
        for bar in bars
    )


def _controls(report: Report, queries: Numbered) -> Iterator[str]:
    yield "## Controls, and what here supports an answer"
    yield ""
    yield "| Framework | Control | Question | Evidence | See |"
    yield "| --- | --- | --- | --- | --- |"
    titles = {section.id: section.title for section in report.sections}
    for one in report.controls:
        evidence = "<br>".join(
            f"{_text(said)} {queries.add(query)}" for said, query in one.evidence
        )
        see = ", ".join(titles[name] for name in one.sections)
        words = " | ".join(map(_text, (one.framework, one.control, one.question)))
        yield f"| {words} | {evidence} | {see} |"
    yield ""


def _block(lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    """Lines as they are, in a fence that none of them ends."""
    shown = [visible(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from shown
    yield fence
    yield ""


def _text(text: str) -> str:
    """A text that shows as it is, wherever it stands."""
    text = _MARKUP.sub(lambda found: f"&#{ord(found[0])};", visible(text))
    return _NUMBERED.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text)
