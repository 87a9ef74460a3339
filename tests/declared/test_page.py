from __future__ import annotations

from typing import Annotated

import msgspec

from audit_emit import Event, Field
from audit_emit._declared.page import as_data, page
from audit_emit._schemas.given import schemas
from audit_emit._schemas.schema import Schemas


class Invited(Event, type="user.invited"):
    """Somebody was asked."""

    email: Annotated[
        str,
        msgspec.Meta(description="Whom."),
        Field(personal=True, subject=True, retention_days=90, ocsf="user.email_addr"),
    ]
    role: str | None = None


def given(*more: object) -> Schemas:
    found = schemas("schemas", [Invited, *more])
    assert found
    return found


def test_a_page_has_each_event_with_its_fields() -> None:
    assert page(given(), "Events") == (
        "# Events\n\n## user.invited\n\nSomebody was asked.\n\n"
        "| Field | Type | | |\n|---|---|---|---|\n"
        "| `email` | `string` | required | Whom. Personal data. Names the person whom it is about. "
        "Needed for 90 days. OCSF: `user.email_addr`. |\n"
        "| `role` | `string or null` |  |  |\n"
    )


def test_the_same_for_programs() -> None:
    (found,) = as_data(given())
    assert found["event_type"] == "user.invited"
    assert [(one["name"], one["required"]) for one in found["fields"]] == [
        ("email", True),
        ("role", False),
    ]
    assert found["fields"][0]["marks"]["retention_days"] == 90


def test_a_schema_cannot_break_the_page() -> None:
    hostile = {
        "description": "<script>\x1b[31m | x\n# heading",
        "properties": {"a`|b\n": {"description": "|\u202e", "enum": ["`|"]}},
    }
    made = page(given({"a.b": hostile}), "T")
    assert "<script>" not in made
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert "\n# heading" not in made
    rows = [row for row in made.splitlines() if row.startswith("| `a")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5
