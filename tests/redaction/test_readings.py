from __future__ import annotations

import pytest

from audit_emit._redaction.readings import Reading, readings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a%20b", "a b"),
        ("a%252520b", "a b"),
        ("%D0%BF%25C3%25A9%E2%9F%B5%F0%9F%94%91", "п\u00e9\u27f5\U0001f511"),
        ("%E9%DB", "\u00e9\u00db"),
        ("a\\u003db", "a=b"),
        ("a\\\\nb", "a\nb"),
        ("a&#61;b&amp;c&#x3d;d", "a=b&c=d"),
        ("\x1b[31ma\x1b[0m", "a"),
        ("\\u001b[1ma", "a"),
        ("".join(chr(ord(char) + 0xFEE0) for char in "pass=x:y"), "pass=x:y"),
        ("ab\u200bcd", "abcd"),
    ],
)
def test_escapes_are_undone(text: str, said: str) -> None:
    assert [steps[-1].text for steps in readings(text)][-1] == said


@pytest.mark.parametrize("text", ["", "plain", "100 % of them", "a\\qb", "x & y"])
def test_what_is_no_escape_stays(text: str) -> None:
    assert list(readings(text)) == []


def test_a_part_of_what_is_said_is_found_in_what_is_written() -> None:
    text = "a%20token%3Dxyz%26b"
    reading = Reading(text)
    at = reading.text.index("xyz")
    start, end = reading.span((at, at + 3))
    assert text[start:end] == "xyz"
