"""The published test vectors (wire format, section 8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "vectors" / "five-records.jsonl"
LINES = PATH.read_bytes().splitlines(keepends=True)
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
EXPECTED: dict[str, Any] = json.loads(PATH.with_suffix(".json").read_text("utf-8"))
