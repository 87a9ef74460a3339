"""``docs/faults.md`` has a row for every case, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from support.for_each import for_each

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = {int(number): row for number, row in re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)}
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", PAGE)))


def test_every_case_has_a_row() -> None:
    assert sorted(ROWS) == [*range(1, 44), *range(47, 61)]


@for_each("number", ROWS)
def test_every_row_names_a_test(number: int) -> None:
    assert "::test_" in ROWS[number]


@for_each("module, name", NAMED)
def test_every_test_that_is_named_exists(module: str, name: str) -> None:
    source = (TESTS / module).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)
