"""A console over a log of the tests, asked as a browser on the same machine would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.export_records import HOSTILE, LINES

from audit_emit.console import Access, Role, access, app, hash_password

PASSWORD = "correct horse battery staple"

with pytest.MonkeyPatch.context() as _patch:
    _patch.setattr(access, "_N", 2)  # little work for each request that has it
    HASHED = hash_password(PASSWORD)


class Recorder:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def emit(self, ctx: Any, event_type: Any, fields: Any = None, /) -> Any:
        """Keep one: the actor, the type, the fields."""
        self.events.append((ctx.user_id, event_type, fields))

    def types(self) -> list[str]:
        """The types so far."""
        return [one[1] for one in self.events]


def users(**given: dict[str, Any]) -> Access:
    """Users with the one password."""
    return Access({name: {"password": HASHED, **one} for name, one in given.items()})


EVERYBODY: dict[str, dict[str, Any]] = {
    "vera": {"role": "viewer"},
    "arno": {"role": "auditor"},
    "olga": {"role": "operator"},
    "wim": {"role": "operator", "workspaces": ["acme"]},
    "eve": {"role": "operator", "workspaces": ["other"]},
}
ROLES = {"vera": Role.VIEWER, "arno": Role.AUDITOR, "olga": Role.OPERATOR}


def client(application: Any, *, root: str = "", **more: Any) -> TestClient:
    """A client on loopback."""
    return TestClient(
        application,
        base_url="http://localhost",
        root_path=root,
        client=("127.0.0.1", 50000),
        follow_redirects=False,
        **more,
    )


def log_in(directory: Path, *more: bytes) -> Path:
    """A log with the published records, and perhaps other lines after them."""
    directory.mkdir(exist_ok=True)
    (directory / "audit.jsonl").write_bytes(b"".join(one + b"\n" for one in (*LINES, *more)))
    return directory


def hostile_log(directory: Path) -> Path:
    """A log with hostile records after the published ones, among them markup in every member."""
    return log_in(directory, *HOSTILE.values(), markup())


def markup() -> bytes:
    """A record with markup in every member."""
    import json

    tag = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'
    record: dict[str, Any] = dict.fromkeys(json.loads(LINES[4]), tag)
    fields: dict[str, Any] = {tag: tag, "before": {tag: tag}, "after": {tag: "x"}}
    record["fields"], record["v"], record["seq"] = fields, 1, 99
    return json.dumps(record).encode()


def token_of(page: str) -> str:
    """The token of a page's forms."""
    found = re.search(r'data-token="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def console(log: Path | str, **given: Any) -> Any:
    """The application over a log."""
    return app(str(log), **given)
