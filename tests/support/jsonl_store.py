"""The store of an emitter that keeps a file, for tests that look inside."""

from __future__ import annotations

from audit_emit import Emitter
from audit_emit._stores.jsonl.store import JsonlStore


def store_of(emitter: Emitter) -> JsonlStore:
    """Its store, as what it is."""
    assert isinstance(emitter.store, JsonlStore)
    return emitter.store
