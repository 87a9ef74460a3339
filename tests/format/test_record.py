from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.five_records import LINES, RECORDS
from support.for_each import for_each

from audit_emit._format import record
from audit_emit._format.encode import text, to_json
from audit_emit._format.record import Head, bump, head_of, ns_of, stub, ts_of

MEMBERS = [
    "ts",
    "event_type",
    "workspace_id",
    "user_id",
    "actor_kind",
    "correlation_id",
    "fields",
    "v",
    "id",
    "service",
    "trace_id",
    "span_id",
    "chain",
    "seq",
    "prev_hash",
    "hash",
]
SALT = "7abc-9def"


def prefix_of(parts: dict[str, Any]) -> str:
    """A record up to member 11, put together as the emitter does it."""
    digits = str(record.ns_of(parts["ts"]))
    return "".join(
        (
            record.make_stamp(digits, SALT).head,
            digits[10:],
            record.event_part(parts["event_type"]),
            text(parts["workspace_id"]),
            record.context_part(parts["user_id"], parts["actor_kind"], parts["correlation_id"]),
            to_json(parts["fields"]),
            f',"v":1,"id":"{parts["id"]}","service":"{parts["service"]}"',
            record.trace_members(parts.get("trace_id", ""), parts.get("span_id", "")),
        )
    )


@pytest.mark.parametrize("index", range(5))
def test_each_vector_is_rebuilt_byte_for_byte(index: int) -> None:
    parts = RECORDS[index]
    line, digest = record.chain_line(
        prefix_of(parts), parts["chain"], parts["seq"], parts["prev_hash"]
    )
    assert line.encode() == LINES[index]
    assert digest == parts["hash"]


@pytest.mark.parametrize("line", LINES)
def test_members_are_in_the_order_of_the_format(line: bytes) -> None:
    found = list(json.loads(line))
    assert found == [name for name in MEMBERS if name in found]


# Time and identity


def test_stamp_formats_second_and_millisecond() -> None:
    stamp = record.make_stamp("1779220800123456789", SALT)
    assert stamp.head == '{"ts":"2026-05-19T20:00:00.'
    assert (stamp.second, stamp.milli) == ("1779220800", 1779220800123)
    assert stamp.id_head == f"019e41d2-e27b-{SALT}-"


@pytest.mark.parametrize(
    ("digits", "ts"),
    [
        ("0" * 19, "1970-01-01T00:00:00."),
        ("1078012799000000000", "2004-02-28T23:59:59."),
        ("1709164800000000000", "2024-02-29T00:00:00."),
        ("9223372036854775807", "2262-04-11T23:47:16."),
    ],
)
def test_stamp_of_other_times(digits: str, ts: str) -> None:
    assert record.make_stamp(digits, SALT).head == f'{{"ts":"{ts}'


def test_stamp_of_the_same_second_uses_the_head_again() -> None:
    first = record.make_stamp("1779220800123456789", SALT)
    second = record.make_stamp("1779220800999000000", SALT, first)
    third = record.make_stamp("1779220801000000000", SALT, second)
    assert second.head is first.head
    assert third.head == '{"ts":"2026-05-19T20:00:01.'


@pytest.mark.parametrize("random", [b"\0" * 4, b"\xff" * 4, b"\x12\x34\x56\x78"])
def test_id_salt_has_version_and_variant_of_uuid7(random: bytes) -> None:
    assert re.fullmatch(r"7[0-9a-f]{3}-[89ab][0-9a-f]{3}", record.make_id_salt(random))


@pytest.mark.parametrize("ts", [parts["ts"] for parts in RECORDS])
def test_ts_and_nanoseconds_are_inverse(ts: str) -> None:
    assert record.ts_of(record.ns_of(ts)) == ts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-05-19T20:00:00.000000000Z", "2026-05-19T20:00:00.000000001Z"),
        ("2026-05-19T20:00:00.099999999Z", "2026-05-19T20:00:00.100000000Z"),
        ("2026-12-31T23:59:59.999999999Z", "2027-01-01T00:00:00.000000000Z"),
        ("2024-02-28T23:59:59.999999999Z", "2024-02-29T00:00:00.000000000Z"),
    ],
)
def test_bump_is_one_nanosecond_later(before: str, after: str) -> None:
    rest = '","event_type":"a.b"'
    assert record.bump(f'{{"ts":"{before}{rest}') == f'{{"ts":"{after}{rest}'


# Well-formed and not


