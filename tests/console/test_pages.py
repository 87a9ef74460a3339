"""The pages, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from support.console_client import (
    EVERYBODY,
    PASSWORD,
    Recorder,
    client,
    console,
    hostile_log,
    log_in,
    token_of,
    users,
)
from support.export_records import LINES, changed
from support.waiting import until

from audit_emit.console import over_time

PAGES = [
    *(
        "/",
        "/alerts",
        "/report",
        "/integrity",
        "/verify",
        "/checkpoints",
        "/archive",
        "/settings",
        "/help",
    ),
    *("/event/00d1c0ffee00beef:5", "/actor/u-17", "/target/STRIPE_LIVE_KEY", "/top", "/over-time"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


class Links(HTMLParser):
    """Every address that a page names, and every script or style in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[one]) for one in ("href", "src", "action") if given.get(one)]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if (tag == "script" and "src" not in given) or tag == "style":
            self.inline.append(tag)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_there_and_is_recorded(log: Path, path: str) -> None:
    recorder = Recorder()
    answer = client(console(log, emitter=recorder)).get(path)
    assert answer.status_code == 200
    assert recorder.types() == ([] if path == "/help" else ["console.viewed"])


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_nothing_inline_and_names_no_other_host(log: Path, path: str) -> None:
    found = Links(client(console(log)).get(path).text)
    assert found.inline == []
    assert [one for one in found.links if "//" in one] == []


@pytest.mark.parametrize("path", PAGES)
def test_below_a_prefix_every_link_stays_below_it(log: Path, path: str) -> None:
    whole = Starlette(routes=[Mount("/a/b", console(log))])
    found = Links(client(whole).get(f"/a/b{path}").text)
    outside = [one for one in found.links if not one.startswith(("/a/b/", "#", "?"))]
    assert outside == []
    assert len(found.links) > 5


def test_below_a_prefix_its_links_lead_somewhere(log: Path) -> None:
    asked = client(Starlette(routes=[Mount("/a/b", console(log))]))
    for link in set(Links(asked.get("/a/b/").text).links):
        if not link.startswith("#"):
            assert asked.get(link).status_code == 200, link


def test_records_are_shown_newest_first(log: Path) -> None:
    text = client(console(log)).get("/").text
    assert text.index("audit.erased") < text.index("secret.set") < text.index("auth.login")


def test_a_filter_chooses(log: Path) -> None:
    text = client(console(log)).get("/?type=secret.*&actor=u-17").text
    assert "1 records shown" in text
    assert 'value="u-17"' in text


def test_a_filter_that_cannot_be_understood_is_said_and_stays_typed(log: Path) -> None:
    answer = client(console(log)).get("/?since=nonsense")
    assert answer.status_code == 400
    assert "is no time" in answer.text
    assert 'value="nonsense"' in answer.text


def test_older_records_are_on_the_next_page(tmp_path: Path) -> None:
    from support.chain_builder import MadeChain

    log = tmp_path / "log"
    log.mkdir()
    made = MadeChain().add(120).lines
    (log / "audit.jsonl").write_bytes(b"".join(one + b"\n" for one in made))
    asked, link, seen = client(console(log)), "/", []
    while link:
        text = asked.get(link).text
        seen += [one for one in Links(text).links if one.startswith("/event/")]
        following = [one for one in Links(text).links if "before=" in one]
        link = following[-1] if following else ""
    places = [one.rpartition("%3A")[2] if "%3A" in one else one.rpartition(":")[2] for one in seen]
    assert places == [str(seq) for seq in range(120, 0, -1)]


def test_markup_in_a_record_is_text_on_every_page(tmp_path: Path) -> None:
    log = hostile_log(tmp_path / "log")
    asked = client(console(log))
    text = asked.get("/").text
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert "49" not in text.partition("<tbody>")[2].partition("{{7*7}}")[0][-5:]
    for link in {one for one in Links(text).links if one.startswith("/event/")}:
        page = asked.get(link)
        assert page.status_code in {200, 404}
        assert "<img src=x" not in page.text
        assert Links(page.text).inline == []


def test_markup_in_a_filter_is_text(log: Path) -> None:
    answer = client(console(log)).get("/", params={"actor": '"><script>alert(1)</script>'})
    assert "<script>alert" not in answer.text


def test_the_exact_bytes_of_a_record_can_be_had(log: Path) -> None:
    assert client(console(log)).get("/event/00d1c0ffee00beef:5?raw=1").content == LINES[4] + b"\n"


