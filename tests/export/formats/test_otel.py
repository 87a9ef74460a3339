"""OpenTelemetry: the published examples, and protobuf's own reader of OTLP JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from support.export_records import HOSTILE, LINES, changed, examples
from support.for_each import for_each

from audit_emit._export.formats import chosen
from audit_emit._export.record import Record


def event_of(line: bytes) -> dict[str, Any]:
    record = Record.of(line)
    assert record is not None
    found: dict[str, Any] = json.loads(chosen("otel").event(record))
    return found


def log_of(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    return found


def sorted_attributes(event: dict[str, Any]) -> dict[str, Any]:
    log_of(event)["attributes"].sort(key=lambda one: one["key"])
    return event


def read(event: dict[str, Any]) -> LogsData:
    """As protobuf reads it, which takes ids in Base64, where OTLP has them in hexadecimal."""
    log = log_of(event)
    for name in ("traceId", "spanId"):
        if name in log:
            log[name] = b64encode(bytes.fromhex(log[name])).decode()
    found: LogsData = json_format.ParseDict(event, LogsData())
    return found


@pytest.mark.parametrize(("line", "expected"), examples("otlp-json"))
def test_a_record_becomes_the_published_event(line: bytes, expected: Any) -> None:
    assert sorted_attributes(event_of(line)) == sorted_attributes(expected)


@pytest.mark.parametrize("line", LINES)
def test_protobuf_reads_it(line: bytes) -> None:
    data = read(event_of(line))
    log = data.resource_logs[0].scope_logs[0].log_records[0]
    assert log.event_name == json.loads(line)["event_type"]
    assert len(log.trace_id) in {0, 16}
    assert len(log.span_id) in {0, 8}


NO_TEXT = {"half a surrogate pair", "bytes that are no text"}
"""Of these protobuf has no text; their lines are there with half pairs."""


@for_each("name", sorted(set(HOSTILE) - NO_TEXT))
def test_protobuf_reads_a_hostile_record_with_its_line(name: str) -> None:
    data = read(event_of(HOSTILE[name]))
    attributes = data.resource_logs[0].scope_logs[0].log_records[0].attributes
    originals = [one.value.string_value for one in attributes if one.key == "log.record.original"]
    assert originals == [HOSTILE[name].decode()]


def test_no_attribute_is_there_twice() -> None:
    fields = {"method": "GET", "http.request.method": "x", "client_ip": "::1", "session": "s"}
    keys = [one["key"] for one in log_of(event_of(changed(10, fields=fields)))["attributes"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63 - 1, {"intValue": str(2**63 - 1)}),
        (2**63, {"stringValue": str(2**63)}),
        (True, {"boolValue": True}),
        (0.5, {"doubleValue": 0.5}),
        (None, {}),
        ([1], {"arrayValue": {"values": [{"intValue": "1"}]}}),
        ({"a": "b"}, {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}),
    ],
)
def test_a_value_has_its_type(value: Any, expected: Any) -> None:
    event = event_of(changed(14, fields={"x": value}))
    own = [one for one in log_of(event)["attributes"] if one["key"] == "audit_emit.fields.x"]
    assert own == [{"key": "audit_emit.fields.x", "value": expected}]
