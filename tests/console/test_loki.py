"""The records in a Loki on the same pages as those of a log, and nothing that proves one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.chain_builder import SECOND, MadeChain
from support.console_client import EVERYBODY, PASSWORD, client, users
from support.fake_loki import LokiServer

from audit_emit._format.record import head_of
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.labels import placement_of
from audit_emit.console import app
from audit_emit.console.access import LOCAL
from audit_emit.console.filters import Filters
from audit_emit.console.loki import LokiSource
from audit_emit.errors import ConfigError

COUNT = 120


@pytest.fixture
def chain(fake_loki: LokiServer) -> MadeChain:
    """Records of the last minutes, five at each moment, of two workspaces."""
    made = MadeChain(begin=time.time_ns() - 900 * SECOND)
    for number in range(COUNT):
        workspace = "acme" if number % 3 else "globex"
        made.add(1, step=0 if number % 5 else SECOND, workspace_id=workspace)
    pushed(fake_loki, made.lines)
    return made


def pushed(loki: LokiServer, lines: Iterable[bytes]) -> None:
    """As the pipeline ships them."""
    found = [(line, placement_of(line)) for line in lines]
    with LokiClient(loki.url) as sender:
        sender.push(Entry(one.ts, line.decode(), one.labels) for line, one in found if one)


@pytest.fixture
def asked(fake_loki: LokiServer, chain: MadeChain) -> TestClient:
    del chain
    return client(app(loki=fake_loki.url))


def seqs(lines: Iterable[bytes]) -> list[int]:
    return [head.seq for head in map(head_of, lines) if head is not None]


def test_its_pages_have_every_record_once(fake_loki: LokiServer, chain: MadeChain) -> None:
    source, filters, seen = LokiSource(fake_loki.url), Filters({}), []
    while True:
        page = source.page(filters, LOCAL, 7)  # fewer and more than there are at one moment
        seen += page.lines
        if page.next is None:
            break
        filters = Filters({}, page.next)
    assert seqs(seen) == list(range(COUNT, 0, -1))
    assert seen[::-1] == chain.lines


@pytest.mark.parametrize("before", [f"{2**62}.999999999", "9999999999999999999"])
def test_a_page_that_no_link_leads_to_makes_nobody_read_all_of_loki(
    asked: TestClient, fake_loki: LokiServer, before: str
) -> None:
    so_far = len(fake_loki.asked)
    assert asked.get("/", params={"before": before}).status_code == 400
    assert len(fake_loki.asked) == so_far


def test_the_pages_about_records_are_there(asked: TestClient) -> None:
    text = asked.get("/").text
    assert "50 records shown; there are older ones" in text
    assert "Loki keeps" not in text
    assert "nothing here is proved" in text
    older = re.search(r'rel="next" href="([^"]+)"', text)
    assert older is not None
    assert asked.get(older[1].replace("&amp;", "&")).status_code == 200
    link = re.search(r'href="(/event/[^"]+)"', text)
    assert link is not None
    event = asked.get(link[1]).text
    assert "Its hash is that of its bytes" in event
    assert 'rel="prev"' in event
    assert "/proof" not in event
    for path in ("/top", "/settings", "/help", "/events/histogram.svg", "/actor/u-17"):
        assert asked.get(path).status_code == 200, path
    assert len(asked.get("/api/audit/events?limit=1000").json()["records"]) == COUNT


def test_what_is_about_a_log_is_not_there(asked: TestClient) -> None:
    text = asked.get("/").text
    for path in ("/integrity", "/checkpoints", "/archive", "/verify", "/alerts", "/report"):
        assert f'href="{path}"' not in text
        assert asked.get(path).status_code == 404
    for path in ("/log", "/export", "/api/audit/status", "/api/audit/verify"):
        assert asked.get(path).status_code == 404, path
    assert "Export" not in text


def test_who_sees_one_workspace_sees_no_other(fake_loki: LokiServer, chain: MadeChain) -> None:
    wim = client(app(loki=fake_loki.url, access=users(**EVERYBODY)))
    wim.auth = ("wim", PASSWORD)
    found = wim.get("/api/audit/events?limit=1000").json()["records"]
    assert {one["workspace_id"] for one in found} == {"acme"}
    other = next(line for line in chain.lines if b"globex" in line)
    head = head_of(other)
    assert head is not None
    assert wim.get(f"/event/{head.chain}:{head.seq}").status_code == 404


def test_the_tail_gets_what_comes(fake_loki: LokiServer, chain: MadeChain) -> None:
    source = LokiSource(fake_loki.url)
    head = source.head()
    assert head is not None
    assert source.lines_after(head) == []
    pushed(fake_loki, chain.add(2, step=SECOND).lines[-2:])
    assert seqs(source.lines_after(head)) == [COUNT + 1, COUNT + 2]


def test_a_loki_that_gives_no_answer_is_said(fake_loki: LokiServer) -> None:
    asked = client(app(loki=fake_loki.url))
    fake_loki.authorization = "Bearer x"
    answer = asked.get("/")
    assert answer.status_code == 503
    assert "401" in answer.text


@pytest.mark.parametrize("given", [{}, {"log": "x", "loki": "http://loki:3100"}])
def test_it_is_a_log_or_a_loki(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        app(**given)
