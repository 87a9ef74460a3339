"""Members of declared types are secret by any of their names."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import Redactor

HELD = "[redacted]"


class Account(pydantic.BaseModel):
    user: str = pydantic.Field(alias="login")
    first: str = pydantic.Field(alias="password")
    second: str = pydantic.Field("hunter2", serialization_alias="apiKey")
    third: str = pydantic.Field("hunter2", validation_alias="client_secret")
    fourth: str = pydantic.Field(
        "hunter2", validation_alias=pydantic.AliasChoices("other", pydantic.AliasPath("a", "token"))
    )
    password: str = pydantic.Field("hunter2", alias="note")
    sixth: str = pydantic.Field("hunter2", json_schema_extra={"writeOnly": True})
    seventh: str = pydantic.Field("hunter2", json_schema_extra={"format": "password"})


class Generated(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=lambda name: f"{name}_password")
    admin: str = ""


@pydantic_dataclass
class Validated:
    first: str = pydantic.Field(alias="password")


class Renamed(msgspec.Struct, rename={"first": "password"}):
    first: str
    second: str = msgspec.field(name="apiKey")
    third: int = 3


@dataclasses.dataclass
class Described:
    first: str = dataclasses.field(metadata={"alias": "password"})
    second: str = dataclasses.field(metadata={"data_key": "api_key"})
    third: str = dataclasses.field(metadata={"sensitive": True})
    fourth: str = dataclasses.field(metadata={"help": "the password of nobody"})


class Attribute:
    """As attrs declares a member."""

    def __init__(self, name: str, alias: str, metadata: dict[str, Any]) -> None:
        self.name, self.alias, self.metadata, self.repr = name, alias, metadata, True


class OfAttrs:
    __attrs_attrs__ = (
        Attribute("first", "password", {}),
        Attribute("second", "second", {"secret": True}),
        Attribute("third", "third", {}),
    )

    def __init__(self) -> None:
        self.first = self.second = "hunter2"
        self.third = "shown"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            Account.model_validate({"login": "u-17", "password": "hunter2"}),
            {"user": "u-17"}
            | dict.fromkeys(("first", "second", "third", "fourth"), HELD)
            | dict.fromkeys(("password", "sixth", "seventh"), HELD),
        ),
        (Generated.model_validate({"admin_password": "hunter2"}), {"admin": HELD}),
        (Validated(password="hunter2"), {"first": HELD}),
        (Renamed("hunter2", "hunter2"), {"first": HELD, "second": HELD, "third": 3}),
        (
            Described("hunter2", "hunter2", "hunter2", "shown"),
            {"first": HELD, "second": HELD, "third": HELD, "fourth": "shown"},
        ),
        (OfAttrs(), {"first": HELD, "second": HELD, "third": "shown"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_member_is_secret_by_any_of_its_names(value: object, shown: dict[str, Any]) -> None:
    assert Normaliser(Redactor()).full("a.b", {"x": value}).value == {"x": shown}
    assert Normaliser(Redactor()).full("a.b", value).value == shown


def test_names_of_a_users_own_count_as_further_names_too() -> None:
    redactor = Redactor(secret_keys={"login"})
    made = Normaliser(redactor).full(
        "a.b", Account.model_validate({"login": "u-17", "password": "hunter2"})
    )
    assert made.value["user"] == HELD


def test_what_a_further_name_holds_back_is_nowhere_else() -> None:
    fields = {"x": Renamed("hunter2", "hunter3"), "note": "u-17 typed hunter2"}
    assert Normaliser(Redactor()).full("a.b", fields).value["note"] == f"u-17 typed {HELD}"
