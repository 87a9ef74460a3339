"""A report written down: whatever is in the records stays text."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, MadeChain
from support.hostile_log import hostile_log
from support.requirements import package

from audit_emit._readers.opening import open_reader
from audit_emit._report.build import Asked, report_on
from audit_emit._report.formats import FORMATS, written
from audit_emit._report.model import Report
from audit_emit._report.period import DAY, Period

ELEMENTS = set(
    "html head meta title style body header main section footer nav h1 h2 p a code span b "
    "dl dt dd div ul li table thead tbody tr th td figure svg g line rect text".split()
)
ATTRIBUTES = set(
    "lang charset http-equiv content name class id href scope colspan role aria-label tabindex "
    "aria-labelledby viewbox x x1 x2 y y1 y2 width height".split()
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    log = hostile_log(tmp_path_factory.mktemp("formats") / "log")
    with open_reader(str(log)) as reader:
        return report_on(reader, Asked((str(log),), Period(BEGIN - DAY, BEGIN + DAY), "two days"))


class Parser(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_made_of_its_own_elements_only(hostile: Report) -> None:
    found = Parser(written(hostile, "html").decode())
    assert found.elements <= ELEMENTS
    assert found.attributes <= ATTRIBUTES
    assert found.open == []
    assert "<script>alert(1)</script>" in found.texts


def test_the_page_leads_nowhere_but_into_itself(hostile: Report) -> None:
    page = written(hostile, "html").decode()
    found = Parser(page)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    assert not re.search(r"@import|url\(", page.partition("</style>")[0])


def test_the_policy_of_the_page_lets_its_style_in_and_nothing_else(hostile: Report) -> None:
    page = written(hostile, "html").decode()
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src &#x27;none&#x27;; style-src &#x27;sha256-{digest}&#x27;" in page


def test_in_markdown_nothing_of_a_record_is_markup(hostile: Report) -> None:
    reader = package("markdown-it-py", "markdown_it").MarkdownIt("commonmark", {"html": True})
    reader.enable(["table", "strikethrough"])
    page = written(hostile, "md").decode()
    shown = reader.render(page)
    found = Parser(shown)
    assert found.elements <= set(
        "h1 h2 p ul li strong table thead tbody tr th td br pre code".split()
    )
    assert found.links == []
    assert "<script>alert(1)</script>" in found.texts
    assert len(re.findall("^\\| (?!-)", page, re.MULTILINE)) == shown.count("<tr>")
    outside = re.sub("(?ms)^(`{3,})text$.*?^\\1$", "", page)
    assert not re.search(r"://|www\.|[@$\\]|(?<![0-9]):[a-z]", outside)


def test_no_cell_of_the_table_begins_as_a_formula_does(hostile: Report) -> None:
    rows = list(csv.reader(io.StringIO(written(hostile, "csv").decode(), newline="")))
    assert {len(row) for row in rows} == {6}
    assert not [cell for row in rows for cell in row if re.match(r"[\s\"]*[=+\-@\uff1d]", cell)]
    assert any("'=1+1" in cell for row in rows for cell in row)


def test_a_query_stands_in_the_table_as_the_shell_takes_it(hostile: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(written(hostile, "csv").decode(), newline="")))
    made = {one.query for part in (hostile.summary, *hostile.sections) for one in part.rows}
    made |= {query for one in hostile.controls for _, query in one.evidence}
    assert {row["query"] for row in rows} <= made | {hostile.verdict.command, ""}
    assert any("\\x3b=cmd" in row["query"] for row in rows)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_that_a_terminal_obeys_is_in_any_format(hostile: Report, form: str) -> None:
    body = written(hostile, form).decode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\u2028]", body)


def test_the_json_is_the_report(hostile: Report) -> None:
    found = json.loads(written(hostile, "json"))
    assert found["verdict"]["verdict"] == "tampered"
    assert set(found) == set(Report.__struct_fields__)


@pytest.mark.parametrize("form", FORMATS)
def test_no_report_says_that_anything_complies(hostile: Report, form: str) -> None:
    assert not re.search(
        r"\bcompl(y|ies|iant|iance)\b", written(hostile, form).decode(), re.IGNORECASE
    )


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_period_is_a_report_too(form: str, tmp_path: Path) -> None:
    log = MadeChain().add(3).write(tmp_path / "audit.jsonl").parent
    with open_reader(str(log)) as reader:
        asked = Asked((str(log),), Period(BEGIN - 2 * DAY, BEGIN - DAY), "a day before")
        assert b"a day before" in written(report_on(reader, asked), form)
