"""Who may see what."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from support.console_client import HASHED, PASSWORD, users

from audit_emit.console import Access, Identity, Role, hash_password
from audit_emit.console.sign_in import SignIn
from audit_emit.errors import ConfigError


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def costly(n: int, r: int) -> str:
    """A hash with other costs, which nobody could make."""
    return f"scrypt:{n}:{r}:1:{'00' * 16}:{'00' * 32}"


def test_the_costliest_hash_that_is_taken_can_be_made() -> None:
    salt = b"s" * 16
    made = hashlib.scrypt(b"x", salt=salt, n=2**16, r=8, p=1, maxmem=2**28, dklen=32)
    access = Access({"vera": {"password": f"scrypt:{2**16}:8:1:{salt.hex()}:{made.hex()}"}})
    assert access.identify(basic("vera", "x")) is not None


def test_a_hash_costs_what_it_should_and_a_name_that_is_not_known_costs_as_much() -> None:
    """Those of the other tests are cheap; these are the costs of OWASP's cheat sheet."""
    costs = "scrypt:16384:8:5:"
    assert hash_password("x").startswith(costs)
    assert users(vera={})._nobody.startswith(costs)


def test_a_user_without_a_password_is_told_from_nobody_by_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = SignIn(
        issuer="https://id.example", client_id="c", client_secret="s", url="https://audit.example"
    )
    access = Access({"vera": {}}, sign_in=way)
    access._nobody = HASHED
    scrypt, hashed = hashlib.scrypt, []

    def noted(*args: Any, **costs: Any) -> bytes:
        hashed.append(costs["n"])
        return scrypt(*args, **costs)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    assert access.identify(basic("vera")) is None, "whatever password nobody has"
    assert access.identify(basic("wanda")) is None
    assert len(hashed) == 2
    assert hashed[0] == hashed[1]


def test_the_right_password_is_its_user() -> None:
    access = users(vera={"role": "viewer", "workspaces": ["acme"]})
    assert access.identify(basic("vera")) == Identity("vera", Role.VIEWER, ("acme",))


def test_a_password_that_was_right_before_is_still_right() -> None:
    access = users(vera={})
    assert access.identify(basic("vera")) == access.identify(basic("vera"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("vera", "wrong"),
        basic("nobody"),
        basic(""),
        {"authorization": "Bearer x"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"vera").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
    ],
)
def test_anything_else_is_nobody(headers: dict[str, str]) -> None:
    assert users(vera={}).identify(headers) is None


def test_a_wrong_password_stays_wrong_after_the_right_one() -> None:
    access = users(vera={})
    access.identify(basic("vera"))
    assert access.identify(basic("vera", PASSWORD + "x")) is None


def test_a_proxy_names_the_user() -> None:
    access = Access({"vera": {}}, proxy_header="X-User", proxy_secret="s" * 16)
    headers = {"x-user": "vera", "x-audit-proxy-secret": "s" * 16}
    assert access.identify(headers) == Identity("vera", Role.VIEWER)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-user": "vera"},
        {"x-user": "vera", "x-audit-proxy-secret": "wrong"},
        {"x-user": "vera", "x-audit-proxy-secret": ""},
        {"x-user": "nobody", "x-audit-proxy-secret": "s" * 16},
        {"x-audit-proxy-secret": "s" * 16},
        basic("vera"),
    ],
)
def test_without_its_secret_a_proxy_names_nobody(headers: dict[str, str]) -> None:
    access = Access({"vera": {}}, proxy_header="X-User", proxy_secret="s" * 16)
    assert access.identify(headers) is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "has nobody in it"),
        ({"vera": {}}, "needs a password"),
        ({"vera": {"password": "plain"}}, "needs a password"),
        ({"vera": {"password": "scrypt:2:1:1:zz:zz"}}, "needs a password"),
        ({"vera": {"password": costly(2**17, 8)}}, "at most 128 MiB"),
        ({"vera": {"password": costly(2**15 - 1, 8)}}, "needs a password"),
        ({"vera": {"password": HASHED, "role": "root"}}, "none of viewer, auditor, operator"),
        ({"vera": {"password": HASHED, "rule": "viewer"}}, "has 'rule'"),
        ({"vera": {"password": HASHED, "workspaces": "acme"}}, "no list of names"),
        ({"vera": {"password": HASHED, "workspaces": [""]}}, "no list of names"),
        ({"vera": {"password": HASHED, "workspaces": []}}, "may see no workspace"),
        ({"vera": "x"}, "is no table"),
    ],
)
def test_users_that_cannot_be_understood_are_refused(given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Access(given)


def test_a_proxy_without_a_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16 characters"):
        Access({"vera": {}}, proxy_header="X-User", proxy_secret="short")


def test_users_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text(f'[users.vera]\npassword = "{HASHED}"\nrole = "auditor"\n')
    found = Access.from_file(path).identify(basic("vera"))
    assert found == Identity("vera", Role.AUDITOR)


@pytest.mark.parametrize("text", ["{", "[other]\n", "users = 1\n", "[users.a]\n[more]\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Access.from_file(path)


@pytest.mark.parametrize(
    ("identity", "role", "whole", "may"),
    [
        (Identity("a", Role.VIEWER), Role.VIEWER, True, True),
        (Identity("a", Role.VIEWER), Role.AUDITOR, False, False),
        (Identity("a", Role.OPERATOR), Role.AUDITOR, True, True),
        (Identity("a", Role.OPERATOR, ("w",)), Role.AUDITOR, False, True),
        (Identity("a", Role.OPERATOR, ("w",)), Role.VIEWER, True, False),
    ],
)
def test_a_role_holds_those_below_it(
    identity: Identity, role: Role, *, whole: bool, may: bool
) -> None:
    assert identity.may(role, whole=whole) is may


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("x") != hash_password("x")


def test_a_right_password_is_hashed_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("audit_emit.console.access.time.monotonic", lambda: now[0])
    access = Access({"vera": {"password": hash_password("secret")}})
    basic = base64.b64encode(b"vera:secret").decode()
    headers = {"authorization": f"Basic {basic}"}
    assert access.takes_long(headers)
    assert access.identify(headers) is not None
    assert not access.takes_long(headers)
    now[0] += 301
    assert access.takes_long(headers)
    assert access.identify(headers) is not None
