"""The very lines."""

from __future__ import annotations

from support.export_records import HOSTILE, LINES
from support.for_each import for_each

from audit_emit._export.formats import chosen
from audit_emit._export.record import Record


@for_each("line", [*LINES, *HOSTILE.values()])
def test_a_record_is_its_line(line: bytes) -> None:
    record = Record.of(line)
    assert record is not None
    assert chosen("jsonl").event(record) == line + b"\n"
