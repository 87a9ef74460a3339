"""The event that every contender of a process logs; its shape is set in the environment."""

from __future__ import annotations

import os
from typing import Any

from bench import shapes

SHAPE = os.environ.get("BENCH_SHAPE", shapes.DEFAULT)
EVENT_TYPE = shapes.SHAPES[SHAPE][0]
SERVICE = "bench"
IDS = {
    "workspace_id": "ws_5f0c9b1e",
    "user_id": "user_81f3c2d4",
    "actor_kind": "user",
    "correlation_id": "0190f6f5-6d3a-7c44-9d0e-7a1f0c2b3d4e",
}


def variants() -> list[dict[str, Any]]:
    """The fields of the events."""
    return shapes.variants(SHAPE)


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
