"""A record as a page shows it."""

from __future__ import annotations

from typing import Any

import pytest
from support.console_client import markup
from support.export_records import HOSTILE, LINES, changed
from support.for_each import for_each

from audit_emit.console.messages import catalogue
from audit_emit.console.records import Change, detail_of, row_of


@for_each("line", [*LINES, *HOSTILE.values(), markup(), b"", b"no record", b"\xff"])
def test_any_line_is_a_row_and_a_detail(line: bytes) -> None:
    row = row_of(line)
    assert all(text.isprintable() for text in row if isinstance(text, str))
    assert detail_of(line).size == len(line)


def test_a_record_has_its_place_as_its_link() -> None:
    assert row_of(LINES[4]).link == "00d1c0ffee00beef:5"


def test_the_hash_of_a_record_is_looked_at() -> None:
    assert detail_of(LINES[4]).hashed is True
    assert detail_of(LINES[4].replace(b"STRIPE", b"STRAPE")).hashed is False
    assert detail_of(b"{}").hashed is None


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"before": 1, "after": 2}, [("", "1", "2")]),
        ({"old_value": "a", "new_value": "b"}, [("", "a", "b")]),
        ({"before": {"a": 1, "b": 1}, "after": {"a": 2, "b": 1}}, [("a", "1", "2")]),
        ({"before": {"a": 1}, "after": {"b": 2}}, [("a", "1", ""), ("b", "", "2")]),
        ({"changes": {"role": {"old": "x", "new": "y"}}}, [("role", "x", "y")]),
        ({"changes": {"role": ["x", "y"]}}, [("role", "x", "y")]),
        ({"diff": [{"field": "role", "from": "x", "to": "y"}]}, [("role", "x", "y")]),
        ({"changes": "none", "before": 1}, []),
        ({"changed": ["role", "email"]}, []),
    ],
)
def test_what_was_and_what_is_are_found(fields: Any, changes: list[tuple[str, ...]]) -> None:
    assert detail_of(changed(14, fields=fields)).changes == [Change(*one) for one in changes]


def test_what_a_screen_would_obey_is_spelled_out() -> None:
    row = row_of(changed(5, user_id="a\u202eb\x1b[2J", fields={"k": "\u200b"}))
    assert row.actor == "a\\u202eb␛[2J"
    assert row.fields == "k=\\u200b"


def test_what_is_written_from_the_right_moves_nothing_beside_it() -> None:
    line = changed(5, fields={"a": "\u05d0", "b": "12", "c": "é"})
    assert row_of(line).fields == "a=\u2068\u05d0\u2069  b=12  c=é"
    told = catalogue().text("alerts.acknowledged", by="\u0627\u202e", at="2026")
    assert told == "acknowledged by \u2068\u0627\\u202e\u2069, 2026"
