"""Members of known types out of any line."""

from __future__ import annotations

import ipaddress
import json

import pytest
from support.export_records import HOSTILE, LINES
from support.for_each import for_each

from audit_emit._export.record import Record, address, encode, outcome


@pytest.mark.parametrize("line", LINES)
def test_a_record_has_the_members_of_its_line(line: bytes) -> None:
    record = Record.of(line)
    assert record is not None
    whole = json.loads(line)
    assert {name: getattr(record.is_, name) for name in whole} == whole


@for_each("name", HOSTILE)
def test_any_object_is_a_record_with_its_own_line(name: str) -> None:
    record = Record.of(HOSTILE[name])
    assert record is not None
    assert record.text.encode("utf-8", "surrogateescape") == HOSTILE[name]


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b"{", b'{"a":1}}', b"\xff", b'{"a":NaN}'])
def test_what_is_no_object_is_no_record(line: bytes) -> None:
    assert Record.of(line) is None


def test_a_member_of_another_type_becomes_its_json() -> None:
    record = Record.of(b'{"ts":1,"user_id":["a"],"fields":"x","seq":true}')
    assert record is not None
    assert record.is_.user_id == '["a"]'
    assert record.is_.fields == {"fields": "x"}
    assert record.is_.seq == 0


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("203.0.113.9", True),
        ("2001:db8::1", True),
        ("203.0.113.0/24", False),
        ("203.0.113", False),
        ("fe80::1%eth0", False),
        (7, False),
        ("", False),
    ],
)
def test_only_one_whole_address_is_one(value: object, *, is_one: bool) -> None:
    assert address(value) == (value if is_one else "")


@pytest.mark.parametrize(
    ("fields", "failed", "expected"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"outcome": "failure"}, False, True),
        ({"outcome": "Denied"}, False, True),
        ({"outcome": "success"}, True, False),
        ({"outcome": "perhaps"}, True, True),
        ({"outcome": 7}, False, False),
    ],
)
def test_the_outcome_of_the_fields_comes_first(
    fields: dict[str, object], *, failed: bool, expected: bool
) -> None:
    assert outcome(fields, failed=failed) is expected


def test_half_a_surrogate_pair_is_encoded_as_an_escape() -> None:
    assert encode({"a": "\ud800"}) == b'{"a":"\\ud800"}'


@pytest.mark.parametrize(
    "text",
    "0.0.0.0 255.255.255.255 256.1.1.1 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3.04 1..2.3 1.2.3.4. ::1 "
    "fe80::1 1.2.3.999 10.20.30.249 10.20.30.250 10.20.30.260 ::ffff:1.2.3.4 "
    "::ffff:1.2.3.256".split(),
)
def test_an_address_is_what_the_standard_library_takes_for_one(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert address(text) == ""
    else:
        assert address(text) == text
