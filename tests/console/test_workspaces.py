"""A user of one workspace asks every address of the console for what is of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.console_client import EVERYBODY, PASSWORD, client, console, log_in, users
from support.export_records import LINES, changed

from audit_emit.console import api, downloads, over_time, pages, reporting

FOREIGN = ("acme", "req-0", "STRIPE", "019e41d2", "u-17", "secret.set", "203.0.113")
"""What stands in records of others, and in none of his."""

PLACE, ID = "00d1c0ffee00beef:5", "019e41d2-f603-7000-8000-000000000005"
NAMES = {
    "{name:str}": (PLACE, ID, f"{PLACE}:{'0' * 64}"),
    "{name:path}": ("u-17", "STRIPE_LIVE_KEY", "*"),
    "{chain:str}/{seq:str}": ("00d1c0ffee00beef/5",),
}
QUESTIONS = (
    "", "workspace=*&before=20", "where=workspace_id!%3Dother", "where=seq%3D5",
    "correlation=req-0004",
    "changed=STRIPE_LIVE_KEY&links=1", "format=csv&workspace=acme", "raw=1&actor=u-17",
    "since=2026-05-19T20:00:00&until=2026-05-19T20:00:09", "said=x&record=" + PLACE,
)  # fmt: skip


NOT_OF_RECORDS = {"/help", "/api/openapi.json", "/verifier.html", "/api/audit/exports"}
"""What has examples in it, the same for everybody, or says again what he asked for before."""


def addresses() -> Iterator[str]:
    """Every address that is read, but for the live tail, which never ends (``test_live_tail``)."""
    for module in (pages, api, downloads, reporting, over_time):
        routes = module.routes()
        routes += module.routes_of_a_log() if module in {pages, api} else []
        for route in routes:
            if isinstance(route, Mount) or "GET" not in (route.methods or ()):
                continue
            if route.path == "/events/stream":
                continue
            filled = [route.path]
            for part, values in NAMES.items():
                filled = [one.replace(part, value) for one in filled for value in values]
            yield from dict.fromkeys(filled)


@pytest.fixture
def asked(tmp_path: Path) -> TestClient:
    """As somebody who may do all there is, of one workspace, which has one record."""
    mine = changed(
        5, workspace_id="other", id="mine", user_id="u-1", event_type="item.sold", seq=None,
        correlation_id="req-mine", chain=None, prev_hash=None, hash=None, fields={"key": "MINE"},
    )  # fmt: skip
    access = users(eve=EVERYBODY["eve"])
    found = client(console(log_in(tmp_path / "log", mine), access=access))
    found.auth = ("eve", PASSWORD)
    return found


@pytest.mark.thorough
def test_no_address_shows_a_record_of_another_workspace(asked: TestClient) -> None:
    there = list(addresses())
    assert len(there) > 25
    shown = 0
    for path in there:
        for question in QUESTIONS:
            address = f"{path}?{question}"
            answer = asked.get(address)
            assert answer.status_code in {200, 400, 403, 404}, address
            # A page says again what was typed; and the forms have examples.
            typed = unquote(address) + "placeholder"
            text = answer.text
            for example in ("acme", "STRIPE_LIVE_KEY", "u-17", "secret.*"):
                text = text.replace(f'placeholder="{example}"', "")
            told = [one for one in FOREIGN if one in text and one not in typed]
            assert answer.status_code != 200 or told == [] or path in NOT_OF_RECORDS, (
                f"{address}: {told}"
            )
            shown += "MINE" in text
    assert shown > 10  # else nothing was looked at


def test_of_others_there_is_not_even_a_number(asked: TestClient) -> None:
    picture = asked.get("/events/histogram.svg").text
    assert picture.count("<rect") == 1
    assert "<title>1 records" in picture
    assert "Counted: 1 records" in asked.get("/top").text
    assert "Counted: 1 records" in asked.get("/over-time").text
    assert asked.get("/api/audit/events").json()["left_out"] == 0
    assert asked.get("/").text.count('<td class="time">') == 1


def test_he_has_no_export_and_no_alert_of_others(asked: TestClient) -> None:
    assert asked.get("/export?format=jsonl").content.count(b"\n") == 1
    (told,) = asked.get("/api/audit/exports").json()["exports"]
    assert (told["records"], told["foreign"], told["missing"]) == (1, None, None)
    for path in ("/alerts", "/api/audit/alerts", "/report", "/log", "/api/audit/status"):
        assert asked.get(path).status_code == 403, path
    for path in ("/report", "/alerts/acknowledge", "/integrity/checkpoint", "/archive/run"):
        assert asked.post(path, data={"alert": "x", "days": "1"}).status_code == 403, path


def test_no_name_of_a_record_leads_to_another_ones(asked: TestClient) -> None:
    for line in LINES:
        record = json.loads(line)
        for name in (record["id"], f"{record['chain']}:{record['seq']}"):
            assert asked.get(f"/event/{quote(name)}").status_code == 404, name
    assert asked.get("/event/mine").status_code == 200
    assert 'rel="prev"' not in asked.get("/event/mine").text
