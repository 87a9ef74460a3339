"""A real emitter on a file of its own, and what it wrote there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.plain_log_reader import records
from support.waiting import PATIENCE

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
        assert self.emitter.flush(PATIENCE)
        return [
            record
            for record in records(self._path)
            if not record["event_type"].startswith("audit.")
            and event_type in (None, record["event_type"])
        ]

    def only(self) -> dict[str, Any]:
        """The one record that there is."""
        (record,) = self.records()
        return record
