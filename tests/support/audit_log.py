"""A real emitter on a file of its own, and what it wrote there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit_emit import Emitter


class AuditLog:
    """The log of one test.

    Attributes:
        emitter: writes to the file only.
    """

    def __init__(self, path: Path) -> None:
        self.emitter = Emitter(service="tests", jsonl=str(path), stdout=False)
        self._path = path

    def records(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """The application's records, those of one type when it is given."""
        assert self.emitter.flush(10.0)
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        parsed = [json.loads(line) for line in lines]
        return [
            record
            for record in parsed
            if not record["event_type"].startswith("audit.")
            and event_type in (None, record["event_type"])
        ]

    def only(self) -> dict[str, Any]:
        """The one record that there is."""
        (record,) = self.records()
        return record
