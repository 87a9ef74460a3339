"""The door: names of this host, other sites, headers of every answer."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.console_client import (
    EVERYBODY,
    PASSWORD,
    Recorder,
    client,
    console,
    log_in,
    token_of,
    users,
)
from support.waiting import PATIENCE

from audit_emit.console import Access
from audit_emit.console.attempts import OF_ALL, OF_ONE
from audit_emit.console.guard import POLICY


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


@pytest.mark.parametrize("host", ["localhost", "localhost:8555", "127.0.0.1:1", "[::1]:8555"])
def test_without_users_a_name_of_loopback_is_answered(log: Path, host: str) -> None:
    assert client(console(log)).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "10.0.0.1", "[::2]"]
)
def test_without_users_any_other_name_is_refused(log: Path, host: str) -> None:
    answer = client(console(log)).get("/", headers={"host": host})
    assert answer.status_code == 403
    assert "loopback only" in answer.text


def test_without_users_another_machine_is_refused(log: Path) -> None:
    far = TestClient(console(log), base_url="http://localhost", client=("192.0.2.1", 1))
    assert far.get("/").status_code == 403


def test_with_users_nobody_gets_in_without_a_password(log: Path) -> None:
    recorder = Recorder()
    answer = client(console(log, access=users(**EVERYBODY), emitter=recorder)).get("/integrity")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert recorder.events == [("", "console.refused", {"path": "/integrity"})]


def test_with_users_any_name_of_the_host_is_answered(log: Path) -> None:
    asked = client(console(log, access=users(**EVERYBODY)))
    answer = asked.get("/", headers={"host": "audit.example"}, auth=("vera", PASSWORD))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/integrity", "/nope", "/static/console.js", "/export"])
def test_every_answer_forbids_what_is_not_the_consoles_own(log: Path, path: str) -> None:
    headers = client(console(log)).get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_pages_are_not_stored(log: Path) -> None:
    assert client(console(log)).get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:1"},
    ],
)
def test_what_another_site_sends_changes_nothing(log: Path, headers: dict[str, str]) -> None:
    recorder = Recorder()
    asked = client(console(log, emitter=recorder))
    token = token_of(asked.get("/integrity").text)
    answer = asked.post("/integrity/verify", data={"token": token}, headers=headers)
    assert answer.status_code == 403
    assert recorder.types()[-1] == "console.refused"


def test_a_browser_without_the_token_changes_nothing(log: Path) -> None:
    asked = client(console(log))
    asked.get("/integrity")
    answer = asked.post(
        "/integrity/verify", data={"token": "0" * 64}, headers={"origin": "http://localhost"}
    )
    assert answer.status_code == 403


def test_the_token_of_somebody_else_is_none(log: Path) -> None:
    application = console(log, access=users(**EVERYBODY))
    theirs = token_of(client(application).get("/integrity", auth=("olga", PASSWORD)).text)
    mine = client(application)
    mine.get("/integrity", auth=("arno", PASSWORD))
    answer = mine.post(
        "/integrity/verify",
        data={"token": theirs},
        headers={"origin": "http://localhost"},
        auth=("arno", PASSWORD),
    )
    assert answer.status_code == 403


def test_the_cookie_is_of_this_console_only(log: Path) -> None:
    answer = client(console(log), root="/audit").get("/audit/")
    assert "Path=/audit; HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]


def test_with_tls_no_other_host_of_the_site_can_set_the_cookie(log: Path) -> None:
    asked = TestClient(console(log), base_url="https://localhost", client=("127.0.0.1", 50000))
    cookie = asked.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-audit_console=")
    assert "Path=/; HttpOnly; SameSite=Strict; Secure" in cookie
    token = token_of(asked.get("/", headers={"cookie": cookie.partition(";")[0]}).text)
    given = {"token": token, "days": "0"}
    sent = {"cookie": cookie.partition(";")[0], "origin": "https://localhost"}
    assert asked.post("/report", data=given, headers=sent).status_code == 400  # it was let in


def test_files_of_the_console_are_asked_for_again_and_sent_once(log: Path) -> None:
    asked = client(console(log))
    first = asked.get("/static/console.css")
    assert first.headers["cache-control"] == "no-cache"
    again = asked.get("/static/console.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_without_users_nobody_comes_through_a_proxy(log: Path, name: str) -> None:
    # A proxy on this machine connects from loopback and may name its upstream as the host.
    headers = {"host": "127.0.0.1:8555", name: "192.0.2.7"}
    assert client(console(log)).get("/", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/", "/archive", "/events/histogram.svg?where=a=b"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
def test_another_site_cannot_have_a_page_as_a_part_of_its_own(
    log: Path, path: str, mode: str
) -> None:
    headers = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": mode,
        "sec-fetch-dest": "iframe" if mode == "navigate" else "image",
    }
    assert client(console(log)).get(path, headers=headers).status_code == 403


def test_another_site_may_lead_to_a_page(log: Path) -> None:
    headers = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert client(console(log)).get("/", headers=headers).status_code == 200


async def signed_in(application: Any, client: str, password: str) -> Any:
    """The beginning of the answer to a request with a password."""
    said: list[Any] = []
    name = f"vera:{password}"
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/help",
        "query_string": b"",
        "client": (client, 1),
        "headers": [(b"authorization", b"Basic " + base64.b64encode(name.encode()))],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await application(scope, receive, send)
    return said[0]


def test_who_tries_passwords_keeps_nobody_from_a_page(log: Path) -> None:
    access = users(vera={})
    application = console(log, access=access)
    trying, go_on = threading.Event(), threading.Event()
    identify = access.identify

    def slow(headers: Mapping[str, str]) -> Any:
        if access.takes_long(headers):
            trying.set()
            go_on.wait(PATIENCE)
        return identify(headers)

    async def both() -> int:
        assert (await signed_in(application, "", PASSWORD))["status"] == 200
        access.identify = slow  # type: ignore[method-assign]
        guesses = [asyncio.create_task(signed_in(application, "", "x")) for _ in range(60)]
        await asyncio.to_thread(trying.wait, 20)
        try:
            return int((await asyncio.wait_for(signed_in(application, "", PASSWORD), 10))["status"])
        finally:
            for guess in guesses:
                guess.cancel()
            go_on.set()

    assert asyncio.run(both()) == 200


def test_one_client_has_few_passwords_hashed_at_a_time_and_others_are_served(log: Path) -> None:
    access = users(vera={})
    application = console(log, access=access)
    go_on = threading.Event()
    identify = access.identify

    def slow(headers: Mapping[str, str]) -> Any:
        go_on.wait(PATIENCE)
        return identify(headers)

    async def all_of_them() -> None:
        access.identify = slow  # type: ignore[method-assign]
        guesses = [
            asyncio.create_task(signed_in(application, f"2001:db8::{n}", f"guess {n}"))
            for n in range(OF_ONE)
        ]
        await asyncio.sleep(0)  # each of them has begun
        late = await signed_in(application, "2001:db8::ffff", "another guess")
        assert late["status"] == 429
        assert dict(late["headers"])[b"retry-after"] == b"2"
        other = asyncio.create_task(signed_in(application, "192.0.2.1", PASSWORD))
        await asyncio.sleep(0)
        go_on.set()
        assert (await other)["status"] == 200
        assert {(await guess)["status"] for guess in guesses} == {401}
        assert (await signed_in(application, "2001:db8::1", PASSWORD))["status"] == 200, (
            "there is room again"
        )

    asyncio.run(all_of_them())


def test_when_all_have_too_many_passwords_hashed_a_client_is_told_to_come_back(log: Path) -> None:
    access = users(vera={})
    application = console(log, access=access)
    go_on = threading.Event()

    def nobody(_: Mapping[str, str]) -> None:
        go_on.wait(PATIENCE)

    access.identify = nobody  # type: ignore[assignment,method-assign]

    async def all_of_them() -> None:
        guesses = [
            asyncio.create_task(signed_in(application, f"192.0.2.{n // OF_ONE}", f"guess {n}"))
            for n in range(OF_ALL)
        ]
        await asyncio.sleep(0)  # each of them has begun
        late = await signed_in(application, "198.51.100.1", PASSWORD)
        go_on.set()
        assert late["status"] == 503
        assert dict(late["headers"])[b"retry-after"] == b"2"
        assert {(await guess)["status"] for guess in guesses} == {401}
        again = await signed_in(application, "198.51.100.1", PASSWORD)
        assert again["status"] == 401, "there is room again, and it is looked at"

    asyncio.run(all_of_them())


@pytest.mark.parametrize("twice", ["X-Forwarded-User", "X-Audit-Proxy-Secret", "Host"])
def test_a_header_that_is_sent_twice_hides_no_other_one(log: Path, twice: str) -> None:
    secret = "sixteen characters and more"
    access = Access(EVERYBODY, proxy_header="X-Forwarded-User", proxy_secret=secret)
    by_proxy = [("X-Forwarded-User", "vera"), ("X-Audit-Proxy-Secret", secret)]
    sent = [("Host", "localhost")] if twice == "Host" else by_proxy
    asked = client(console(log, access=None if twice == "Host" else access))
    assert asked.get("/", headers=sent).status_code == 200
    again = {"X-Forwarded-User": "olga", "X-Audit-Proxy-Secret": "a guess", "Host": "evil.example"}
    for both in ([*sent, (twice, again[twice])], [(twice, again[twice]), *sent]):
        assert asked.get("/", headers=both).status_code == 403
