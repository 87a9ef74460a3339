"""The console in a real browser: nothing violates its policy, axe finds nothing, the tail runs."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect, sync_playwright
from support.archived_log import KEY, ORIGIN, SignedLog
from support.chain_builder import MadeChain, rewritten
from support.console_client import hostile_log, log_in
from support.requirements import program
from support.served_console import Served
from support.tiers import starts_a_server
from support.waiting import PATIENCE

from audit_emit import open_log
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

PATHS = [
    "/",
    "/event/00d1c0ffee00beef:5",
    "/actor/u-17",
    "/top",
    "/over-time",
    "/alerts",
    "/report",
    "/integrity",
    "/verify",
    "/archive",
    "/checkpoints",
    "/settings",
    "/help",
]


@pytest.fixture(scope="module")
@starts_a_server
def browser() -> Iterator[Any]:
    path = program("chromium")
    expect.set_options(timeout=PATIENCE * 1000)  # its own 5 s pass on a machine that is busy
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=shutil.which(path), args=flags)
        yield found
        found.close()


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["light-wide", "dark-narrow"])
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that fails its test where its policy was violated or another host was asked."""
    if "served" in request.fixturenames:
        request.getfixturevalue("served")  # so that it ends after the page, which may still load
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    found = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda one: asked.append(one.url))
    yield found
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("http://localhost:")] == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


@pytest.fixture
def served(log: Path) -> Iterator[Served]:
    found = Served(log)
    yield found
    found.stop()


def test_axe_finds_nothing_on_any_page(page: Page, served: Served) -> None:
    for path in PATHS:
        page.goto(served.address + path)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{path}: {results.generate_report()}"


def test_no_page_is_wider_than_its_window(page: Page, served: Served) -> None:
    for path in PATHS:
        page.goto(served.address + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= page.evaluate("window.innerWidth"), path


def test_the_tail_shows_what_is_written(page: Page, served: Served, log: Path) -> None:
    page.goto(served.address)
    page.get_by_role("button", name="Live tail").click()
    expect(page.get_by_text("Waiting for records…")).to_be_visible()
    made = MadeChain().add(21, user_id="<b>tailed</b>").lines
    rows = page.locator("#events tbody tr.new")
    for count, line in enumerate(made[19:], 1):
        # The second one is written while the tail is paused, and comes once when that goes on.
        with open(log / "audit.jsonl", "ab") as file:
            file.write(line + b"\n")
        if count > 1:
            page.get_by_role("button", name="Live tail").click()
        expect(rows).to_have_count(count)
        expect(rows.first).to_contain_text("<b>tailed</b>")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Paused after 1 records")).to_be_visible()


def test_the_local_time_is_a_hint(browser: Any, served: Served) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata", locale="en-GB")
    page = context.new_page()
    page.goto(served.address)
    cell = page.locator("td.time", has_text="2026-05-19 20:00:05").first
    expect(cell).to_have_attribute("title", re.compile("20 May 2026.*01:30:05"))
    context.close()


def test_a_verification_ends_with_its_verdict_on_the_page(page: Page, served: Served) -> None:
    page.goto(f"{served.address}/integrity")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("The log was tampered with.")).to_be_visible()


def test_the_keyboard_leads_to_filters_and_records(page: Page, served: Served) -> None:
    page.goto(served.address)
    page.keyboard.press("/")
    expect(page.get_by_label("Type")).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("profile.updated")


