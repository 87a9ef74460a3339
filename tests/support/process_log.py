"""The records of the process-wide emitter, for tests of adapters and examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import audit_emit

Records = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """Call it for the records of the process-wide emitter, those of one type when it is given."""
    path = tmp_path / "process" / "audit.jsonl"
    audit_emit.configure(service="tests", jsonl=path, stdout=False)

    def read(event_type: str | None = None) -> list[dict[str, Any]]:
        assert audit_emit.flush(10)
        lines = path.read_bytes().splitlines() if path.exists() else []
        kinds = [one for one in map(json.loads, lines) if one["event_type"][:6] != "audit."]
        return [one for one in kinds if event_type in (None, one["event_type"])]

    yield read
    audit_emit.configure(jsonl="off", stdout=False)
