"""Marks of events that do not fit their schema: each event is recorded, and nothing is forged."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from support.plain_log_reader import chain_ok, records

from audit_emit import Emitter, Event, emit
from audit_emit._core import default as _process
from audit_emit._core.record_builder import RecordBuilder
from audit_emit.errors import SchemaError
from audit_emit.testing import capture, strict

CANARY = "CANARY-" + "90a1f7c3"


class SecretSet(Event, type="secret.set"):
    key: str
    scope: Literal["global", "workspace"] = "global"


class Type(StrEnum):
    SET = "secret.set"


@pytest.fixture
def marking(log: Path) -> Iterator[Emitter]:
    made = Emitter(service="tests", jsonl=log, stdout=False, schemas=[SecretSet])
    yield made
    made.close()


def test_what_fits_is_recorded_as_it_is(marking: Emitter, log: Path) -> None:
    assert marking.emit(None, "secret.set", {"key": "A"})
    assert records(log)[-1]["fields"] == {"key": "A"}
    assert marking.counters.schema_violations == 0


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({"kye": "A"}, ["key: missing", "kye: unknown"]),
        (None, ["key: missing"]),
        ({"key": 5, "scope": CANARY}, ["key: type", "scope: value"]),
    ],
)
def test_what_does_not_is_recorded_with_its_reasons(
    marking: Emitter, log: Path, fields: Any, marks: list[str]
) -> None:
    assert marking.emit(None, "secret.set", fields)
    record = records(log)[-1]["fields"]
    assert record.pop("_schema") == marks
    assert record == (fields or {})
    chain_ok(log)


def test_it_is_counted_and_told_once_without_a_value(
    marking: Emitter, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        marking.emit(None, "secret.set", {"key": "A", "scope": CANARY})
    health = marking.health()
    assert health["counters"]["schema_violations"] == 3
    assert health["status"] == "ok"
    assert "3 events do not fit the schema of their type" in health["notes"][-1]
    said = capfd.readouterr().err
    assert said == "audit_emit: secret.set does not fit its schema: scope: value\n"


def test_a_type_without_a_schema_is_none_of_its_business(marking: Emitter, log: Path) -> None:
    marking.emit(None, "secret.read", {"anything": 1})
    assert "_schema" not in records(log)[-1]["fields"]


def test_a_caller_cannot_write_the_mark(marking: Emitter, log: Path) -> None:
    marking.emit(None, "secret.read", {"_schema": ["key: missing"]})
    assert records(log)[-1]["fields"] == {"_schema~1": ["key: missing"]}
    marking.emit(None, "secret.set", {"key": "A", "_schema": "mine"})
    assert records(log)[-1]["fields"] == {
        "key": "A",
        "_schema~1": "mine",
        "_schema": ["_schema~1: unknown"],
    }


@pytest.mark.parametrize("text", [',"fields":{', '"},"fields":{"x":1', '\\","fields":{"'])
def test_an_identity_that_looks_like_fields_is_an_identity(
    marking: Emitter, log: Path, text: str
) -> None:
    marking.emit({"user_id": text}, "secret.set", {"kye": "A"})
    record = records(log)[-1]
    assert record["user_id"] == text
    assert record["fields"]["_schema"] == ["key: missing", "kye: unknown"]


def test_a_type_of_another_kind_of_text_has_its_schema(marking: Emitter, log: Path) -> None:
    marking.emit(None, Type.SET, {})
    assert records(log)[-1]["fields"] == {"_schema": ["key: missing"]}


@pytest.mark.parametrize("event_type", [None, 7, ["secret.set"], "Secret Set"])
def test_a_wrong_type_is_recorded_as_ever(marking: Emitter, log: Path, event_type: Any) -> None:
    assert marking.emit(None, event_type, {"n": 1})
    assert records(log)[-1]["event_type"] == "audit.invalid_event_type"


def test_a_held_back_value_fits(marking: Emitter, log: Path) -> None:
    marking.emit(None, "secret.set", {"key": "A", "scope": "ghp_" + "A1b2" * 9})
    assert records(log)[-1]["fields"] == {"key": "A", "scope": "[redacted]"}


def test_what_a_processor_leaves_is_what_is_looked_at(log: Path) -> None:
    def without_key(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        del event["key"]
        return event

    with_processor = Emitter(jsonl=log, stdout=False, schemas=[SecretSet], processors=[without_key])
    with_processor.emit(None, "secret.set", {"key": "A"})
    with_processor.close()
    assert records(log)[-1]["fields"] == {"_schema": ["key: missing"]}


def test_a_mark_makes_no_record_too_long(marking: Emitter, log: Path) -> None:
    hostile = {f"\x01\u202e{n}" * 60: "\x02" * 3000 for n in range(200)}
    assert marking.emit({"user_id": "\x03" * 300}, "secret.set", hostile)
    line = log.read_bytes().splitlines()[-1]
    assert b'"_schema"' in line
    assert len(line) <= 65536


def test_an_event_that_cannot_be_judged_is_recorded(
    marking: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("audit_emit._core.marking.violations", broken)
    assert marking.emit(None, "secret.set", {"kye": 1})
    assert records(log)[-1]["fields"] == {"kye": 1, "_schema": ["fields: unchecked"]}


def test_emit_strict_refuses_no_event_for_it(marking: Emitter, log: Path) -> None:
    assert marking.emit_strict(None, "secret.set", {"kye": 1})
    assert "_schema" in records(log)[-1]["fields"]


def test_the_observer_is_told_and_a_strict_test_fails(log: Path) -> None:
    seen: list[tuple[str, list[str]]] = []

    def on_error(error: BaseException, stage: str, _: str | None) -> None:
        assert isinstance(error, SchemaError)
        seen.append((stage, list(error.reasons)))

    emitter = Emitter(jsonl=log, stdout=False, schemas=[SecretSet], on_error=on_error)
    emitter.emit(None, "secret.set", {})
    assert seen == [("schema", ["key: missing"])]
    with pytest.raises(SchemaError, match=r"secret\.set does not fit.*key: missing"), strict():
        emitter.emit(None, "secret.set", {})
    emitter.close()


def test_without_schemas_nothing_of_this_is_on_the_way(emitter: Emitter) -> None:
    assert type(emitter.builder) is RecordBuilder


def test_captured_events_say_whether_they_fit() -> None:
    _process.configure(stdout=False, schemas=[SecretSet])
    with capture() as events:
        emit(None, "secret.set", {"key": "A"})
        events.assert_fits_schemas()
        emit(None, "secret.set", {"kye": "A"})
    with pytest.raises(AssertionError, match=r"secret\.set: key: missing, kye: unknown"):
        events.assert_fits_schemas()


def test_both_ways_mark_alike(log: Path) -> None:
    """The quick way, and the full way that a value of another type takes."""
    made = Emitter(jsonl=log, stdout=False, schemas=[SecretSet])
    made.emit(None, "secret.set", {"scope": "x"})
    made.emit(None, "secret.set", {"scope": "x", "more": {1, 2}})
    made.close()
    quick, full = (record["fields"]["_schema"] for record in records(log)[-2:])
    assert quick == ["key: missing", "scope: value"]
    assert full == ["key: missing", "scope: value", "more: unknown"]
