from __future__ import annotations

from typing import Any

import pytest

from audit_emit._schemas.of_document import DocumentSchema
from audit_emit._schemas.schema import told, violations


@pytest.mark.parametrize(
    "document",
    [
        {"type": "strang"},
        {"$ref": "https://example.com/other.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"$schema": "https://example.com/draft"},
        {"properties": {"a": {"pattern": "(?=a)b"}}},
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_used_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is no JSON Schema that can be used"):
        DocumentSchema("a.b", document)


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#"]
)
def test_older_drafts_are_taken(draft: str) -> None:
    schema = DocumentSchema("a.b", {"$schema": draft, "properties": {"n": {"type": "integer"}}})
    assert schema.fits('{"n":1}')
    assert not schema.fits('{"n":"x"}')


def test_without_additional_properties_every_name_is_taken() -> None:
    assert DocumentSchema("a.b", {"properties": {}}).fits('{"anything":1}')


def test_what_is_told_of_a_combination_has_no_value() -> None:
    schema = DocumentSchema("a.b", {"properties": {"a": {"oneOf": [{"type": "null"}]}}})
    assert told(violations(schema, {"a": "hunter2"})) == ["a: value"]
    nested = DocumentSchema("a.b", {"additionalProperties": {"type": "integer"}})
    assert told(violations(nested, {"a": "hunter2"})) == ["a: type"]


def test_an_unevaluated_member_is_unknown() -> None:
    schema = DocumentSchema("a.b", {"properties": {"a": {}}, "unevaluatedProperties": False})
    assert told(violations(schema, {"b": 1})) == ["b: unknown"]


def test_a_pattern_is_matched_in_linear_time() -> None:
    schema = DocumentSchema("a.b", {"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert not schema.fits('{"a":"%s!"}' % ("a" * 8000))  # for ever in an engine that backtracks
