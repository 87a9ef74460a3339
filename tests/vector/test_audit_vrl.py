"""``vector/audit.vrl`` in a real engine: what goes to Loki, and what is a dead letter."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.for_each import for_each
from support.vector_lines import (
    DEAD,
    FAR_TIME,
    FAR_TIMES,
    INVALID,
    LABELS,
    NO_OBJECT,
    NO_SERVICES,
    NO_TEXT,
    NO_TIME,
    NO_TIMES,
    NO_TYPE,
    NOT_UTF8,
    NS,
    OTHER_TYPES,
    SERVICES,
    TIMES,
    TYPES,
    WHOLE,
    line,
    with_text,
)
from support.vrl_engine import AUDIT, AbortError, Dead, Shipped, execute, runtime, ship, shipped


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("start", [b"", b"audit: "], ids=["JSONL", "stdout"])
@pytest.mark.parametrize("end", [b"", b"\r"], ids=["LF", "CRLF"])
def test_the_body_is_the_record_byte_for_byte(body: bytes, start: bytes, end: bytes) -> None:
    assert ship(start + body + end) == Shipped(body, NS, LABELS)


def test_one_cr_is_taken_off_and_no_more() -> None:
    assert shipped(line() + b"\r\r").body == line() + b"\r"


def test_the_last_of_duplicate_members_counts() -> None:
    found = shipped(with_text(b'"event_type":"key.set","service":"other-api"'))
    assert found.labels == {"service": "other-api", "event_type": "key.set"}


# Time


@pytest.mark.parametrize(("ts", "expected"), TIMES.items(), ids=TIMES)
def test_time_is_taken_from_ts_to_the_nanosecond(ts: str, expected: int) -> None:
    assert shipped(line(ts=ts)).time == expected


@for_each("ts", NO_TIMES)
def test_what_is_no_time_is_a_dead_letter_and_never_now(ts: object) -> None:
    assert ship(line(ts=ts)) == Dead(NO_TIME)


@pytest.mark.parametrize(
    "ts",
    FAR_TIMES,
)
def test_a_time_that_the_sink_would_drop_is_a_dead_letter(ts: str) -> None:
    assert ship(line(ts=ts)) == Dead(FAR_TIME)


# Labels


@pytest.mark.parametrize("event_type", TYPES)
def test_a_well_formed_event_type_is_a_label(event_type: str) -> None:
    assert shipped(line(event_type=event_type)).labels["event_type"] == event_type


@for_each("event_type", OTHER_TYPES)
def test_any_other_event_type_is_labelled_other(event_type: str) -> None:
    body = line(event_type=event_type)
    assert ship(body) == Shipped(body, NS, {**LABELS, "event_type": "other"})


@pytest.mark.parametrize("service", SERVICES)
def test_a_well_formed_service_is_a_label(service: str) -> None:
    assert shipped(line(service=service)).labels["service"] == service


@pytest.mark.parametrize(
    "service",
    NO_SERVICES,
    ids=repr,
)
def test_any_other_service_is_labelled_unknown(service: object) -> None:
    body = line(service=service)
    assert ship(body) == Shipped(body, NS, {**LABELS, "service": "unknown"})


# Dead letters


@for_each("text, reason", DEAD.items())
def test_what_is_no_record_is_a_dead_letter_with_a_reason(text: bytes, reason: str) -> None:
    assert ship(text) == Dead(reason)


@pytest.mark.parametrize(
    "text",
    NOT_UTF8,
    ids=repr,
)
def test_bytes_that_are_not_utf8_are_a_dead_letter_as_the_sink_would_alter_them(
    text: bytes,
) -> None:
    assert ship(text) == Dead(INVALID)


@pytest.mark.parametrize("message", [None, 5, 1.5, True, {"a": 1}, ["a"]], ids=repr)
def test_a_message_that_is_not_text_is_a_dead_letter(message: object) -> None:
    with pytest.raises(AbortError, match=f"^{NO_TEXT}$"):
        execute(AUDIT, {"message": message})
    with pytest.raises(AbortError, match=f"^{NO_TEXT}$"):
        execute(AUDIT, {"other": message})


def test_nothing_of_the_event_but_the_record_goes_out() -> None:
    event = {"message": line().decode(), "host": "h", "file": "f", "audit": {"x": 1}, "label": {}}
    _, made = execute(AUDIT, event)
    assert made.keys() == {"message", "timestamp", "audit", "file"}
    assert (made["audit"], made["file"]) == (LABELS, "f")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(deadline=None, max_examples=300)
def test_no_line_fails_in_another_way_than_those_that_are_named(text: bytes) -> None:
    found = ship(text)
    assert isinstance(found, Dead)
    assert found.reason in {NO_OBJECT, INVALID, NO_TIME, FAR_TIME, NO_TYPE}


# The program itself


def test_it_compiles_whatever_is_known_of_the_event() -> None:
    for known in ("", '.message = "text"\n', ".message = 5\n", ". = {}\n"):
        runtime(known + AUDIT)


def test_every_reason_is_one_of_those_that_are_tested() -> None:
    reasons = set(re.findall(r'abort "([^"]*)"', AUDIT))
    assert reasons == {NO_TEXT, NO_OBJECT, INVALID, NO_TIME, FAR_TIME, NO_TYPE}
    assert len(re.findall(r"\babort\b(?!`)", AUDIT)) == len(re.findall(r'abort "', AUDIT))
