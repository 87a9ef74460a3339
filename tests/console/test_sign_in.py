"""Signing in by OpenID Connect: who comes back is a user of the console, or nobody."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwk
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.console_client import HASHED, PASSWORD, Recorder, client, console, log_in
from support.for_each import for_each
from support.openid_provider import CLIENT, SECRET, OpenIdProvider, openid_provider

from audit_emit._runtime.http_server import Answer
from audit_emit.console import Access, SignIn, sign_in, threads
from audit_emit.errors import ConfigError

USERS: dict[str, dict[str, Any]] = {
    "vera@example.com": {"role": "viewer", "workspaces": ["acme"]},
    "program": {"role": "auditor", "password": HASHED},
}
PAGE = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with openid_provider() as made:
        yield made


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def browser(provider: OpenIdProvider, recorder: Recorder, tmp_path: Path) -> TestClient:
    way = SignIn(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        url="http://localhost/audit",
    )
    access = Access(USERS, sign_in=way)
    inner = console(log_in(tmp_path / "log"), access=access, emitter=recorder)
    return client(Starlette(routes=[Mount("/audit", inner)]), headers=PAGE)


def came_back(browser: TestClient, provider: OpenIdProvider, after: str = "/") -> Any:
    """The answer to the browser, once its user has signed in."""
    begun = browser.get(f"/audit/login?next={after}")
    return browser.get(provider.approve(begun.headers["location"]))


def test_who_has_signed_in_is_a_user_with_his_limits(
    browser: TestClient, provider: OpenIdProvider, recorder: Recorder
) -> None:
    first = browser.get("/audit/?type=secret.*")
    assert first.headers["location"] == "/audit/login?next=%2F%3Ftype%3Dsecret.%2A"
    begun = browser.get(first.headers["location"])
    ended = browser.get(provider.approve(begun.headers["location"]))
    assert ended.headers["location"] == "http://localhost/audit/?type=secret.*"
    text = browser.get("/audit/").text
    assert "vera@example.com · viewer · acme" in text
    assert browser.get("/audit/integrity").status_code == 403
    assert ("vera@example.com", "console.signed_in", {}) in recorder.events
    assert "Sign out" in text
    assert browser.post("/audit/logout").status_code == 200
    assert browser.get("/audit/").status_code == 303


def test_a_program_has_a_password_still(browser: TestClient) -> None:
    assert browser.get("/audit/api/audit/events", auth=("program", PASSWORD)).status_code == 200
    answer = browser.get("/audit/api/audit/events", headers={"accept": "application/json"})
    assert answer.status_code == 401


@for_each(
    "claims",
    [
        {"aud": "somebody else"},
        {"aud": [CLIENT, "x"], "azp": "x"},
        {"iss": "https://elsewhere.example"},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"email_verified": False},
        {"email": None},
        {"email": "mallory@example.com"},
    ],
)
def test_a_token_that_does_not_hold_signs_nobody_in(
    browser: TestClient, provider: OpenIdProvider, recorder: Recorder, claims: dict[str, Any]
) -> None:
    provider.claims = {"email": "vera@example.com", "email_verified": True, **claims}
    answer = came_back(browser, provider)
    assert answer.status_code == 403
    assert sign_in.SESSION not in browser.cookies
    assert set(recorder.types()) == {"console.refused"}


def test_a_token_of_another_key_signs_nobody_in_and_a_new_key_is_learnt(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    provider.key = jwk.ECKey.generate_key("P-256", {"kid": "1"})
    assert came_back(browser, provider).status_code == 403
    provider.published = provider.key
    assert came_back(browser, provider).status_code == 303
    provider.key = provider.published = jwk.ECKey.generate_key("P-256", {"kid": "1"})
    assert came_back(browser, provider).status_code == 303


@for_each(
    "strange",
    [
        {"kty": "EC", "crv": "no curve", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP"},
        {"kty": "of tomorrow"},
        None,
    ],
)
def test_a_key_that_is_not_understood_is_passed_over(
    browser: TestClient, provider: OpenIdProvider, strange: Any
) -> None:
    keys = [strange, provider.published.as_dict(private=False)]
    body = json.dumps({"keys": keys}).encode()
    provider.instead["/keys"] = Answer(200, body, "application/json")
    assert came_back(browser, provider).status_code == 303


def test_the_answer_to_another_question_signs_nobody_in(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    begun = browser.get("/audit/login").headers["location"]
    back = urlsplit(provider.approve(begun))
    query = dict(parse_qsl(back.query))
    for changed in ({"state": "s"}, {"state": ""}, {"code": ""}, {"code": "c"}):
        again = browser.get(f"/audit/login?{urlencode({'next': '/'})}").headers["location"]
        found = dict(parse_qsl(urlsplit(provider.approve(again)).query)) | changed
        assert browser.get(f"{back.path}?{urlencode(found)}").status_code == 403, changed
    # The first answer, whose question this browser has forgotten by now.
    assert browser.get(f"{back.path}?{urlencode(query)}").status_code == 403
    browser.cookies.clear()
    assert browser.get(f"{back.path}?{urlencode(query)}").status_code == 403


def test_a_session_that_was_changed_or_is_over_is_none(
    browser: TestClient, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    came_back(browser, provider)
    session = browser.cookies[sign_in.SESSION]
    asked = sign_in.ASKED
    browser.get("/audit/login")
    other = browser.cookies[asked]
    for value in (session[:-1], "x" + session, session.replace(".", ""), ".", other):
        browser.cookies.clear()
        answer = browser.get("/audit/", headers={"cookie": f"{sign_in.SESSION}={value}"})
        assert answer.status_code == 303, value
    right = {"cookie": f"{sign_in.SESSION}={session}"}
    assert browser.get("/audit/", headers=right).status_code == 200
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert browser.get("/audit/", headers=right).status_code == 303


def test_after_signing_in_nobody_is_led_elsewhere(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    for after in ("//evil.example", "https://evil.example", "/\\evil.example", "x", "/%0d%0aa:b"):
        where = came_back(browser, provider, after).headers["location"]
        assert where == "http://localhost/audit/", after


def test_a_copy_of_the_cookie_of_a_session_that_was_ended_is_none(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    sessions = []
    for _ in range(2):
        came_back(browser, provider)
        sessions.append({"cookie": f"{sign_in.SESSION}={browser.cookies[sign_in.SESSION]}"})
    browser.cookies.clear()
    ended, other = sessions
    assert browser.post("/audit/logout", headers=ended).status_code == 200
    assert browser.get("/audit/", headers=ended).status_code == 303
    assert browser.get("/audit/", headers=other).status_code == 200


def test_another_site_can_sign_nobody_out(browser: TestClient, provider: OpenIdProvider) -> None:
    came_back(browser, provider)
    other = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert browser.post("/audit/logout", headers=other).status_code in {403, 405}
    assert browser.get("/audit/logout").status_code == 405
    assert browser.get("/audit/").status_code == 200


def test_a_provider_that_gives_no_answer_is_said(browser: TestClient, tmp_path: Path) -> None:
    with openid_provider() as gone:
        way = SignIn(issuer=gone.issuer, client_id="c", client_secret="s", url="http://localhost")
    inner = console(log_in(tmp_path / "other"), access=Access(USERS, sign_in=way))
    answer = client(inner, headers=PAGE).get("/login")
    assert answer.status_code == 403
    assert "gives no answer" in answer.text


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
def test_no_answer_of_a_provider_fills_the_memory(
    browser: TestClient, provider: OpenIdProvider, path: str
) -> None:
    provider.instead[path] = Answer(200, b'{"keys":[' + b" " * 2**21 + b"]}", "application/json")
    begun = browser.get("/audit/login")
    if path == "/token":
        begun = browser.get(provider.approve(begun.headers["location"]))
    assert begun.status_code == 403
    said = "SignInError" if path == "/token" else "answers something else"
    assert said in begun.text


def test_a_provider_that_never_comes_to_an_end_is_not_waited_for(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr("audit_emit.console.threads.ASKING_SECONDS", 0.01)
    monkeypatch.setattr(SignIn, "answer", lambda *_: goes_on.wait())
    try:
        for _ in range(2 * threads.ASKING):  # more than may ask at a time
            answer = browser.get("/audit/login")
            assert (answer.status_code, "does not answer" in answer.text) == (503, True)
    finally:
        goes_on.set()


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://audit.example.com", "__Host-"),
        ("https://audit.example.com/audit", "__Secure-"),
        ("http://localhost:1", ""),
    ],
)
def test_no_other_host_of_the_site_can_set_its_cookies(
    provider: OpenIdProvider, tmp_path: Path, url: str, prefix: str
) -> None:
    way = SignIn(issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, url=url)
    asked = client(console(log_in(tmp_path / "log"), access=Access(USERS, sign_in=way)))
    begun = asked.get("/login")
    cookie = begun.headers["set-cookie"]
    assert cookie.startswith(f"{prefix}audit_console_asked=")
    assert ("; Secure" in cookie) is bool(prefix)
    back = provider.approve(begun.headers["location"]).partition("/callback")[2]
    sent = {"cookie": cookie.partition(";")[0]}
    came = asked.get(f"/callback{back}", headers=sent)
    session = next(
        one for one in came.headers.get_list("set-cookie") if "_session=" in one
    ).partition(";")[0]
    assert session.startswith(f"{prefix}audit_console_session=")
    assert asked.get("/", headers={"cookie": session}).status_code == 200
    bare = session.removeprefix(prefix)
    assert not prefix or asked.get("/", headers={"cookie": bare}).status_code == 401


@for_each(
    "answer",
    [
        Answer(500, b""),
        Answer(302, b""),
        Answer(200, b"[" * 100_000, "application/json"),
        Answer(200, b'{"id_token":"x","expires_at":{}}', "application/json"),
    ],
)
def test_a_provider_that_gives_something_else_for_a_code_signs_nobody_in(
    browser: TestClient, provider: OpenIdProvider, answer: Answer
) -> None:
    provider.instead["/token"] = answer
    ended = came_back(browser, provider)
    assert ended.status_code == 403
    assert "takes no code" in ended.text


def test_the_query_of_an_address_of_the_provider_stays(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
    found = {name: f"{provider.issuer}/{end}?p=b2c%201" for name, end in ends.items()}
    body = json.dumps({"issuer": provider.issuer, **found}).encode()
    provider.instead["/.well-known/openid-configuration"] = Answer(200, body)
    begun = browser.get("/audit/login").headers["location"]
    asked = dict(parse_qsl(urlsplit(begun).query))
    assert (asked["p"], asked["client_id"]) == ("b2c 1", CLIENT)
    assert browser.get(provider.approve(begun)).status_code == 303


def test_a_provider_that_names_no_address_signs_nobody_in(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    for end in ("https://[", "https://a\x7f/"):
        found = {"issuer": provider.issuer, "jwks_uri": end, "authorization_endpoint": end}
        body = json.dumps(found).encode()
        provider.instead["/.well-known/openid-configuration"] = Answer(200, body)
        assert browser.get("/audit/login").status_code == 403


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "http://id.example"},
        {"issuer": "https://["},
        {"issuer": "id.example"},
        {"issuer": "https://id.example/?a=b"},
        {"url": "https://user@audit.example"},
        {"url": "ftp://x"},
        {"client_secret": ""},
    ],
)
def test_a_provider_that_cannot_be_used_is_an_error(given: dict[str, str]) -> None:
    good = {"issuer": "https://id.example", "client_id": "c", "client_secret": "s"}
    with pytest.raises(ConfigError):
        SignIn(**{**good, "url": "https://audit.example", **given})
