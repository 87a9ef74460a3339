"""The plain call and a declared event, as a service writes them, with and without schemas."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from bench.contender import Contender, Opener
from bench.event import IDS, SERVICE

from audit_emit import Event, configure, emit
from audit_emit.context import AuditContext


class SecretSet(Event, type="secret.set"):
    """An event like most: a few names and numbers."""

    key: str
    scope: Literal["global", "workspace"]
    version: int


SCHEMAS: dict[str, Any] = {
    "": None,
    "class": [SecretSet],
    "document": {"secret.set": SecretSet.json_schema()},
}
"""What ``BENCH_SCHEMAS`` configures."""


def _configured(directory: Path) -> Any:
    return configure(
        service=SERVICE,
        jsonl=directory / "audit.jsonl",
        hash_key="a key for the benchmark only",
        schemas=SCHEMAS[os.environ.get("BENCH_SCHEMAS", "")],
    )


def _names() -> list[tuple[str, int]]:
    return [(f"STRIPE_LIVE_KEY_{n}", n) for n in range(1000)]


def plain_call() -> Opener:
    """``emit(ctx, type, {…})``."""

    def opened(directory: Path) -> Contender:
        emitter = _configured(directory)
        context = AuditContext(**IDS)

        def log(given: tuple[str, int]) -> object:
            key, version = given
            return emit(context, "secret.set", {"key": key, "scope": "global", "version": version})

        return Contender(log, _names(), lambda: emitter.flush(timeout=30.0))

    return opened


def declared_event() -> Opener:
    """``SecretSet(…).emit(ctx)``, the making of the object included."""

    def opened(directory: Path) -> Contender:
        emitter = _configured(directory)
        context = AuditContext(**IDS)

        def log(given: tuple[str, int]) -> object:
            key, version = given
            return SecretSet(key=key, scope="global", version=version).emit(context)

        return Contender(log, _names(), lambda: emitter.flush(timeout=30.0))

    return opened