def test_a_bar_leads_to_its_records_by_the_keyboard_and_by_a_click(
    page: Page, served: Served
) -> None:
    page.goto(served.address)
    bars = page.locator("#over-time svg a")
    expect(bars.last).to_be_attached()
    assert page.locator('#over-time svg a[tabindex="0"]').count() == 1
    bars.last.focus()
    page.keyboard.press("ArrowLeft")
    told = page.locator("#over-time figcaption")
    expect(told).to_contain_text(re.compile(r"^\d+: 2026-05-19 20:00:\d\d"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Since")).to_have_value(re.compile("^2026-05-19T20:00:"))
    page.go_back()
    bars.first.click()
    expect(page.get_by_label("Until")).to_have_value(re.compile("^2026-05-19T20:00:"))
    count = int(re.sub(r"\D", "", page.get_by_text("records shown").inner_text().partition(" ")[0]))
    assert count == page.locator("#events tbody tr").count() > 0


def test_dragging_over_bars_asks_for_their_time(page: Page, served: Served) -> None:
    page.goto(f"{served.address}/?type=*")
    bars = page.locator("#over-time svg a .hit")
    expect(bars.last).to_be_attached()
    first, last = bars.first.bounding_box(), bars.last.bounding_box()
    assert first is not None
    assert last is not None
    page.mouse.move(first["x"] + 2, first["y"] + 40)
    page.mouse.down()
    page.mouse.move(last["x"] + 1, last["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.get_by_label("Since")).not_to_have_value("")
    expect(page.get_by_label("Type")).to_have_value("*")
    expect(page.get_by_text("19 records shown")).to_be_visible()


def test_hostile_records_run_nothing(page: Page, tmp_path: Path) -> None:
    served = Served(hostile_log(tmp_path / "hostile"))
    page.on("dialog", lambda _: pytest.fail("a script of a record ran"))
    try:
        page.goto(served.address)
        expect(page.locator("#events tbody tr").first).to_be_visible()
        assert page.locator("#events tbody img").count() == 0
    finally:
        served.stop()


def test_without_javascript_it_works(browser: Any, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.address)
    page.get_by_label("Type").fill("secret.*")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("5 records shown")).to_be_visible()
    page.locator("#over-time img").click()
    page.locator("figure svg a").first.click()
    expect(page.get_by_label("Type")).to_have_value("secret.*")
    expect(page.get_by_label("Since")).not_to_have_value("")
    page.locator("#events tbody a").first.click()
    expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
    context.close()


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[SignedLog]:
    log = SignedLog(tmp_path / "signed", max_bytes=10**9).add(2_500)
    yield log
    log.close()


VKEY = KEY.to_vkey(ORIGIN)


def forged(head: bytes, checkpoints: Path) -> bytes:
    """A checkpoint over any tree, by the first key, as whoever has stolen it makes one."""
    newest = Checkpoint.from_line(checkpoints.read_bytes().splitlines()[-1])
    seq = json.loads(head)["seq"]
    made = sign(
        KEY, at=newest.at, origin=newest.origin, chain=newest.chain, size=seq,
        head_hash=newest.head_hash, root=b"r" * 32, reason="manual",
    )  # fmt: skip
    return made.to_line()


def verified(page: Page, served: Served, key: str) -> str:
    """What the page says that verifies in the browser."""
    page.goto(f"{served.address}/verify")
    page.get_by_label("Verifier key").fill(key)
    page.get_by_role("button", name="Verify in this browser").click()
    result = page.locator("#result")
    expect(result).to_contain_text(re.compile("holds|hold:|No verdict|There is no record"))
    return str(result.inner_text())


class TestInTheBrowser:
    """Verifying where the server has no say."""

    @pytest.fixture(autouse=True)
    def served(self, signed: SignedLog) -> Iterator[Served]:
        found = Served(signed.directory)
        yield found
        found.stop()

    def test_a_log_that_holds_is_said_to(self, page: Page, served: Served) -> None:
        text = verified(page, served, VKEY)
        assert "The log holds. Signed by the pinned key up to record" in text

    def test_the_next_time_it_says_that_the_log_goes_on(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        verified(page, served, VKEY)
        signed.add(5)
        assert "It extends what this browser saw before." in verified(page, served, VKEY)

    def test_a_log_that_was_cut_is_found_by_what_was_seen(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        verified(page, served, "")
        signed.close()
        path = signed.directory / "audit.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))
        assert "no longer extends what this browser saw" in verified(page, served, "")

    def test_another_log_than_the_one_that_was_seen_is_found(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        verified(page, served, "")
        signed.close()
        other = MadeChain(chain="0" * 15 + "1").add(400)
        (signed.directory / "audit.jsonl").write_bytes(
            b"".join(line + b"\n" for line in other.lines)
        )
        assert "this browser saw another log" in verified(page, served, "")
        page.get_by_role("button", name="Forget what was seen").click()
        assert "The log holds" in verified(page, served, "")

    @pytest.mark.parametrize(
        ("cut", "more", "kind"),
        [
            (1, b"", "missing-segment"),
            (10**6, b"", "nothing-found"),
            (0, b"no record\n", "malformed-line"),
            (0, b'{"torn":', "torn-tail"),
        ],
    )
    def test_what_the_command_finds_without_a_key_is_found(
        self,
        page: Page,
        served: Served,
        signed: SignedLog,
        cut: int,
        more: bytes,
        kind: str,
    ) -> None:
        signed.close()
        path = signed.directory / "audit.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[cut:]) + more)
        assert kind in verified(page, served, "")

    @pytest.mark.parametrize("key", ["", VKEY])
    def test_a_log_that_has_nothing_yet_is_no_fault(
        self, page: Page, tmp_path: Path, key: str
    ) -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "audit.jsonl").touch()
        new = Served(tmp_path / "new")
        assert verified(page, new, key) == "There is no record."
        new.stop()

    def test_a_gap_is_one_finding(self, page: Page, served: Served, signed: SignedLog) -> None:
        signed.close()
        path = signed.directory / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:98] + lines[100:]))
        text = verified(page, served, "")
        assert "The log does not hold: 1 findings." in text
        assert "sequence-gap; record 101; expected 99, found 101" in text

    def test_records_in_another_order_are_what_the_command_says(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        signed.close()
        path = signed.directory / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[30], lines[31] = lines[31], lines[30]
        path.write_bytes(b"".join(lines))
        text = verified(page, served, "")
        found = open_log(signed.directory).verify().findings
        told = [(one.kind, one.seq) for one in found if one.kind.startswith("sequence-")]
        assert "The log does not hold: 2 findings." in text
        assert [f"{kind}; record {seq}; " in text for kind, seq in told] == [True, True]

    def test_a_record_that_was_changed_is_named(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        path = signed.directory / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[99] = lines[99].replace(b'"user_id":"', b'"user_id":"x', 1)
        path.write_bytes(b"".join(lines))
        text = verified(page, served, VKEY)
        assert "event-hash-mismatch; record 100" in text
        assert "checkpoint-root-mismatch" in text

    def test_a_key_that_did_not_sign_is_no_anchor(self, page: Page, served: Served) -> None:
        other = Ed25519Key.from_seed(b"\x08" * 32).to_vkey(ORIGIN)
        assert "not-anchored" in verified(page, served, other)

    def test_a_change_of_key_is_followed(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        signed.ring = KeyRing([KEY, Ed25519Key.from_seed(b"\x09" * 32)])
        signed.add(5)
        text = verified(page, served, VKEY)
        assert "The log holds. Signed by the key that the pinned one was replaced by" in text

    def test_a_change_of_key_that_the_old_key_did_not_sign_is_not_followed(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        signed.ring = KeyRing([KEY, Ed25519Key.from_seed(b"\x09" * 32)])
        signed.add(5)
        signed.close()
        path = signed.directory / "audit.jsonl"
        lines, before = [], ""
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["event_type"] == "audit.key_rotated":
                record["fields"]["new_key"] = Ed25519Key.from_seed(b"\x0a" * 32).to_vkey(ORIGIN)
            changes = {"fields": record["fields"], **({"prev_hash": before} if before else {})}
            lines.append(rewritten(line, **changes))
            before = json.loads(lines[-1])["hash"]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        text = verified(page, served, VKEY)
        assert "a change of key was not followed: the key that it replaces did not sign it" in text

    def test_what_a_key_signs_after_it_was_replaced_is_forged(
        self, page: Page, served: Served, signed: SignedLog
    ) -> None:
        signed.ring = KeyRing([KEY, Ed25519Key.from_seed(b"\x09" * 32)])
        signed.add(5)
        head = signed.read().splitlines()[-1]
        late = forged(head, signed.directory / "checkpoints.jsonl")
        with open(signed.directory / "checkpoints.jsonl", "ab") as file:
            file.write(late)
        assert "signed it after it was replaced" in verified(page, served, VKEY)

    def test_a_key_that_is_none_is_said(self, page: Page, served: Served) -> None:
        assert "this is no verifier key" in verified(page, served, "nonsense")

    def test_the_saved_verifier_works_offline(
        self, browser: Any, served: Served, signed: SignedLog, tmp_path: Path
    ) -> None:
        import urllib.request

        saved = tmp_path / "verifier.html"
        with urllib.request.urlopen(f"{served.address}/verifier.html", timeout=PATIENCE) as answer:
            saved.write_bytes(answer.read())
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.goto(saved.as_uri())
        page.get_by_label("Segments of the log").set_input_files(signed.directory / "audit.jsonl")
        page.get_by_label("checkpoints.jsonl").set_input_files(
            signed.directory / "checkpoints.jsonl"
        )
        page.get_by_label("Verifier key").fill(VKEY)
        page.get_by_role("button", name="Verify").click()
        expect(page.locator("#result")).to_contain_text("Signed by this key")
        context.close()
