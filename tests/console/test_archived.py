"""A log that is archived, alone or beside what is left of it on the disk, is shown as one log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import KEY, ORIGIN, SignedLog
from support.console_client import client, console
from support.object_store import Store
from support.waiting import until

from audit_emit._signing.trusted_keys import Ed25519Key


@pytest.fixture
def half(tmp_path: Path, store: Store) -> Iterator[SignedLog]:
    """Its first two segments are only in the archive."""
    made = SignedLog(tmp_path / "log").add(150)
    made.archive(store)
    made.sign()
    for path in made.closed()[:2]:
        path.unlink()
    yield made
    made.close()


def numbers(asked: Any, query: str = "") -> list[int]:
    """The records of every page."""
    seen: list[int] = []
    follows = f"?limit=40{query}"
    while follows:
        found = asked.get(f"/api/audit/events{follows}").json()
        seen += [one["seq"] for one in found["records"]]
        follows = found["next"]
    return seen


def verdict(asked: Any) -> dict[str, Any]:
    asked.post("/api/audit/verify")

    def ended() -> Any:
        found = asked.get("/api/audit/verify").json()
        return None if found["running"] else found["last"]

    return until(ended, "the end of the verification")  # type: ignore[no-any-return]


def key() -> str:
    assert isinstance(KEY, Ed25519Key)
    return KEY.to_vkey(ORIGIN)


def test_what_is_archived_is_shown_behind_what_is_on_the_disk(
    half: SignedLog, store: Store
) -> None:
    where = str(half.directory)
    asked = client(console(where, archive=f"s3://{store.name}/audit", keys=[key()]))
    seen = numbers(asked)
    assert seen == list(range(seen[0], 0, -1))
    chain = json.loads(half.active.read_bytes().splitlines()[0])["chain"]
    assert "secret.set" in asked.get(f"/event/{chain}:5").text
    found = verdict(asked)
    assert (found["verdict"], found["first_seq"]) == ("ok", 1)


def test_an_archive_is_shown_alone(half: SignedLog, store: Store) -> None:
    asked = client(console(f"s3://{store.name}/audit", keys=[key()]))
    seen = numbers(asked)
    assert seen == list(range(seen[0], 0, -1))
    assert numbers(asked, "&type=audit.started") == [1]
    assert verdict(asked)["verdict"] == "ok"
    for page in ("/", "/integrity", "/checkpoints", "/archive", "/settings"):
        assert asked.get(page).status_code == 200
