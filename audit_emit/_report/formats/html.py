"""For people, on screen and on paper: one file that asks nobody for anything and runs nothing.

There is no script in it, and its policy lets none run: the style sheet is named by its hash, and
all else is refused (Content Security Policy, level 3).
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from audit_emit._report.formats.markup import Content, Markup, element, raw
from audit_emit._report.formats.plots import by_hour, over_time
from audit_emit._report.formats.shown import SHOWN, Numbered, cell, hidden, step_in_words
from audit_emit._report.model import Control, Report, Row, Section

_STYLE = Path(__file__).parent / "report.css"
_WORD = 24
"""Characters of a word that a column is as wide as."""

_WORDS = {"ok": "Holds", "tampered": "Tampered with", "incomplete": "Incomplete"}
_TIMES = frozenset({"Came up", "First", "Last", "Written", "Declared", "From", "To"})


def written(report: Report) -> str:
    """The page."""
    return f"<!doctype html>\n{_Page(report).whole().text}\n"


class _Page:
    """Writes one report; keeps the numbers of its queries."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._queries = Numbered()

    def whole(self) -> Markup:
        report = self._report
        style = _STYLE.read_text("utf-8")
        digest = b64encode(sha256(style.encode()).digest()).decode()
        title = f"Audit report: {report.service or report.log}"
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", title),
            element("style", raw(style)),
        )
        body = element(
            "body",
            self._header(),
            element(
                "main",
                self._verdict(),
                self._summary(),
                self._activity(),
                [self._section(one) for one in report.sections],
                self._controls(),
                self._method(),
                self._all_queries(),
            ),
            element(
                "footer", f"Made by audit_emit {report.version} at {_time(report.made_at)} UTC"
            ),
        )
        return element("html", head, body, lang="en")

    def _header(self) -> Markup:
        report = self._report
        facts = (
            ("Log", element("code", report.log)),
            ("Period", f"{report.period}: {_time(report.since)} to {_time(report.until)} UTC"),
            ("Chain", element("code", report.verdict.chain or "none")),
            ("Made", f"{_time(report.made_at)} UTC, by audit_emit {report.version}"),
        )
        pages = [
            ("activity", "When"),
            *((one.id, one.title) for one in report.sections),
            ("controls", "Controls"),
            ("method", "How to read this"),
            ("queries", "Queries"),
        ]
        return element(
            "header",
            element("p", "Audit report", class_="kicker"),
            element("h1", report.service or report.log),
            _pairs(facts),
            element(
                "nav",
                [element("a", name, href=f"#{at}") for at, name in pages],
                aria_label="Sections",
            ),
        )

    def _verdict(self) -> Markup:
        one = self._report.verdict
        word = _WORDS.get(one.verdict, "No record")
        facts: list[tuple[str, Content]] = [
            ("Holds for", [f"record {one.seq:,}, hash ", element("code", one.hash or "none")])
        ]
        if one.signed_seq:
            said = f"up to record {one.signed_seq:,} by {one.signed_by}, {_time(one.signed_at)} UTC"
            facts.append(("Signed", f"{said}; {one.unsigned:,} records after that"))
        facts.append(("Repeat", element("code", one.command)))
        return element(
            "section",
            element("h2", element("span", word, class_="word"), id="verdict"),
            element("p", one.said),
            _pairs(facts),
            class_=f"verdict {one.verdict}",
            aria_labelledby="verdict",
        )

    def _summary(self) -> Markup:
        cards = [
            element(
                "div",
                element("dt", row.cells[0], self._link(row)),
                element("dd", row.cells[1]),
            )
            for row in self._report.summary.rows
        ]
        return element("dl", cards, class_="cards")

    def _activity(self) -> Markup:
        activity = self._report.activity
        legend = element(
            "p",
            element("span", "", class_="key bar"), "records  ",
            element("span", "", class_="key no"), "refused or failed",
            class_="legend",
        )  # fmt: skip
        return element(
            "section",
            element("h2", "When", id="activity"),
            element("p", f"Records by {step_in_words(activity.step)}, in UTC."),
            element("figure", over_time(activity), legend),
            element(
                "p", "Records by the hour of the week, in UTC: the stronger the colour, the more."
            ),
            element("figure", by_hour(activity)),
        )

    def _section(self, section: Section) -> Markup:
        content: list[Content] = [element("h2", section.title, id=section.id)]
        content += [element("p", said, class_="said") for said in section.said]
        if not section.rows:
            content.append(element("p", "None.", class_="none"))
        else:
            content.append(self._table(section))
        if not section.exact:
            content.append(
                element("p", "These figures are lower bounds; see below.", class_="said")
            )
        if more := hidden(section):
            content.append(element("p", more, class_="said"))
        return element("section", content)

    def _table(self, section: Section) -> Markup:
        numbers = {at for at, one in enumerate(section.rows[0].cells) if isinstance(one, int)}
        asked = any(row.query for row in section.rows)
        heads = [
            element("th", name, scope="col", class_="n" if at in numbers else "t")
            for at, name in enumerate(section.columns)
        ]
        if asked:
            heads.append(element("th", "Query", scope="col", class_="t"))
        rows = [self._row(section, row, asked=asked) for row in section.rows[:SHOWN]]
        return _table(heads, rows, section.title)

    def _row(self, section: Section, row: Row, *, asked: bool) -> Markup:
        cells = []
        for at, one in enumerate(row.cells):
            time = section.columns[at] in _TIMES
            text = _time(str(one)) if time else cell(one)
            kind = "n" if isinstance(one, int) else "w" if time else _width(text)
            name = "th" if at == 0 else "td"
            more = {"scope": "row"} if at == 0 else {}
            cells.append(element(name, text, class_=kind, **more))
        if asked:
            cells.append(element("td", self._link(row), class_="q"))
        return element("tr", cells)

    def _controls(self) -> Markup:
        heads = [
            element("th", name, scope="col", class_="t")
            for name in ("Control", "Question", "Evidence in this log", "See")
        ]
        rows: list[Markup] = []
        for framework, controls in groupby(self._report.controls, key=lambda one: one.framework):
            rows.append(
                element("tr", element("th", framework, colspan=4, scope="colgroup"), class_="group")
            )
            rows += map(self._control, controls)
        return element(
            "section",
            element("h2", "Controls, and what here supports an answer", id="controls"),
            element(
                "p",
                "The questions that controls ask of a log, and the figures that support an answer. "
                "Whether a control is met is for a person to judge.",
                class_="said",
            ),
            _table(heads, rows, "Controls"),
            class_="appendix",
        )

    def _control(self, one: Control) -> Markup:
        evidence = [element("p", said, " ", self._named(query)) for said, query in one.evidence]
        titles = {section.id: section.title for section in self._report.sections}
        see = [element("p", element("a", titles[name], href=f"#{name}")) for name in one.sections]
        return element(
            "tr",
            element("th", one.control, scope="row", class_="t"),
            element("td", one.question),
            element("td", evidence or "None was named.", class_="long"),
            element("td", see),
        )

    def _method(self) -> Markup:
        return element(
            "section",
            element("h2", "How to read this", id="method"),
            element("ul", [element("li", said) for said in self._report.method]),
        )

    def _all_queries(self) -> Markup:
        items = [
            element("li", element("b", name), element("code", query), id=name)
            for name, query in self._queries.all()
        ]
        return element(
            "section",
            element("h2", "Queries", id="queries"),
            element(
                "p",
                "Each prints the figure with its number (--total), or shows what it is about.",
                class_="said",
            ),
            element("ul", items, class_="queries"),
            class_="appendix",
        )

    def _link(self, row: Row) -> Markup:
        return self._named(row.query)

    def _named(self, query: str) -> Markup:
        name = self._queries.add(query)
        return element("a", name, href=f"#{name}", class_="q") if name else raw("")


def _table(heads: list[Markup], rows: list[Markup], name: str) -> Markup:
    table = element("table", element("thead", element("tr", heads)), element("tbody", rows))
    # In a narrow window it is scrolled sideways, with the keyboard, too.
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)


def _width(text: str) -> str:
    """The class of a cell: a word that is longer than others may be broken anywhere."""
    return "long" if max(map(len, text.split()), default=0) > _WORD else "t"


def _pairs(facts: object) -> Markup:
    pairs: list[tuple[str, Content]] = list(facts)  # type: ignore[call-overload]
    return element(
        "dl", [element("div", element("dt", one), element("dd", two)) for one, two in pairs],
        class_="pairs",
    )  # fmt: skip


def _time(ts: str) -> str:
    """A time for people: to the second; anything else as it is."""
    if len(ts) >= len("2026-05-19T20:00:00") and ts[10:11] == "T":
        return ts[:19].replace("T", " ")
    return ts