@pytest.mark.parametrize(
    "event_type",
    ["a", "secret.set", "http.request", "a_1.2b.c_", "a.b.c.d.e.f.g.h", "a" * 128, "auditor.seen"],
)
def test_event_types_a_caller_may_use(event_type: str) -> None:
    assert record.valid_type(event_type)


class Named(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "A.b",
        "1.a",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a-b",
        "a.b\n",
        "é",
        "a\u0661",
        "a.b.c.d.e.f.g.h.i",
        "a" * 129,
        "audit.started",
        "audit.",
        "audit: {",
        None,
        7,
        b"a.b",
        ["a"],
        Named("a.b"),
    ],
)
def test_event_types_that_are_refused(event_type: Any) -> None:
    assert not record.valid_type(event_type)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("admin", "admin"),
        ("ci_runner_2", "ci_runner_2"),
        ("Admin", "admin"),
        ("CI Runner", "ci_runner"),
        ("x" * 40, "x" * 32),
        ("", "user"),
        ("007", "user"),
        ("\u202e", "user"),
        ('","seq":1', "seq_1"),
    ],
)
def test_actor_kind_is_well_formed(value: str, kind: str) -> None:
    assert record.actor_kind(value) == kind


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("trace_id", "span_id", "members"),
    [
        (TRACE, SPAN, f',"trace_id":"{TRACE}","span_id":"{SPAN}"'),
        (TRACE, "", f',"trace_id":"{TRACE}"'),
        (TRACE.upper(), SPAN, f',"span_id":"{SPAN}"'),
        ("0" * 32, "0" * 16, ""),
        (TRACE + "0", SPAN[:-1], ""),
        (TRACE[:-1] + "\n", SPAN[:-1] + "g", ""),
        ("", "", ""),
    ],
)
def test_only_well_formed_trace_members_are_recorded(
    trace_id: str, span_id: str, members: str
) -> None:
    assert record.trace_members(trace_id, span_id) == members


# Reading back


@pytest.mark.parametrize("index", range(5))
def test_head_of_each_vector(index: int) -> None:
    parts = RECORDS[index]
    assert head_of(LINES[index].rstrip(b"\n")) == Head(
        parts["chain"], parts["seq"], parts["hash"], parts["ts"]
    )


def tampered(old: bytes, new: bytes) -> bytes:
    line = LINES[1].rstrip(b"\n")
    assert old in line
    return line.replace(old, new)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b"\0" * 500,
        LINES[1],
        LINES[1][1:-1],
        LINES[1][:-2],
        b"\xef\xbb\xbf" + LINES[1].rstrip(b"\n"),
        LINES[1].replace(b"\n", b"\r"),
        tampered(b'"seq":2', b'"seq":0'),
        tampered(b'"seq":2', b'"seq":"2"'),
        tampered(b'"seq":2', b'"seq":02'),
        tampered(b'"seq":2', b'"seq":' + b"9" * 20),
        tampered(b'"00d1c0ffee00beef"', b'"00D1C0FFEE00BEEF"'),
        tampered(b'"hash":"fac2', b'"hash":"FAC2'),
        tampered(b',"seq":2', b', "seq":2'),
        tampered(b'{"ts":', b'{"t":'),
        tampered(b'.123456789Z"', b'.123Z"'),
    ],
)
def test_what_is_no_chained_record_has_no_head(line: bytes) -> None:
    assert head_of(line) is None


def test_chain_members_in_fields_do_not_count() -> None:
    """Whoever writes a whole chain end into a payload does not move the chain."""
    parts = RECORDS[1]
    fake = f',"chain":"{"f" * 16}","seq":99,"prev_hash":"{"0" * 64}","hash":"{"0" * 64}"}}'
    body = {**parts, "fields": {"x": fake, "chain": "f" * 16, "seq": 99, "hash": "0" * 64}}
    line, _ = record.chain_line(prefix_of(body), parts["chain"], 2, parts["prev_hash"])
    found = head_of(line.rstrip("\n").encode())
    assert found is not None
    assert (found.chain, found.seq) == (parts["chain"], 2)


def test_the_largest_head_is_found() -> None:
    line, digest = record.chain_line(prefix_of(RECORDS[4]), "f" * 16, 10**19 - 1, "a" * 64)
    found = head_of(line.rstrip("\n").encode())
    assert found == Head("f" * 16, 10**19 - 1, digest, RECORDS[4]["ts"])


