"""CloudEvents: the published examples, the SDK, and the bytes of the record."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from support.export_records import HOSTILE, LINES, examples
from support.for_each import for_each

from audit_emit._export.formats import chosen
from audit_emit._export.record import Record

NAME = re.compile(r"[a-z0-9]{1,20}")


def written(line: bytes, **options: Any) -> bytes:
    record = Record.of(line)
    assert record is not None
    return chosen("cloudevents", **options).event(record)


@pytest.mark.parametrize(("line", "expected"), examples("cloudevents-1.0"))
def test_a_record_becomes_the_published_event(line: bytes, expected: Any) -> None:
    assert json.loads(written(line, type_prefix="org.example")) == expected


NO_TEXT = ("a byte order mark", "UTF-16", "bytes that are no text")


@for_each("line", [*LINES, *(one for name, one in HOSTILE.items() if name not in NO_TEXT)])
def test_the_event_ends_in_the_bytes_of_the_record(line: bytes) -> None:
    assert written(line).endswith(b',"data":' + line + b"}\n")


@pytest.mark.parametrize("name", NO_TEXT)
def test_bytes_that_would_spoil_the_event_are_in_it_as_base64(name: str) -> None:
    event = json.loads(written(HOSTILE[name]).decode())
    assert b64decode(event["data_base64"]) == HOSTILE[name]
    assert event["datacontenttype"] == "application/octet-stream"
    assert "data" not in event


@for_each("line", [*LINES, *HOSTILE.values()])
def test_required_attributes_are_texts_with_something_in_them(line: bytes) -> None:
    head = json.loads(written(line).partition(b',"data":')[0].rstrip(b"}\n") + b"}")
    head.pop("data_base64", None)
    for name, value in head.items():
        assert NAME.fullmatch(name)
        assert isinstance(value, str)
        assert value, name
    assert {"specversion", "id", "source", "type"} <= set(head)


@pytest.mark.parametrize("line", LINES)
def test_the_sdk_reads_it(line: bytes) -> None:
    message = HTTPMessage(
        {"content-type": "application/cloudevents+json"}, written(line).rstrip(b"\n")
    )
    event = from_structured_event(message, JSONFormat())
    assert event.get_type() == f"audit_emit.{json.loads(line)['event_type']}"
    assert event.get_data() == json.loads(line)


@pytest.mark.parametrize("prefix", ["", "a b", "x\n", ".", "é"])
def test_a_prefix_that_is_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="no prefix of a type"):
        chosen("cloudevents", type_prefix=prefix)
