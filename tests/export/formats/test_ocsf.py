"""OCSF: the published examples, the schema, and what the schema does not catch."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from ocsf_json_schema import (  # type: ignore[import-untyped]
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,
)
from support.export_records import HOSTILE, LINES, changed, examples
from support.for_each import for_each

from audit_emit._export.formats import chosen
from audit_emit._export.formats.ocsf import CLASSES, VERSIONS
from audit_emit._export.record import Record

NAMES = {
    1008: "event_log_actvity",  # as it is spelled in the schema
    3001: "account_change",
    3002: "authentication",
    3004: "entity_management",
    3005: "user_access",
    4002: "http_activity",
    6003: "api_activity",
}


@cache
def validator(version: str, number: int, profiles: tuple[str, ...]) -> Any:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
    return jsonschema_rs.validator_for(schema.get_class_schema(NAMES[number], list(profiles)))


def event_of(line: bytes, version: str = VERSIONS[0]) -> dict[str, Any]:
    record = Record.of(line)
    assert record is not None
    written = chosen("ocsf", version=version).event(record)
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    found: dict[str, Any] = json.loads(written)
    return found


def check(event: dict[str, Any]) -> None:
    """The schema, and the three things that it lets pass."""
    profiles = tuple(event["metadata"].get("profiles", ()))
    errors = list(
        validator(event["metadata"]["version"], event["class_uid"], profiles).iter_errors(event)
    )
    assert not errors, [str(error) for error in errors]
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["activity_name"]
    assert 0 <= event["time"] < 10**13, "milliseconds, and not a finer unit"


@pytest.mark.parametrize(("line", "expected"), examples("ocsf-1.8.0"))
def test_a_record_becomes_the_published_event(line: bytes, expected: Any) -> None:
    assert event_of(line) == expected


@pytest.mark.thorough
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("line", LINES)
def test_an_event_is_valid_in_each_version(line: bytes, version: str) -> None:
    check(event_of(line, version))


@for_each("name", HOSTILE)
def test_a_hostile_record_is_a_valid_event_with_its_line(name: str) -> None:
    event = event_of(HOSTILE[name])
    check(event)
    assert event["raw_data"].encode("utf-8", "surrogateescape") == HOSTILE[name]


@pytest.mark.parametrize("method", "CONNECT DELETE GET HEAD OPTIONS POST PUT TRACE PATCH".split())
def test_each_method_is_an_activity(method: str) -> None:
    event = event_of(changed(10, fields={"method": method, "status": 200}))
    check(event)
    assert event["activity_name"] == method.capitalize()


@pytest.mark.parametrize("kind", ["user", "admin", "cron", "service", "agent", "anonymous", ""])
def test_each_kind_of_actor_is_valid(kind: str) -> None:
    check(event_of(changed(5, actor_kind=kind)))
    check(event_of(changed(5, actor_kind=kind, user_id="")))


def test_a_record_that_its_class_cannot_take_is_api_activity() -> None:
    event = event_of(changed(5, fields={"other": 1}))
    assert event["class_uid"] == 6003
    assert event["api"]["operation"] == "secret.set"
    assert event["unmapped"]["fields"] == {"other": 1}


def test_the_hash_of_the_line_is_that_of_its_bytes() -> None:
    from hashlib import sha256

    event = event_of(LINES[4])
    assert event["raw_data_hash"]["value"] == sha256(LINES[4]).hexdigest()
    assert event["raw_data_size"] == len(LINES[4])


def test_every_class_has_a_schema_here() -> None:
    assert set(CLASSES) == set(NAMES)


def test_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"OCSF 1\.5\.0 is not written; 1\.8\.0"):
        chosen("ocsf", version="1.5.0")


PLACES = {
    "order.paid": {
        "shop": "api.service.uid",
        "from": "src_endpoint.ip",
        "note": "api.operation",
        "lines": "api.version",
        "odd": "class_name.x",
        "class": "class_uid",
        "raw": "raw_data",
    }
}


def placed(fields: dict[str, Any]) -> dict[str, Any]:
    line = changed(1, event_type="order.paid", fields=fields)
    record = Record.of(line)
    assert record is not None
    event: dict[str, Any] = json.loads(chosen("ocsf", places=PLACES).event(record))
    return event


def test_a_field_goes_where_its_schema_says() -> None:
    event = placed({"shop": "berlin", "from": "203.0.113.9", "left": 1})
    check(event)
    assert event["api"]["service"]["uid"] == "berlin"
    assert event["src_endpoint"]["ip"] == "203.0.113.9"
    assert event["unmapped"]["fields"] == {"left": 1}


def test_what_is_there_already_or_cannot_stand_there_stays_a_field() -> None:
    fields = {"note": "x", "from": "203.0.113.0/24", "lines": ["1"], "class": 7, "raw": "x"}
    event = placed(fields)
    check(event)
    assert event["unmapped"]["fields"] == fields
    assert event["class_uid"] == 6003
