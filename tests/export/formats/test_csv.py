"""CSV: the published table, and hostile records in it."""

from __future__ import annotations

import csv
import io
from base64 import b64decode

from support.export_records import HOSTILE, LINES, VECTORS
from support.for_each import for_each
from support.processor_time import takes_less

from audit_emit._export.cells import row
from audit_emit._export.formats import chosen
from audit_emit._export.formats.csv import COLUMNS
from audit_emit._export.record import Record


def table(*lines: bytes) -> bytes:
    form = chosen("csv")
    records = [Record.of(line) for line in lines]
    return form.head + b"".join(form.event(one) for one in records if one is not None)


def test_the_records_become_the_published_table() -> None:
    assert table(*LINES) == (VECTORS / "examples.csv").read_bytes()


@for_each("name", HOSTILE)
def test_a_hostile_record_is_one_row_with_its_line(name: str) -> None:
    rows = list(csv.reader(io.StringIO(table(HOSTILE[name]).decode(), newline="")))
    assert rows[0] == COLUMNS
    assert len(rows) == 2
    assert b64decode(rows[1][-1]) == HOSTILE[name]


@for_each("name", HOSTILE)
def test_no_cell_of_a_hostile_record_is_a_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(table(HOSTILE[name]).decode(), newline="")))
    assert not [cell for cell in rows[1] if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_cell_of_blanks_takes_time_that_is_linear_in_its_length() -> None:
    def few() -> None:
        row(["\t\n " * 500])

    assert takes_less(lambda: row(["\t\n " * 8000]), 0.001, times=48, than=few)


def test_a_formula_is_marked_wherever_a_spreadsheet_would_cut_the_cell() -> None:
    cells = ["=1", "a;=1", "a=1", ' "=1', 'a|\t"=1;b', "\t;=1", "\tb", "a\n=1"]
    marked = ["'=1", "a;'=1", "a=1", "' \"=1", "a|'\t'\"=1;b", "'\t;'=1", "'\tb", "a\n'=1"]
    assert next(csv.reader(io.StringIO(row(cells).decode(), newline=""))) == marked
