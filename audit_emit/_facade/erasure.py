"""The keys of persons, erasing them, and what an erasure does not reach, for commands."""

from __future__ import annotations

from audit_emit._erasure.erase import (
    ALLOWED_TYPE,
    Erasable,
    Erased,
    Request,
    erase,
    revived,
)
from audit_emit._erasure.remains import Remains, find_remains
from audit_emit._subjects.sealed import PREFIX
from audit_emit._subjects.sight import Sight
from audit_emit._subjects.store import ERASED, LIVE, KeyStore, Tombstone, opened_store

__all__ = [
    "ALLOWED_TYPE",
    "ERASED",
    "LIVE",
    "PREFIX",
    "Erasable",
    "Erased",
    "KeyStore",
    "Remains",
    "Request",
    "Sight",
    "Tombstone",
    "erase",
    "find_remains",
    "opened_store",
    "revived",
]
