"""The one event that every contender logs, in a thousand variants."""

from __future__ import annotations

import random
import uuid
from typing import Any

EVENT_TYPE = "secret.set"
SERVICE = "bench"
IDS = {
    "workspace_id": "ws_5f0c9b1e",
    "user_id": "user_81f3c2d4",
    "actor_kind": "user",
    "correlation_id": "0190f6f5-6d3a-7c44-9d0e-7a1f0c2b3d4e",
}
VARIANTS = 1000


def variants() -> list[dict[str, Any]]:
    """Field dicts that differ in two members, so that nothing can be kept between calls."""
    draw = random.Random(7)  # the same in every process
    return [
        {
            "key": "ANTHROPIC_API_KEY",
            "value_hash": f"{draw.getrandbits(32):08x}",
            "scope": "workspace",
            "operation": "set",
            "request": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        }
        for _ in range(VARIANTS)
    ]


def full_record(fields: dict[str, Any]) -> dict[str, Any]:
    """A record with every member of the wire format, as long as the real one."""
    return {
        "ts": "2026-05-19T20:00:00.123456789Z",
        "event_type": EVENT_TYPE,
        **IDS,
        "fields": fields,
        "v": 1,
        "id": "0190f6f5-6d3a-7c44-9d0e-7a1f0c2b3d4f",
        "service": SERVICE,
        "chain": "00112233445566ff",
        "seq": 123456,
        "prev_hash": "0123456789abcdef" * 4,
        "hash": "fedcba9876543210" * 4,
    }
