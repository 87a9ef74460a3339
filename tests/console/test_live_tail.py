"""The live tail begins where the page ends: no record is missed between them, none comes twice."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.chain_builder import MadeChain
from support.console_client import EVERYBODY, PASSWORD, client, console, log_in, users

from audit_emit._format.record import head_of
from audit_emit.console.paging import place_of, place_text

MADE = MadeChain().add(22)
LAST = MADE.lines[21]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 19 records."""
    MADE.write(tmp_path / "audit.jsonl", 1, 19)
    return tmp_path


def append(log: Path, *lines: bytes) -> None:
    with open(log / "audit.jsonl", "ab") as file:
        file.writelines(line + b"\n" for line in lines)


def address(page: str) -> str:
    """Where a page's live tail comes from."""
    found = re.search(r'data-stream="([^"]+)"', page)
    assert found is not None
    return html.unescape(found[1])


def heard(log: Path, where: str, last_event_id: str = "") -> list[int]:
    """The records of a stream, up to one that is written when it has begun."""
    headers = [(b"host", b"localhost"), (b"last-event-id", last_event_id.encode())]

    def is_last(body: bytes) -> bool:
        if body.startswith(b"retry:"):
            append(log, LAST)
        return b'"place": "00d1c0ffee00beef:22"' in body

    said = told(console(log), where, headers, is_last)
    rows = [json.loads(one[6:]) for one in said if one.startswith(b"data: ")]
    return [int(row["place"].partition(":")[2]) for row in rows]


def told(
    application: Any,
    where: str,
    headers: list[tuple[bytes, bytes]],
    is_last: Callable[[bytes], bool],
) -> list[bytes]:
    """The pieces of a stream, to whom goes away after one."""
    said: list[bytes] = []
    path, _, query = where.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": path, "root_path": "", "headers": headers,
        "query_string": query.encode(), "client": ("127.0.0.1", 50000), "scheme": "http",
    }  # fmt: skip

    async def run() -> None:
        ended = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            body = message.get("body", b"")
            said.append(body)
            if is_last(body):
                ended.set()

        await application(scope, receive, send)

    asyncio.run(run())
    return said


def test_live_tails_that_begin_at_once_are_counted_together(log: Path) -> None:
    application = console(log)
    inner = application._inner.state.console
    head = inner.records.head

    def others_begin() -> Any:
        inner.streams["local"] = 20
        return head()

    inner.records.head = others_begin
    said = told(application, "/events/stream", [(b"host", b"localhost")], bool)
    assert b"".join(said) == b""
    assert inner.streams["local"] == 20


@pytest.mark.parametrize("query", ["", "?where=n!=x"])
def test_what_is_written_after_the_page_and_before_the_tail_is_in_the_tail(
    log: Path, query: str
) -> None:
    page = client(console(log)).get(f"/{query}").text
    append(log, *MADE.lines[19:21])
    assert heard(log, address(page)) == [20, 21, 22]


def test_the_last_id_that_a_browser_saw_goes_before_the_address(log: Path) -> None:
    where = address(client(console(log)).get("/").text)
    append(log, *MADE.lines[19:21])
    seen = head_of(MADE.lines[19])
    assert seen is not None
    assert heard(log, where, place_text(seen)) == [21, 22]


@pytest.mark.parametrize(
    "last",
    [
        "x:" + "9" * 5000 + ":a:b",
        "00d1c0ffee00beef:0:x:y",
        ":::",
        "00d1c0ffee00beef:1:" + "a" * 64 + ":2026-99",
    ],
)
@pytest.mark.parametrize("of_browser", [True, False])
def test_a_place_that_is_none_is_a_400(log: Path, last: str, *, of_browser: bool) -> None:
    asked, header = client(console(log)), {"last-event-id": last}
    answer = (
        asked.get("/events/stream", headers=header)
        if of_browser
        else asked.get("/events/stream", params={"after": last})
    )
    assert answer.status_code == 400


def test_who_sees_a_part_of_the_log_is_told_no_place_of_another_part(tmp_path: Path) -> None:
    log = log_in(tmp_path / "log")
    asked = client(console(log, access=users(**EVERYBODY)))
    pages = (asked.get("/", auth=(name, PASSWORD)).text for name in ("wim", "vera"))
    part, whole = (parse_qs(urlsplit(address(page)).query)["after"][0] for page in pages)
    lines = (log / "audit.jsonl").read_bytes().splitlines()
    newest = [line for line in lines if b'"workspace_id":"acme"' in line][-1]
    assert place_of(part) == head_of(newest)
    assert place_of(whole) == head_of(lines[-1]) != head_of(newest)
