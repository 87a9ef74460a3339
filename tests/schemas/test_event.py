from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from audit_emit import Event, Field


class SecretSet(Event, type="secret.set"):
    """A secret got a value."""

    key: Annotated[str, msgspec.Meta(description="Its name.")]
    scope: Literal["global", "workspace"] = "global"


def test_fields_are_given_by_name_and_stay() -> None:
    made = SecretSet(key="A")
    assert (made.key, made.scope) == ("A", "global")
    with pytest.raises(TypeError):
        SecretSet("A")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        made.key = "B"


def test_a_field_that_is_none_is_refused_where_the_event_is_made() -> None:
    with pytest.raises(TypeError, match="kye"):
        SecretSet(kye="A")  # type: ignore[call-arg]


@pytest.mark.parametrize("event_type", ["SecretSet", "audit.started", "secret set", "a" * 129])
def test_a_class_needs_a_type_that_may_be_emitted(event_type: str) -> None:
    with pytest.raises(TypeError, match=r"secret\.set"):

        class Wrong(Event, type=event_type):
            key: str


def test_a_field_cannot_hide_a_method() -> None:
    with pytest.raises(TypeError, match=r'msgspec\.field\(name="emit"\)'):

        class Wrong(Event, type="lamp.lit"):
            emit: str  # type: ignore[assignment]


def test_a_field_cannot_have_a_name_of_the_record() -> None:
    with pytest.raises(TypeError, match="_cut is a name that the library"):

        class Wrong(Event, type="hair.cut"):
            cut: str = msgspec.field(name="_cut")


def test_a_class_without_a_type_is_there_to_inherit_from() -> None:
    class About(Event):
        key: str

    class Read(About, type="secret.read"):
        times: int = 1

    assert About.__event_type__ == ""
    assert Read(key="A") == Read(key="A", times=1)
    assert Read.__event_type__ == "secret.read"


def test_an_option_of_msgspec_is_none_of_an_event_class() -> None:
    with pytest.raises(TypeError, match="array_like"):

        class Wrong(Event, type="a.b", array_like=True):
            key: str


def test_a_mark_says_nothing_by_itself() -> None:
    assert msgspec.structs.asdict(Field()) == {
        "personal": False,
        "subject": False,
        "retention_days": 0,
        "ocsf": "",
    }
