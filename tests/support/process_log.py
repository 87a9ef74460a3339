"""The records of the process-wide emitter, for tests of adapters and examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.plain_log_reader import records as whole_records
from support.waiting import PATIENCE

import audit_emit

Records = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """Call it for the records of the process-wide emitter, those of one type when it is given."""
    path = tmp_path / "process" / "audit.jsonl"
    audit_emit.configure(service="tests", jsonl=path, stdout=False)

    def read(event_type: str | None = None) -> list[dict[str, Any]]:
        assert audit_emit.flush(PATIENCE)
        kinds = [one for one in whole_records(path) if one["event_type"][:6] != "audit."]
        return [one for one in kinds if event_type in (None, one["event_type"])]

    yield read
    audit_emit.configure(jsonl="off", stdout=False)
