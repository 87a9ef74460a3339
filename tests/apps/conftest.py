"""A log and a store of its own for each test of a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps.service_contract import TOKENS
from secrets_store import DEMO_USERS, Store

import audit_emit


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The process-wide emitter writes here."""
    path = tmp_path / "log" / "audit.jsonl"
    audit_emit.configure(service="secrets", jsonl=str(path), stdout=False)
    yield path
    audit_emit.configure(service="secrets", jsonl="off", stdout=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the demo users."""
    store = Store(tmp_path / "secrets.db")
    for user in DEMO_USERS:
        store.add_user(user, TOKENS[user.user_id])
    return store
