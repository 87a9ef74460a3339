"""``vector/audit.vrl`` and ``audit_emit._loki.labels`` make the same of every line.

What is pushed from here must be to Loki what Vector ships, or Loki keeps both.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from support.vector_lines import (
    DEAD,
    FAR_TIMES,
    NO_SERVICES,
    NO_TIMES,
    NOT_UTF8,
    OTHER_TYPES,
    SERVICES,
    TIMES,
    TYPES,
    WHOLE,
    line,
    with_text,
)
from support.vrl_engine import Dead, Shipped, ship

from audit_emit._loki import labels

TIMES_MORE = [
    "2026-12-31T23:59:60Z",
    "2026-12-31T23:59:60.5Z",
    "2026-05-19T20:00:61Z",
    "2026-05-19T20:60:00Z",
    "2026-00-19T20:00:00Z",
    "2024-02-29T20:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-23:59",
    "2026-05-19T20:00:00+23:59",
    "2026-05-19T20:00:00+23:60",
    "2026-05-19T20:00:00-00:00",
    "1970-01-01T00:59:59+01:00",
    "1970-01-01T01:00:00+01:00",
]
MEMBERS = [
    b'"user_id":"\\ud800"',
    b'"ts":"\\ud800"',
    b'"event_type":"\\ud800"',
    b'"service":"\\ud800"',
    b'"service":"a\\u0062"',
    b'"\\u0074s":5',
    b'"\\ud800":1',
    b'"fields":{"\\ud800":1}',
    b'"fields":{"a":1e400},"service":"\\ud800"',
    b'"x":-',
    b'"x":1.',
    b'"x":.5',
    b'"x":+1',
    b'"x":1e',
    b'"x":1e-400',
    b'"x":0e5000',
    b'"x":123456789012345678901234567890',
    b'"x":"\x7f\\/"',
    b'"x":"\\u00G0"',
]
ENDS = [b"", b" ", b"\n", b"\r", b"\x0c", b"\x1f", "\u00a0".encode(), "\u2028".encode()]

# Python's parser gives up where nesting is deep, VRL's at 1e400: nobody emits either.
LINES = [
    *(body for name, body in WHOLE.items() if name != "nested deeply"),
    *DEAD,
    *NOT_UTF8,
    *(line(ts=ts) for ts in (*TIMES, *NO_TIMES, *FAR_TIMES, *TIMES_MORE)),
    *(line(event_type=event_type) for event_type in (*TYPES, *OTHER_TYPES)),
    *(line(service=service) for service in (*SERVICES, *NO_SERVICES)),
    *(with_text(members) + end for members in MEMBERS for end in ENDS),
]


def mirrored(text: bytes) -> Shipped | Dead:
    """What ``audit_emit._loki.labels`` makes of a line; it has no reasons."""
    body = labels.unwrapped(text)
    found = labels.placement_of(body)
    if found is None:
        return Dead("")
    made = found.labels
    assert made.pop("job") == "audit"
    return Shipped(body, found.ts, made)


def same(text: bytes) -> None:
    real = ship(text)
    assert mirrored(text) == (Dead("") if isinstance(real, Dead) else real), text[:200]


def test_they_agree_on_the_table() -> None:
    for text in LINES:
        for written in (text, b"audit: " + text, text + b"\r"):
            same(written)


PIECES = re.findall(rb'[{}:,]|"[^"]*"|[^"{}:,]+', line(fields={"a": [1, "x"]}, user_id="ü"))
JUNK = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b" ",
        b"\t",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xc3",
    ),
    *(b"null", b"0", b"-1", b"1e5", b"audit: ", b'""', b'"a"', b'"A b"', b'"\\ud800"'),
]


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_they_agree_on_spoilt_records(data: st.DataObject) -> None:
    pieces = list(PIECES)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(pieces) - 1))
        with_what = data.draw(st.sampled_from([*JUNK, *PIECES]))
        how = data.draw(st.sampled_from(["replace", "insert", "delete"]))
        pieces[at : at + (how != "insert")] = [] if how == "delete" else [with_what]
        if not pieces:
            break
    same(b"".join(pieces))