def test_a_record_is_found_by_its_id(log: Path) -> None:
    text = client(console(log)).get("/event/019e41d2-f603-7000-8000-000000000005").text
    assert "Number 5 of chain" in text


def test_a_record_that_was_changed_says_so(tmp_path: Path) -> None:
    log = log_in(tmp_path / "log")
    path = log / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"purpose":"deploy"', b'"purpose":"delete"'))
    text = client(console(log)).get("/event/00d1c0ffee00beef:7").text
    assert "it was changed" in text


@pytest.mark.parametrize("name", ["nope", "00d1c0ffee00beef:999", "*", "..%2F..%2Fetc", "a" * 300])
def test_a_record_that_is_not_there_is_not_found(log: Path, name: str) -> None:
    assert client(console(log)).get(f"/event/{name}").status_code == 404


def test_neighbours_are_linked(log: Path) -> None:
    links = Links(client(console(log)).get("/event/00d1c0ffee00beef:5").text).links
    assert "/event/00d1c0ffee00beef%3A4" in links
    assert "/event/00d1c0ffee00beef%3A6" in links


@pytest.mark.parametrize(
    ("path", "filtered"),
    [("/actor/u-17", "/?actor=u-17"), ("/target/STRIPE_LIVE_KEY", "/?where=key%3DSTRIPE_LIVE_KEY")],
)
def test_everything_about_one_is_on_a_page(log: Path, path: str, filtered: str) -> None:
    asked = client(console(log))
    page = Links(asked.get(path).text)
    assert filtered in page.links
    records = [one for one in page.links if one.startswith("/event/")]
    everything = Links(asked.get(filtered).text).links
    assert records
    assert records == [one for one in everything if one.startswith("/event/")]


def test_the_page_of_a_record_leads_to_its_actor_and_its_target(log: Path) -> None:
    asked = client(console(log))
    links = Links(asked.get("/event/00d1c0ffee00beef:5").text).links
    for kind in ("/actor/", "/target/"):
        (link,) = [one for one in links if one.startswith(kind)]
        assert asked.get(link).status_code == 200


@pytest.mark.parametrize("path", ["/actor/u*", "/target/a%20b", "/actor/%3Cb%3E"])
def test_no_pattern_has_a_page(log: Path, path: str) -> None:
    assert client(console(log)).get(path).status_code == 404


def test_of_what_is_not_there_the_page_says_so(log: Path) -> None:
    assert "No record by this actor" in client(console(log)).get("/actor/nobody").text


def test_each_while_leads_to_its_records(log: Path) -> None:
    asked = client(console(log))
    text = asked.get("/over-time?type=secret.*").text
    links = [one for one in Links(text).links if "since=" in one]
    rows = re.findall(r'<td class="number">(\d+)</td>', text)
    assert len(links) == 2 * len(rows) > 2  # a bar and a row each
    found = [asked.get(link).text.count('<td class="time">') for link in links[: len(rows)]]
    assert sorted(found) == sorted(map(int, rows))
    assert sum(found) == 5