@pytest.mark.parametrize("index", range(5))
def test_unchained_prefix_is_the_record_up_to_member_11(index: int) -> None:
    assert record.unchained_prefix(LINES[index].decode()) == prefix_of(RECORDS[index])


def test_unchained_prefix_of_an_unchained_record() -> None:
    prefix = prefix_of(RECORDS[2])
    assert record.unchained_prefix(prefix + "}\n") == prefix


def test_unchained_prefix_is_not_misled_by_fields() -> None:
    parts = {**RECORDS[1], "fields": {"x": ',"chain":"y', "chain": "z"}}
    line, _ = record.chain_line(prefix_of(parts), parts["chain"], 2, parts["prev_hash"])
    assert record.unchained_prefix(line) == prefix_of(parts)


# Stubs


def long_line(fields: dict[str, Any], **ids: str) -> bytes:
    parts = {**RECORDS[2], **ids, "fields": fields}
    line, _ = record.chain_line(prefix_of(parts), parts["chain"], 3, parts["prev_hash"])
    return line.encode()


def test_a_stub_has_the_same_members_with_the_same_values() -> None:
    line = long_line({"a": 1, "big": "x" * 9000, "z": [1]})
    whole, short = json.loads(line), json.loads(stub(line, 4089))
    assert list(short) == list(whole)
    del whole["fields"], short["fields"]
    assert short == whole


def test_a_stub_keeps_the_fields_that_fit_in_their_order() -> None:
    line = long_line({"a": 1, "big": "x" * 9000, "z": [1]})
    fields = json.loads(stub(line, 4089))["fields"]
    assert list(fields.items()) == [("a", 1), ("z", [1]), ("_spilled", len(line))]


@pytest.mark.parametrize("limit", [1017, 4088, 4089, 4090])
@pytest.mark.parametrize("size", [1, 2, 7, 50, 400])
def test_a_stub_fits_and_uses_its_room(limit: int, size: int) -> None:
    line = long_line({f"name{number}": "\u202eü" * size for number in range(300)})
    short = stub(line, limit)
    member = len(f',"name100":"{"u202e" * size}"') + size * 3
    assert limit - member <= len(short) <= limit
    assert short.endswith(b"}\n")


@pytest.mark.parametrize("name", ["_spilled", "ümlaut", "\u2028"])
def test_a_stub_of_strange_names_fits(name: str) -> None:
    line = long_line({name: "x" * 5000, "b" + name: "y"})
    short = stub(line, 4089)
    assert len(short) <= 4089
    assert json.loads(short)["fields"] == {"b" + name: "y", "_spilled": len(line)}


def test_a_stub_stays_one_line_of_safe_characters() -> None:
    short = stub(long_line({"note": "a\u2028b\x7f\u009b\n王", "big": "x" * 9000}), 4089)
    assert rb"a\u2028b\u007f\u009b\u000a" in short
    assert "王".encode() in short
    assert short.count(b"\n") == 1


@for_each("size", range(700, 760))
def test_a_stub_fits_whatever_is_in_the_record(size: int) -> None:
    fields = {f"n{at}": 1e22 for at in range(40)} | {"s": "\ud800", "t": "x" * 3000}
    whole = RECORDS[1] | {"fields": fields}
    assert len(stub(to_json(whole).encode() + b"\n", size)) <= size


@pytest.mark.parametrize(
    "ts",
    [
        "2026-02-29T00:00:00.000000000Z",
        "2026-13-01T00:00:00.000000000Z",
        "2026-00-01T00:00:00.000000000Z",
        "2026-01-00T00:00:00.000000000Z",
        "2026-04-31T00:00:00.000000000Z",
        "2026-01-01T24:00:00.000000000Z",
        "2026-01-01T00:60:00.000000000Z",
        "2026-01-01T00:00:60.000000000Z",
        "0000-01-01T00:00:00.000000000Z",
        "2026-01-01T00:00:00.00000000Z",
        "+026-01-01T00:00:00.000000000Z",
        "",
    ],
)
def test_what_is_no_time_is_refused(ts: str) -> None:
    with pytest.raises(ValueError, match="time"):
        ns_of(ts)


@given(st.integers(0, 253402300799 * 10**9))
def test_a_time_is_what_was_written(ns: int) -> None:
    assert ns_of(ts_of(ns)) == ns


def test_the_next_nanosecond_may_be_of_the_next_year() -> None:
    assert bump('{"ts":"2026-12-31T23:59:59.999999999Z",') == (
        '{"ts":"2027-01-01T00:00:00.000000000Z",'
    )
