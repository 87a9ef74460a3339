"""The page of a report in a real browser: it asks for nothing, runs nothing, fits its window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console.test_browser import browser  # noqa: F401 - a fixture
from playwright.sync_api import Page
from support.chain_builder import BEGIN
from support.hostile_log import hostile_log

from audit_emit._detection.loading import built_in
from audit_emit._readers.opening import open_reader
from audit_emit._report.build import Asked, report_on
from audit_emit._report.formats import written
from audit_emit._report.period import DAY, Period


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a log with hostile records."""
    place = tmp_path_factory.mktemp("browser")
    log = hostile_log(place / "log")
    with open_reader(str(log)) as reader:
        period = Period(BEGIN - 9 * DAY, BEGIN + DAY)
        asked = Asked((str(log),), period, "ten days", rules=built_in())
        (place / "report.html").write_bytes(written(report_on(reader, asked), "html"))
    return place / "report.html"


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["light-wide", "dark-narrow"])
def page(
    browser: Any,  # noqa: F811 - the fixture
    report: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Page]:
    """The page, which fails its test where its policy was violated or anything was asked for."""
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("dialog", lambda dialog: said.append(dialog.message))
    found.on("request", lambda one: asked.append(one.url))
    found.goto(report.as_uri())
    yield found
    context.close()
    assert said == []
    assert asked == [report.as_uri()]


def test_axe_finds_nothing_on_the_page(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_page_is_styled_and_no_wider_than_its_window(page: Page) -> None:
    assert page.evaluate("getComputedStyle(document.querySelector('.cards')).display") == "grid"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.evaluate("window.innerWidth")


def test_paper_is_white_and_has_the_whole_report(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert len(page.pdf(prefer_css_page_size=True)) > 50_000