def test_of_many_records_the_bars_say_that_they_are_the_newest(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, path = client(console(log)), "/events/histogram.svg?links=1"
    assert "data-newest" not in asked.get(path).text
    monkeypatch.setattr(over_time, "COUNTED", 3)
    assert 'data-newest="3"' in asked.get(path).text


def test_what_nobody_can_ask_for_is_told_in_the_words_of_the_catalogue(log: Path) -> None:
    asked = client(console(log))
    for answer, status, said in (
        (asked.get("/nothing"), 404, "there is no such page"),
        (asked.get("/api/audit/nothing"), 404, "there is no such page"),
        (asked.get("/?where=x"), 400, "this cannot be looked for: "),
        (asked.get("/top?since=never"), 400, "this cannot be looked for: "),
    ):
        assert (answer.status_code, said in answer.text) == (status, True), answer.url


def test_top_lists_lead_to_their_records(log: Path) -> None:
    asked = client(console(log))
    links = [one for one in Links(asked.get("/top?type=secret.*").text).links if "?" in one]
    assert len(links) > 3
    assert {asked.get(link).status_code for link in links} == {200}


class TestWorkspaces:
    """Somebody who sees one workspace, trying the others."""

    @pytest.fixture
    def ask(self, tmp_path: Path) -> Callable[..., Any]:
        mine = changed(
            5,
            workspace_id="other",
            id="mine",
            correlation_id="req-mine",
            seq=None,
            chain=None,
            prev_hash=None,
            hash=None,
            fields={"key": "MINE"},
        )
        log = log_in(tmp_path / "log", mine)
        asked = client(console(log, access=users(**EVERYBODY)))
        return lambda path, name="eve": asked.get(path, auth=(name, PASSWORD))

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/?workspace=acme",
            "/?where=workspace_id%3Dacme",
            "/?correlation=req-0004",
            "/?where=workspace_id!%3Dother",
            "/?workspace=*",
            "/?type=secret.*",
            "/api/audit/events?workspace=acme",
            "/export?format=jsonl&workspace=acme",
            "/export?format=csv",
            "/events/histogram.svg?links=1&workspace=acme",
            "/over-time?workspace=acme",
            "/top?workspace=acme",
            "/actor/u-17",
            "/target/STRIPE_LIVE_KEY?workspace=acme",
        ],
    )
    def test_no_page_shows_another(self, ask: Callable[..., Any], path: str) -> None:
        answer = ask(path)
        assert answer.status_code == 200
        shown = answer.text
        if "<html" in shown:
            shown = shown.partition("<tbody>")[2].partition("</tbody>")[0]
        assert not [text for text in ("acme", "req-0", "STRIPE", "019e41d2") if text in shown]
        # Of a time, one bar is his own record's, and there is no other one.
        assert "<rect" not in answer.text or "histogram.svg?links" not in path

    @pytest.mark.parametrize(
        "path", ["/event/00d1c0ffee00beef:5", "/event/019e41d2-f603-7000-8000-000000000005"]
    )
    def test_no_record_of_another_is_found(self, ask: Callable[..., Any], path: str) -> None:
        assert ask(path).status_code == 404
        assert ask(path, "wim").status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            *("/integrity", "/verify", "/archive", "/checkpoints", "/settings"),
            *("/api/audit/verify", "/api/audit/archives"),
            *("/api/audit/status", "/api/audit/checkpoint/latest"),
            "/event/00d1c0ffee00beef/5/proof",
        ],
    )
    def test_what_is_about_the_whole_log_is_refused(
        self, ask: Callable[..., Any], path: str
    ) -> None:
        assert ask(path).status_code == 403


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("vera", "/export?format=jsonl", 403),
        ("arno", "/export?format=jsonl", 200),
        ("vera", "/event/00d1c0ffee00beef/5/proof", 403),
        ("vera", "/api/audit/verify", 403),
        ("arno", "/api/audit/verify", 200),
        ("vera", "/integrity", 200),
    ],
)
def test_a_role_is_needed(log: Path, name: str, path: str, status: int) -> None:
    recorder = Recorder()
    asked = client(console(log, access=users(**EVERYBODY), emitter=recorder))
    assert asked.get(path, auth=(name, PASSWORD)).status_code == status
    assert ("console.refused" in recorder.types()) is (status == 403)


@pytest.mark.parametrize(("name", "status"), [("vera", 403), ("arno", 403), ("olga", 303)])
def test_only_an_operator_forces_a_checkpoint(log: Path, name: str, status: int) -> None:
    asked = client(console(log, access=users(**EVERYBODY)))
    page = asked.get("/integrity", auth=(name, PASSWORD)).text
    answer = asked.post(
        "/integrity/checkpoint",
        data={"token": token_of(page)},
        headers={"origin": "http://localhost"},
        auth=(name, PASSWORD),
    )
    assert answer.status_code == status


