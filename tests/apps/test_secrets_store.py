"""The store behind the example services: tokens, concurrency, what it leaves on disk."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from secrets_store import DEMO_USERS, Denied, Store


def test_tokens_are_not_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    store.add_user(DEMO_USERS[0], "CANARY-token")
    assert store.authenticate("Bearer CANARY-token") == DEMO_USERS[0]
    assert b"CANARY" not in store.path.read_bytes()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic t", "Bearer \udcff", "t"])
def test_what_is_not_a_known_token_is_nobody(header: str | None, tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    store.add_user(DEMO_USERS[0], "t")
    with pytest.raises(Denied) as caught:
        store.authenticate(header)
    assert caught.value.status == 401


def test_one_of_many_sets_and_the_others_rotate(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: store.put("acme", "K", str(n)), range(40)))
    assert sorted(done) == ["rotate"] * 39 + ["set"]


def test_a_secret_is_deleted_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    store.put(None, "K", "v")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: store.delete(None, "K"), range(40)))
    assert [value for value in done if value is not None] == ["v"]


def test_tokens_of_the_environment_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS_DB", str(tmp_path / "db"))
    for user in DEMO_USERS:
        monkeypatch.setenv(f"SECRETS_TOKEN_{user.user_id.upper()}", f"given-{user.user_id}")
    assert Store.from_env().authenticate("Bearer given-root").actor_kind == "admin"
    assert not (tmp_path / "db.tokens").exists()


def test_drawn_tokens_are_told_to_the_owner_alone_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRETS_DB", str(tmp_path / "db"))
    for user in DEMO_USERS:
        monkeypatch.delenv(f"SECRETS_TOKEN_{user.user_id.upper()}", raising=False)
    with ThreadPoolExecutor(4) as pool:  # as the workers of one service do
        stores = list(pool.map(lambda _: Store.from_env(), range(4)))
    told = tmp_path / "db.tokens"
    assert stat.S_IMODE(told.stat().st_mode) == 0o600
    tokens = dict(line.split() for line in told.read_text().splitlines())
    assert sorted(tokens) == sorted(user.user_id for user in DEMO_USERS)
    for user in DEMO_USERS:
        assert stores[0].authenticate(f"Bearer {tokens[user.user_id]}") == user
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
