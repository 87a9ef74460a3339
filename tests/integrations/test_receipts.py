"""``Audit-Receipt``: what an answer says of the records of its request, under every middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from support.audit_log import AuditLog
from support.waiting import PATIENCE
from werkzeug.datastructures import Headers

from audit_emit import Emitter, bind
from audit_emit.integrations import asgi, wsgi
from audit_emit.integrations.flask import AuditEmit
from audit_emit.testing import MemoryStore

Work = Callable[[Emitter], None]
Extra = Mapping[str, str]


def of_wsgi(
    emitter: Emitter, work: Work, *, extra: Extra = MappingProxyType({}), **options: Any
) -> Headers:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        work(emitter)
        start_response("200 OK", [("Content-Type", "text/plain"), *extra.items()])
        return [b"x"]

    seen: list[tuple[str, str]] = []

    def start(_status: str, headers: list[tuple[str, str]]) -> Any:
        seen.extend(headers)

    served = wsgi.AuditMiddleware(app, emitter=emitter, **options)
    body = served({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start)
    assert b"".join(body) == b"x"
    body.close()  # type: ignore[attr-defined]
    return Headers(seen)


def of_flask(
    emitter: Emitter, work: Work, *, extra: Extra = MappingProxyType({}), **options: Any
) -> Headers:
    app = Flask(__name__)
    AuditEmit(app, emitter=emitter, **options)

    @app.get("/")
    def view() -> tuple[str, Extra]:
        work(emitter)
        return "x", extra

    return Headers(list(app.test_client().get("/").headers.items()))


def of_asgi(
    emitter: Emitter, work: Work, *, extra: Extra = MappingProxyType({}), **options: Any
) -> Headers:
    async def view(_: Any) -> PlainTextResponse:
        await run_in_threadpool(work, emitter)
        return PlainTextResponse("x", headers=extra)

    app = asgi.AuditMiddleware(Starlette(routes=[Route("/", view)]), emitter=emitter, **options)
    return Headers(TestClient(app).get("/").headers.multi_items())


SERVERS = [of_wsgi, of_flask, of_asgi]


def place(record: dict[str, Any]) -> str:
    return f"{record['chain']}:{record['seq']}:{record['hash']}"


def twice(emitter: Emitter) -> None:
    emitter.emit(None, "shop.sold", {"n": 1})
    with bind(user_id="u-17"):
        emitter.emit(None, "shop.sold", {"n": 2})


@pytest.mark.parametrize("server", SERVERS)
def test_the_answer_names_the_newest_record_of_the_request(
    server: Any, audit_log: AuditLog
) -> None:
    headers = server(audit_log.emitter, twice, receipts=True)
    assert headers["audit-receipt"] == place(audit_log.records("shop.sold")[-1])


@pytest.mark.parametrize("server", SERVERS)
def test_a_request_without_a_record_gets_none(server: Any, audit_log: AuditLog) -> None:
    headers = server(audit_log.emitter, lambda _: None, receipts=True)
    assert "audit-receipt" not in headers


@pytest.mark.parametrize("server", SERVERS)
def test_nobody_is_told_who_has_not_asked(server: Any, audit_log: AuditLog) -> None:
    assert "audit-receipt" not in server(audit_log.emitter, twice)


def test_a_strict_record_counts_too(audit_log: AuditLog) -> None:
    def work(emitter: Emitter) -> None:
        emitter.emit_strict(None, "shop.sold")

    headers = of_wsgi(audit_log.emitter, work, receipts=True)
    assert headers["audit-receipt"] == place(audit_log.records("shop.sold")[-1])


def test_a_record_that_waits_is_not_promised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    emitter = Emitter(service="tests", jsonl=tmp_path / "file" / "audit.jsonl", stdout=False)
    assert "audit-receipt" not in of_wsgi(emitter, twice, receipts=True)
    (tmp_path / "file").unlink()  # so that they need not be lost
    assert emitter.close(PATIENCE)


def test_a_record_that_is_in_no_file_is_not_promised() -> None:
    emitter = Emitter(service="tests", store=MemoryStore(), stdout=False)
    assert "audit-receipt" not in of_wsgi(emitter, twice, receipts=True)
    emitter.close()


def test_a_record_of_another_request_is_not_named(audit_log: AuditLog) -> None:
    """It is emitted in between, in a context of its own."""

    def work(emitter: Emitter) -> None:
        emitter.emit(None, "shop.sold")
        Context().run(emitter.emit, None, "shop.other")

    headers = of_wsgi(audit_log.emitter, work, receipts=True)
    assert headers["audit-receipt"] == place(audit_log.records("shop.sold")[-1])


def test_requests_at_the_same_time_get_their_own(audit_log: AuditLog) -> None:
    emitter = audit_log.emitter
    both = asyncio.Barrier(2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        emitter.emit(None, "shop.sold", {"path": scope["path"]})
        await both.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(path: str) -> dict[str, str]:
        seen: dict[str, str] = {}

        async def send(message: Any) -> None:
            for name, value in message.get("headers", ()):
                seen[name.decode()] = value.decode()

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        await asgi.AuditMiddleware(app, emitter=emitter, receipts=True)(scope, receive, send)
        return seen

    async def all_of_it() -> list[dict[str, str]]:
        return list(await asyncio.gather(ask("/a"), ask("/b")))

    answers = asyncio.run(all_of_it())
    told = {record["fields"]["path"]: place(record) for record in audit_log.records("shop.sold")}
    assert [one["audit-receipt"] for one in answers] == [told["/a"], told["/b"]]


def test_a_mounted_application_adds_none_of_its_own(audit_log: AuditLog) -> None:
    async def view(_: Any) -> PlainTextResponse:
        twice(audit_log.emitter)
        return PlainTextResponse("x")

    inner = asgi.AuditMiddleware(
        Starlette(routes=[Route("/", view)]), emitter=audit_log.emitter, receipts=True
    )
    outer = Starlette(routes=[Mount("/in", app=inner)])
    app = asgi.AuditMiddleware(outer, emitter=audit_log.emitter, receipts=True)
    found = TestClient(app).get("/in/").headers.get_list("audit-receipt")
    assert found == [place(audit_log.records("shop.sold")[-1])]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("work", [twice, lambda _: None])
def test_nothing_of_the_application_passes_for_a_receipt(
    server: Any, work: Work, audit_log: AuditLog
) -> None:
    """It may have copied the header from the answer of a service that an attacker has chosen."""
    headers = server(audit_log.emitter, work, receipts=True, extra={"audit-RECEIPT": "forged"})
    own = [place(record) for record in audit_log.records("shop.sold")[-1:]]
    assert headers.getlist("audit-receipt") == own


@pytest.mark.parametrize("server", SERVERS)
def test_where_receipts_are_off_the_name_is_the_applications(
    server: Any, audit_log: AuditLog
) -> None:
    headers = server(audit_log.emitter, twice, extra={"Audit-Receipt": "of the service behind"})
    assert headers.getlist("audit-receipt") == ["of the service behind"]
