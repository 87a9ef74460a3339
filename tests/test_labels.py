"""Text, time and labels of a line in Loki: ``labels`` and ``vector/audit.vrl`` say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vrl_engine import Dead, ship
from vrl_engine import Shipped as FromVrl

from audit_emit.labels import Shipped, service_of, shipped, time_of, unwrapped, wrong_labels

TS = "2026-05-19T20:00:00.123456789Z"
NS = 1_779_220_800_123_456_789
BASE = {"ts": TS, "event_type": "secret.set", "fields": {}, "v": 1, "service": "secrets-api"}


def line(**members: Any) -> str:
    """A record with other members than usual; ``...`` leaves one out."""
    kept = {name: value for name, value in {**BASE, **members}.items() if value is not ...}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def fields(text: str) -> str:
    """A record with these ``fields``, as they are written."""
    return line().replace("{}", text)


LINES: list[str] = [
    line(),
    f"audit: {line()}",
    f"{line()}\r",
    f"audit: {line()}\r",
    f"{line()}\r\r",
    f"audit: audit: {line()}",
    f"audit:{line()}",
    f" {line()}",
    f"{line()} ",
    f"{line()}x",
    f"[{line()}]",
    f"\ufeff{line()}",
    "",
    "{}",
    "null",
    '"x"',
    line()[:-9],
    *(line(ts=ts) for ts in (..., None, 7, {"ts": TS}, "", "now", f"{TS}\n", f" {TS}")),
    *(
        line(ts=f"2026-05-19T20:00:00{rest}")
        for rest in ("Z", ".1Z", ".1234567890Z", "z", "", "+02:00", ".5-14:00", "-00:00")
    ),
    *(
        line(ts=f"2026-05-19T20:00:00{offset}")
        for offset in ("+23:59", "+24:00", "+23:60", "+0200", "+02")
    ),
    *(
        line(ts=ts)
        for ts in (
            "2026-05-19 20:00:00Z",
            "2026-02-30T20:00:00Z",
            "2026-05-19T24:00:00Z",
            "2026-05-19T23:59:60.5Z",
            "2026-05-19T23:12:60Z",
            "2026-05-19T23:59:61Z",
            "1969-12-31T23:59:59.9Z",
            "1970-01-01T00:00:00Z",
            "2262-04-11T23:47:15.999999999Z",
            "2262-04-11T23:47:16Z",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+10:00",
            "\uff12026-05-19T20:00:00Z",
        )
    ),
    *(
        line(event_type=value)
        for value in (
            ...,
            None,
            7,
            "",
            "A",
            "a",
            "a." * 7 + "b",
            "a." * 8 + "b",
            "a\n",
            "audit.gap",
        )
    ),
    line(event_type="a" * 128),
    line(event_type="a" * 129),
    line(service=...),
    line(service=["x"]),
    *(line(service=name) for name in (None, "", "A b", "ü", "a\n", "-a")),
    line(service="a" * 63),
    line(service="a" * 64),
    line().replace("svc", "sv\\u0063"),
    line().replace('"ts"', '"t\\u0073"'),
    line().replace('"secrets-api"', '"one","service":"two"'),
    line().replace('"secrets-api"', '"\\ud800"'),
    line().replace('"secret.set"', '"\\ud800"'),
    line(_spilled=9000),
    *(
        fields(text)
        for text in (
            '{"n":18446744073709551616,"p":1.10,"e":1e3}',
            '{"n":1e999}',
            '{"s":"\\ud800"}',
            '{"s":"\\uDC00x","n":1e999}',
            '{"s":"\\ud83d\\ude00"}',
            "[" * 200 + "]" * 200,
            "{}}",
            "NaN",
            '{"a":NaN}',
            '{"a":"\t"}',
            '{"a":01}',
            '{"a":"\\x"}',
            '{"a":1,}',
            "'a'",
            '{"service":"inner"}',
        )
    ),
    fields('{"s":"\\ud800"}') + " ",
]


def from_python(raw: bytes) -> FromVrl | None:
    text = unwrapped(raw)
    found = shipped(text)
    if found is None:
        return None
    return FromVrl(text, found.ts, {"service": found.service, "event_type": found.event_type})


def from_vrl(raw: bytes) -> FromVrl | None:
    found = ship(raw)
    return None if isinstance(found, Dead) else found


@pytest.mark.parametrize("text", LINES, ids=range(len(LINES)))
def test_both_say_the_same_of(text: str) -> None:
    raw = text.encode()
    assert from_python(raw) == from_vrl(raw)


@pytest.mark.parametrize("raw", [line().encode() + b"\xff", fields('"x"').encode()[:60] + b"\xc3"])
def test_both_refuse_what_is_not_utf8(raw: bytes) -> None:
    assert from_python(raw) is None
    assert from_vrl(raw) is None


PIECES = st.sampled_from(
    [
        '"',
        "\\",
        "\\u",
        "d800",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "ts",
        "Z",
        "9",
        "-",
        "e",
        "\r",
        " ",
        "ü",
    ]
)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 110), cut=st.integers(0, 3), piece=PIECES)
@example(at=0, cut=0, piece=" ")
def test_both_say_the_same_of_a_damaged_line(at: int, cut: int, piece: str) -> None:
    text = line()
    raw = f"{text[:at]}{piece}{text[at + cut :]}".encode()
    assert from_python(raw) == from_vrl(raw)


def test_what_is_read() -> None:
    found = shipped(line().encode())
    assert found == Shipped(NS, "secrets-api", "secret.set")
    assert found.labels == {"job": "audit", "service": "secrets-api", "event_type": "secret.set"}


def test_a_time_in_another_zone() -> None:
    assert time_of("2026-05-19T22:00:00.123456789+02:00") == NS


def test_the_service_of_a_record_is_its_own_and_not_that_of_its_fields() -> None:
    inner = line(service=..., fields={"a": "b", "service": "inner"}, v=1)
    assert service_of(inner.encode()[:-1] + b',"id":"i","service":"outer"}') == "outer"
    assert service_of(b'{"service":"first","ts":"%s","event_type":"a.b"}' % TS.encode()) == "first"
    assert service_of(b"{}") == "unknown"


WANTED = Shipped(NS, "api", "a.b")


def test_the_labels_of_the_pipeline() -> None:
    assert wrong_labels(WANTED.labels, WANTED) == ""


def test_what_loki_adds_is_not_wrong() -> None:
    added = {"service_name": "api", "detected_level": "error", "__time_shard__": "1"}
    assert wrong_labels({**WANTED.labels, **added}, WANTED) == ""


def test_wrong_labels_are_named() -> None:
    found = {"job": "audit", "service": "web", "node": "n1"}
    assert wrong_labels(found, WANTED) == (
        "event_type is missing, not 'a.b', node is 'n1', and should not be there, "
        "service is 'web', not 'api'"
    )