def test_what_a_button_has_answered_is_told_to_who_pressed_it_and_no_link_can_say_it(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_SIGNING_KEY", raising=False)
    asked = client(console(log, access=users(**EVERYBODY)))
    for page in ("integrity", "archive", "alerts"):
        text = asked.get(f"/{page}?said=The+log+holds.+Signed", auth=("olga", PASSWORD)).text
        assert "The log holds" not in text
    token = token_of(asked.get("/integrity", auth=("olga", PASSWORD)).text)
    sent = {"origin": "http://localhost"}
    answer = asked.post(
        "/integrity/checkpoint", data={"token": token}, headers=sent, auth=("olga", PASSWORD)
    )
    where = answer.headers["location"]
    assert 'role="status"' in asked.get(where, auth=("olga", PASSWORD)).text
    assert 'role="status"' not in asked.get(where, auth=("arno", PASSWORD)).text


def test_a_log_that_is_gone_is_said(log: Path) -> None:
    asked = client(console(log))
    (log / "audit.jsonl").unlink()
    answer = asked.get("/")
    assert answer.status_code == 503
    assert "cannot be read" in answer.text


def test_the_records_of_his_own_workspace_are_shown(tmp_path: Path) -> None:
    log = log_in(tmp_path / "log")
    answer = client(console(log, access=users(**EVERYBODY))).get("/", auth=("wim", PASSWORD))
    assert "STRIPE_LIVE_KEY" in answer.text
    assert "audit.started" not in answer.text


def test_the_verdict_is_shown_with_its_findings(log: Path) -> None:
    path = log / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"purpose":"deploy"', b'"purpose":"delete"'))
    asked = client(console(log))
    token = token_of(asked.get("/integrity").text)
    asked.post("/integrity/verify", data={"token": token}, headers={"origin": "http://localhost"})
    until(lambda: "Verifying" not in asked.get("/integrity").text, "the end of the verification")
    text = asked.get("/integrity").text
    assert "The log was tampered with." in text
    assert "event-hash-mismatch" in text


def test_checkpoints_are_shown_as_their_lines_say(log: Path) -> None:
    (log / "checkpoints.jsonl").write_bytes(b'{"at":"<b>","head_seq":15}\nnonsense\n{"x":[]}\n')
    text = client(console(log)).get("/checkpoints").text
    assert "&lt;b&gt;" in text
    assert text.count("<tr>") == 3


def test_without_an_archive_the_page_says_why(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_EMIT_ARCHIVE_URL", raising=False)
    answer = client(console(log)).get("/archive")
    assert answer.status_code == 200
    assert "AUDIT_EMIT_ARCHIVE_URL" in answer.text


def test_what_is_archived_is_shown_batch_by_batch(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "archive": "s3://b/p", "highest_archived_seq": 12, "oldest_hot_seq": 5, "newest_seq": 19,
        "batches": [{"first_seq": 1, "last_seq": 12, "at": "2026-05-19", "declared": True}],
    }  # fmt: skip
    monkeypatch.setattr("audit_emit.console.pages.archive_status", lambda _: found)
    text = client(console(log)).get("/archive").text
    assert "up to record 12" in text
    assert "1 to 12" in text


@pytest.mark.parametrize(("name", "status"), [("vera", 403), ("arno", 403), ("olga", 303)])
def test_only_an_operator_runs_the_archive(
    log: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    monkeypatch.setattr("audit_emit.console.actions.archive_now", lambda *_: (True, "done"))
    recorder = Recorder()
    asked = client(console(log, access=users(**EVERYBODY), emitter=recorder))
    page = asked.get("/archive", auth=(name, PASSWORD)).text
    answer = asked.post(
        "/archive/run",
        data={"token": token_of(page)},
        headers={"origin": "http://localhost"},
        auth=(name, PASSWORD),
    )
    assert answer.status_code == status
    assert ("console.archive_run" in recorder.types()) is (status == 303)


@pytest.mark.parametrize("name", [b'"\\ud800"', b'["a"]', b'"../settings"', b'""'])
def test_a_record_whose_id_is_none_is_on_the_page(tmp_path: Path, name: bytes) -> None:
    line = (
        b'{"ts":"2026-05-19T20:00:00.000000000Z","event_type":"odd.id","fields":{},"id":%s}' % name
    )
    answer = client(console(log_in(tmp_path / "log", line))).get("/")
    assert answer.status_code == 200
    assert "odd.id" in answer.text
    assert "settings%22" not in answer.text


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + LINES[4],
        b'{"ts":"not a time","event_type":"odd.ts","fields":{},"id":"0190a"}',
    ],
    ids=["mark", "time"],
)
def test_every_link_to_a_record_leads_to_it(tmp_path: Path, line: bytes) -> None:
    asked = client(console(log_in(tmp_path / "log", line)))
    links = set(re.findall(r'href="(/event/[^"]+)"', asked.get("/").text))
    assert len(links) >= len(LINES)
    assert {asked.get(link).status_code for link in links} == {200}


def test_a_prefix_that_looks_like_a_page_is_none(tmp_path: Path) -> None:
    asked = client(console(log_in(tmp_path / "log")), root="/api/actor")
    assert asked.get("/api/actor/nope").headers["content-type"].startswith("text/html")
    assert "/api/actor/?where=key%3DK" in asked.get("/api/actor/target/K").text
