from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
import pytest
from support.plain_log_reader import records

from audit_emit import Emitter, Event, Secret, Subject
from audit_emit._schemas.event import EventMeta
from audit_emit._schemas.of_class import ClassSchema
from audit_emit._schemas.schema import told, violations


class Colour(Enum):
    RED = "red"


class Everything(Event, type="any.thing"):
    at: dt.datetime
    day: dt.date
    took: dt.timedelta
    price: Decimal
    colour: Colour
    id: UUID
    raw: bytes
    path: Path
    password: Secret
    tags: frozenset[str]
    pair: tuple[int, str]
    odd: float | None = None
    left_out: int | msgspec.UnsetType = msgspec.UNSET
    from_: str = msgspec.field(name="from", default="x")


def test_values_of_every_type_fit_as_they_are_recorded(emitter: Emitter, log: Path) -> None:
    event = Everything(
        at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        day=dt.date(2026, 1, 1),
        took=dt.timedelta(seconds=1),
        price=Decimal("1.50"),
        colour=Colour.RED,
        id=UUID(int=1),
        raw=b"abc",
        path=Path("/x"),
        password=Secret("hunter2hunter2"),
        tags=frozenset({"a"}),
        pair=(1, "a"),
        odd=float("nan"),
    )
    names = zip(Everything.__struct_fields__, Everything.__struct_encode_fields__, strict=True)
    values = {encoded: getattr(event, name) for name, encoded in names}
    del values["left_out"]
    emitter.emit(None, "any.thing", values)
    assert violations(ClassSchema(Everything), records(log)[-1]["fields"]) == []


def test_a_value_of_a_person_is_no_mistake(log: Path) -> None:
    class Seen(Event, type="user.seen"):
        email: Subject
        name: str | Subject
        note: Annotated[Subject | None, msgspec.Meta(description="Why.")] = None

    made = Emitter(jsonl=log, stdout=False, schemas=[Seen])
    person = Subject("u-17", "kim@example.com")
    made.emit(None, "user.seen", {"email": person, "name": "Kim", "note": person})
    made.emit(None, "user.seen", {"email": person, "name": person})
    made.close()
    assert [one["fields"].get("_schema") for one in records(log)[-2:]] == [None, None]
    assert Seen.json_schema()["required"] == ["email", "name"]
    assert Seen.json_schema()["properties"]["note"]["description"] == "Why."


def test_the_code_of_an_event_class_is_not_run_for_a_check() -> None:
    class Hostile(Event, type="a.b"):
        key: str

        def __post_init__(self) -> None:
            raise SystemExit("a check has made an object")

    assert ClassSchema(Hostile).fits('{"key":"A"}')


def event_class(**annotations: Any) -> type[Event]:
    """A class of fields of these types."""
    made: Any = EventMeta("Made", (Event,), {"__annotations__": annotations}, type="a.b")
    return cast("type[Event]", made)


@pytest.mark.parametrize("pattern", ["(a+)+$", "[a-z]+$", "^[a-z]+x[a-z]+$", r"(a)\1"])
def test_a_pattern_that_takes_long_is_refused(pattern: str) -> None:
    slow = event_class(key=Annotated[str, msgspec.Meta(pattern=pattern)])
    with pytest.raises(ValueError, match="can take too long"):
        ClassSchema(slow)


@pytest.mark.parametrize("pattern", ["^[a-z]+$", "^sk_", "x{1,64}y", r"^[A-Z_]{1,32}\$"])
def test_a_pattern_that_takes_linear_time_is_taken(pattern: str) -> None:
    schema = ClassSchema(event_class(key=Annotated[str, msgspec.Meta(pattern=pattern)]))
    assert told(violations(schema, {"key": "0"})) == ["key: value"]


def test_a_type_that_only_an_application_knows_takes_every_value() -> None:
    class Own:
        pass

    schema = ClassSchema(event_class(one=Any, own=Own))
    assert violations(schema, {"one": 1, "own": ["anything"]}) == []
    assert told(violations(schema, {"one": 1})) == ["own: missing"]
