"""The example with SQLAlchemy and the outbox: the order and its record, or neither."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import outbox_app
import pytest
from support.postgres_records import assert_unforked, lines_of
from support.postgres_server import Database
from support.waiting import PATIENCE, until

from audit_emit import flush


@pytest.fixture
def shop(audited: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    audited.run("GRANT CREATE ON SCHEMA public TO the_writer")
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    monkeypatch.setenv("AUDIT_EMIT_STDOUT", "0")
    return audited


def ask(shop: Database, method: str, path: str, **params: Any) -> httpx.Response:
    """One request to the service, which is started for it, and ended."""

    async def run() -> httpx.Response:
        app = outbox_app.made(shop.as_user("the_writer"))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        ):
            answer = await client.request(method, path, params=params)
            if answer.status_code == 201:
                waits = "SELECT count(*) FROM audit_emit.outbox"
                await asyncio.to_thread(until, lambda: shop.run(waits) == [(0,)])
            return answer

    answer = asyncio.run(run())
    assert flush(PATIENCE)
    return answer


def _of_type(shop: Database, event_type: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in lines_of(shop)]
    return [one for one in records if one["event_type"] == event_type]


def test_an_order_and_its_record_are_both_there(shop: Database) -> None:
    answer = ask(shop, "POST", "/orders", article="pen", pieces=3)
    assert answer.status_code == 201
    (record,) = _of_type(shop, "order.placed")
    assert record["id"] == answer.json()["record"]
    assert record["fields"] == {"article": "pen", "pieces": 3}
    assert shop.run("SELECT article, pieces FROM orders") == [("pen", 3)]
    assert_unforked(lines_of(shop))


def test_an_order_whose_record_cannot_be_written_is_not_placed(shop: Database) -> None:
    shop.run("REVOKE INSERT ON audit_emit.outbox FROM audit_emit_writer")
    with pytest.raises(Exception, match="outbox"):
        ask(shop, "POST", "/orders", article="pen", pieces=3)
    assert shop.run("SELECT count(*) FROM orders") == [(0,)]


def test_a_refusal_is_recorded_though_nothing_changed(shop: Database) -> None:
    assert ask(shop, "POST", "/orders", article="pen", pieces=0).status_code == 422
    assert len(_of_type(shop, "order.refused")) == 1
    assert shop.run("SELECT count(*) FROM orders") == [(0,)]


def test_it_says_that_it_is_ready(shop: Database) -> None:
    assert ask(shop, "GET", "/audit/health").status_code == 200
    assert ask(shop, "GET", "/audit/health/ready").json() == {"status": "ready", "reasons": []}
