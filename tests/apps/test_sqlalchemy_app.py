"""The example on SQLAlchemy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.host_server import EXAMPLES
from support.waiting import PATIENCE


def test_it_records_what_was_committed(tmp_path: Path) -> None:
    program = f"{EXAMPLES}/sqlalchemy_app.py"
    done = subprocess.run(
        [sys.executable, program, f"sqlite:///{tmp_path}/a.db"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    lines = [line.removeprefix("audit: ") for line in done.stdout.splitlines()]
    records = [one for one in map(json.loads, lines) if one["event_type"].startswith("model.")]
    assert [(one["event_type"], one["user_id"]) for one in records] == [
        ("model.created", "teller-4"),
        ("model.created", "teller-4"),
        ("model.updated", "teller-4"),
        ("model.updated", "teller-4"),
        ("model.updated", "interest"),
        ("model.updated", "interest"),
    ]
    balances = [one["fields"]["changes"]["balance"] for one in records[2:]]
    assert [one["after"] for one in balances] == [70, 30, 71, 31]
    assert "never shown" not in done.stdout
