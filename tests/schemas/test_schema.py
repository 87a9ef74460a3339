"""Both kinds of schemas, class and document, find the same in the same fields."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
import pytest

from audit_emit import Event
from audit_emit._schemas.of_class import ClassSchema
from audit_emit._schemas.of_document import DocumentSchema
from audit_emit._schemas.schema import Schema, told, violations

HELD = "hmac-sha256:0a1b2c3d:0123456789abcdef"


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sku: Annotated[str, msgspec.Meta(max_length=4)]


class Sold(Event, type="item.sold"):
    key: Annotated[str, msgspec.Meta(pattern="^[A-Z]{1,8}$")]
    scope: Literal["global", "workspace"] = "global"
    n: Annotated[int, msgspec.Meta(ge=1)] = 1
    items: list[Item] = []  # noqa: RUF012 - msgspec copies it
    at: dt.datetime | None = None


BOTH = [ClassSchema(Sold), DocumentSchema("item.sold", Sold.json_schema())]


@pytest.fixture(params=BOTH, ids=["class", "document"])
def schema(request: pytest.FixtureRequest) -> Schema:
    found: Schema = request.param
    return found


def reasons(schema: Schema, fields: dict[str, Any]) -> list[str]:
    """Sorted: the order is each library's own."""
    found = told(violations(schema, fields))
    if not found:
        return []
    assert not schema.fits(msgspec.json.encode(fields).decode()), "it is looked at twice"
    return sorted(found)


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "A"},
        {"key": "A", "scope": "workspace", "n": 5, "items": [{"sku": "a"}]},
        {"key": "A", "at": "2026-01-01T00:00:00Z"},
        {"key": "A", "at": None},
    ],
)
def test_what_fits_does_so_at_first_sight(schema: Schema, fields: dict[str, Any]) -> None:
    assert schema.fits(msgspec.json.encode(fields).decode())
    assert violations(schema, fields) == []


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ["key: missing"]),
        ({"key": 5}, ["key: type"]),
        ({"key": "no"}, ["key: value"]),
        ({"key": "A", "kye": 1}, ["kye: unknown"]),
        ({"key": "A", "scope": "gobal"}, ["scope: value"]),
        ({"key": "A", "n": 0}, ["n: value"]),
        ({"key": "A", "n": "1"}, ["n: type"]),
        ({"key": "A", "items": [{"sku": "a"}, {}]}, ["items[1].sku: missing"]),
        ({"key": "A", "items": [{"sku": "abcde"}]}, ["items[0].sku: value"]),
        ({"key": 5, "x": 1, "n": 0}, ["key: type", "n: value", "x: unknown"]),
    ],
)
def test_what_does_not_fit_is_named_without_its_value(
    schema: Schema, fields: dict[str, Any], wanted: list[str]
) -> None:
    assert reasons(schema, fields) == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"key": HELD, "n": "[redacted]"},
        {"key": "A", "scope": "of [redacted]"},
        {"key": "[withheld]", "scope": f"aes256gcm:{'0a' * 8}:YWJj"},
        {"key": "A", "items": [{"sku": HELD}]},
        {"key": "A", "n": "12345678901234567890"},
        {"key": "A", "_redacted": ["key: token"], "_racy": True},
        {"key": "A", "items": [{"sku": "abcd…"}], "_cut": ["items[0].sku: 9000 characters"]},
        {"_cut": ["300 items, 256 kept"]},
        {"_lossy": "recursion"},
        {"_withheld": "my_processor"},
    ],
    ids=" ".join,
)
def test_what_redaction_and_limits_did_is_no_mistake_of_the_caller(
    schema: Schema, fields: dict[str, Any]
) -> None:
    assert violations(schema, fields) == []


def test_a_cut_excuses_nothing_else(schema: Schema) -> None:
    fields = {"key": "A", "scope": "gobal", "items": [], "_cut": ["items: 300 items, 256 kept"]}
    assert told(violations(schema, fields)) == ["scope: value"]


def test_a_few_reasons_are_enough(schema: Schema) -> None:
    said = told(violations(schema, {"key": "A", **{f"x{'y' * 100}{n}": n for n in range(20)}}))
    assert len(said) <= 9
    assert all(len(one) <= 90 for one in said)


def test_a_text_that_is_no_object_does_not_fit(schema: Schema) -> None:
    for body in ("[]", "{", "7", '{"key":"A"}}'):
        assert not schema.fits(body)
