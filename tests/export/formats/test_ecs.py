"""ECS: the published examples, and Elastic's list of fields."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from support.export_records import HOSTILE, LINES, VECTORS, examples
from support.for_each import for_each

from audit_emit._export.formats import chosen
from audit_emit._export.formats.ecs import INDEX_TEMPLATE
from audit_emit._export.record import Record

FIELDS: dict[str, Any] = json.loads((VECTORS / "ecs-9.4.0.json").read_text("utf-8"))["fields"]
TEMPLATE: dict[str, Any] = json.loads(INDEX_TEMPLATE.read_text("utf-8"))
TEXTS = {"keyword", "match_only_text", "wildcard"}


def event_of(line: bytes) -> dict[str, Any]:
    record = Record.of(line)
    assert record is not None
    found: dict[str, Any] = json.loads(chosen("ecs").event(record))
    return found


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or path in {"labels", "audit_emit"}:
        return {path: value}
    found: dict[str, Any] = {}
    for name, one in value.items():
        found |= leaves(one, f"{path}.{name}".lstrip("."))
    return found


def check(event: dict[str, Any]) -> None:
    """Names, types, arrays and allowed values, as Elastic's list has them."""
    for path, value in leaves(event).items():
        if path == "audit_emit":
            continue
        field = FIELDS[path]
        assert isinstance(value, list) is field["array"], path
        for one in value if field["array"] else [value]:
            if field["type"] in TEXTS:
                assert isinstance(one, str), path
            elif field["type"] == "ip":
                ipaddress.ip_address(one)
            elif field["type"] == "long":
                assert type(one) is int, path
                assert -(2**63) <= one < 2**63, path
            elif path == "@timestamp":
                assert "1970" <= one < "2262", "what date_nanos takes"
            if "values" in field:
                assert one in field["values"], path
    assert all(isinstance(one, str) for one in event.get("labels", {}).values())
    allowed = [
        kind
        for category in event["event"].get("category", ())
        for kind in FIELDS["event.category"]["values"][category]
    ]
    if allowed:
        assert set(event["event"]["type"]) <= set(allowed)


@pytest.mark.parametrize(("line", "expected"), examples("ecs-9.4.0"))
def test_a_record_becomes_the_published_event(line: bytes, expected: Any) -> None:
    assert event_of(line) == expected


@pytest.mark.parametrize("line", LINES)
def test_an_event_follows_the_list_of_fields(line: bytes) -> None:
    check(event_of(line))


@for_each("name", HOSTILE)
def test_a_hostile_record_follows_it_with_its_line(name: str) -> None:
    event = event_of(HOSTILE[name])
    check(event)
    original = event["event"]["original"]
    assert original.encode("utf-8", "surrogateescape") == HOSTILE[name]


@pytest.mark.parametrize("line", LINES)
def test_the_index_template_maps_every_field(line: bytes) -> None:
    mapped = TEMPLATE["template"]["mappings"]
    for path in leaves(event_of(line)):
        node = mapped
        for name in path.split("."):
            node = node["properties"][name]


def test_the_index_template_flattens_the_fields() -> None:
    own = TEMPLATE["template"]["mappings"]["properties"]["audit_emit"]["properties"]
    assert own["fields"]["type"] == "flattened"


def test_the_index_template_has_the_types_of_the_list() -> None:
    mapped = TEMPLATE["template"]["mappings"]
    for path, field in FIELDS.items():
        if path in {"labels", "@timestamp", "event.original"}:
            continue
        node = mapped
        for name in path.split("."):
            node = node["properties"][name]
        assert node["type"] == field["type"], path
