from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import jsonschema_rs
import msgspec

from audit_emit import Event, Field
from audit_emit._schemas.documents import DRAFT, described, document_of


class Item(msgspec.Struct, frozen=True):
    sku: str


class Own:
    """A type of an application."""


class Sold(Event, type="item.sold"):
    """Somebody bought something."""

    item: Annotated[Item, msgspec.Meta(description="What.")]
    email: Annotated[str, Field(personal=True, subject=True, retention_days=90, ocsf="user.email")]
    how: Literal["card", "cash"] = "cash"
    took: dt.timedelta
    own: Own | None = None
    emit_: int = msgspec.field(name="emit", default=0)


DOCUMENT = document_of(Sold)


def test_a_class_is_a_json_schema_of_its_fields() -> None:
    jsonschema_rs.meta.validate(DOCUMENT)
    assert DOCUMENT["$schema"] == DRAFT
    assert DOCUMENT["title"] == "item.sold"
    assert DOCUMENT["description"] == "Somebody bought something."
    assert DOCUMENT["required"] == ["item", "email", "took"]
    assert DOCUMENT["additionalProperties"] is False
    assert list(DOCUMENT["properties"]) == ["item", "email", "how", "took", "own", "emit"]


def test_what_is_said_of_a_field_is_in_the_schema() -> None:
    assert DOCUMENT["properties"]["email"]["x-audit-emit"] == {
        "personal": True,
        "subject": True,
        "retention_days": 90,
        "ocsf": "user.email",
    }
    assert "x-audit-emit" not in DOCUMENT["properties"]["how"]


def test_a_field_that_may_be_unset_can_be_marked() -> None:
    class Seen(Event, type="user.seen"):
        address: Annotated[str, Field(personal=True)] | msgspec.UnsetType = msgspec.UNSET

    assert document_of(Seen)["properties"]["address"] == {
        "type": "string",
        "x-audit-emit": {"personal": True},
    }


def test_a_span_of_time_is_seconds_as_in_the_record() -> None:
    assert DOCUMENT["properties"]["took"] == {"type": "number"}


def test_the_method_of_the_class_gives_it() -> None:
    assert Sold.json_schema() == DOCUMENT


def test_fields_are_described_in_words() -> None:
    found = {one.name: one for one in described(DOCUMENT)}
    assert found["item"].type == "object"
    assert found["item"].required
    assert found["how"].type == '"card" or "cash"'
    assert not found["how"].required
    assert found["took"].type == "number"
    assert found["email"].marks == Field(
        personal=True, subject=True, retention_days=90, ocsf="user.email"
    )


def test_a_schema_that_somebody_else_wrote_is_described_as_far_as_it_goes() -> None:
    document = {
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"type": "array", "items": {"type": "string", "format": "uuid"}},
            "c": True,
            "d": {"$ref": "#/$defs/d"},
            "e": {"x-audit-emit": {"personal": "yes"}},
        },
        "$defs": {"d": {"$ref": "#/$defs/d"}},
        "required": "a",
    }
    assert [(one.name, one.type) for one in described(document)] == [
        ("a", "string or null"),
        ("b", "array of string (uuid)"),
        ("c", "any"),
        ("d", "any"),
        ("e", "any"),
    ]
    assert described({}) == []
