"""What an orchestrator is told: alive, ready, and why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import psycopg
import pytest
from support.postgres_records import draft
from support.postgres_server import Database

from audit_emit import Emitter
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import schema
from audit_emit.integrations import _readiness
from audit_emit.integrations.asgi import health_app
from audit_emit.integrations.flask import health_blueprint

Ask = Callable[..., tuple[int, Any]]


def _asgi(path: str, **settings: Any) -> tuple[int, Any]:
    app = health_app(**settings)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def run() -> None:
        await app({"type": "http", "path": path}, receive, send)

    asyncio.run(run())
    return sent[0]["status"], json.loads(sent[1]["body"])


def _flask(path: str, **settings: Any) -> tuple[int, Any]:
    app = flask.Flask(__name__)
    app.register_blueprint(health_blueprint(**settings))
    response = app.test_client().get(path)
    return response.status_code, response.get_json()


@pytest.fixture(params=[_asgi, _flask])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    made = Emitter(service="shop", jsonl=str(tmp_path / "log" / "audit.jsonl"), stdout=False)
    yield made
    made.close()


def test_a_process_that_lives_is_alive_whatever_the_database_does(
    ask: Ask, emitter: Emitter
) -> None:
    away = "postgresql://me:hunter2@127.0.0.1:1/x"
    assert ask("/health", database=away, emitter=emitter) == (
        200, {"status": "alive", "reasons": []},
    )  # fmt: skip


def test_it_is_ready_without_a_database_to_ask(ask: Ask, emitter: Emitter) -> None:
    assert ask("/health/ready", emitter=emitter)[0] == 200


def test_a_database_that_is_away_is_told_without_its_password(ask: Ask, emitter: Emitter) -> None:
    away = "postgresql://me:hunter2@127.0.0.1:1/x"
    status, body = ask("/health/ready", database=away, emitter=emitter)
    assert status == 503
    assert body == {"status": "not ready", "reasons": ["database: database-away"]}


@pytest.mark.parametrize(("pin", "status"), [(0, 200), (1, 503), (-1, 503), (None, 200)])
def test_the_pin_of_a_deployment_is_asked(
    ask: Ask, emitter: Emitter, audited: Database, pin: int | None, status: int
) -> None:
    expect = None if pin is None else schema.migrations()[-1].number + pin
    reader = audited.as_user("the_reader")
    found, body = ask("/health/ready", database=reader, expect=expect, emitter=emitter)
    assert found == status
    assert bool(body["reasons"]) == (status == 503)


def test_an_older_schema_is_told(ask: Ask, emitter: Emitter, database: Database) -> None:
    schema.migrate(Address(database.url), until=2)
    status, body = ask("/health/ready", database=database.url, emitter=emitter)
    assert status == 503
    assert "migration 2" in body["reasons"][0]


def test_an_outbox_that_nobody_seals_is_told(ask: Ask, emitter: Emitter, audited: Database) -> None:
    reader = audited.as_user("the_reader")
    assert ask("/health/ready", database=reader, max_lag=30, emitter=emitter)[0] == 200
    with psycopg.connect(audited.url) as connection:
        connection.execute(
            "INSERT INTO audit_emit.outbox (service, unlinked, added_at) "
            "VALUES ('shop', %s, now() - interval '1 minute')",
            [draft()],
        )
    status, body = ask("/health/ready", database=reader, max_lag=30, emitter=emitter)
    assert status == 503
    assert "outbox" in body["reasons"][0]


def test_an_audit_sink_that_fails_is_told(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    emitter = Emitter(service="shop", jsonl=str(tmp_path / "file" / "audit.jsonl"), stdout=False)
    emitter.emit(None, "a.b", {})
    status, body = ask("/health/ready", emitter=emitter)
    emitter.close(0)
    assert status == 503
    assert "audit sink jsonl" in body["reasons"][0]


def test_an_answer_is_kept_for_a_moment(emitter: Emitter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def count(self: _readiness.Readiness) -> list[str]:
        asked.append(1)
        return []

    monkeypatch.setattr(_readiness.Readiness, "_of_database", count)
    monkeypatch.setattr(_readiness, "_FRESH_SECONDS", 1e9)
    readiness = _readiness.Readiness(emitter=emitter)
    for _ in range(5):
        assert readiness.reasons() == []
    assert len(asked) == 1
