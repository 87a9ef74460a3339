from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import datetime as dt
import decimal
import functools
import json
import sys
import threading
import types
import urllib.parse
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import difficult_values
from support.for_each import for_each
from support.processor_time import a_millisecond, takes_less

from audit_emit._fields import normaliser as coerce
from audit_emit._fields.normaliser import MISSING, Normalised, Normaliser, is_secret_event
from audit_emit._format import encode
from audit_emit._redaction import words
from audit_emit._redaction.redactor import Redactor, Secret
from audit_emit._runtime import compiled as _compiled
from audit_emit._runtime.failure import Counters

HELD = "[redacted]"
HERE = difficult_values.__name__
SET = {
    "key": "ANTHROPIC_API_KEY",
    "value_hash": "3f8a1b2c",
    "scope": "workspace",
    "operation": "set",
}
CASES = [pytest.param(make, id=name) for name, make in difficult_values.CASES]
NEEDLES = ("canary", "C4n4ry", "73911842")


@pytest.fixture
def normaliser() -> Normaliser:
    return Normaliser(Redactor())


def plain(fields: object, event_type: str = "x.y") -> Any:
    return Normaliser(Redactor()).full(event_type, fields).value


def one(value: object, event_type: str = "x.y") -> Any:
    return plain({"x": value}, event_type)["x"]


# Any value


@pytest.mark.thorough
@for_each("make", CASES)
@pytest.mark.parametrize("event_type", ["x.y", "secret.set"])
def test_any_fields_become_json_of_bounded_size(make: Callable[[], Any], event_type: str) -> None:
    for fields in (make(), {"x": make()}, [make()], {"password": make()}, {1: [{"y": make()}]}):
        text = encode.to_json(Normaliser(Redactor(b"k" * 32)).full(event_type, fields).value)
        assert type(json.loads(text)) is dict
        assert len(text.encode()) <= 60 * 1024


@for_each("make", CASES)
@pytest.mark.parametrize("key", [None, b"k" * 32])
def test_no_canary_is_in_any_output(make: Callable[[], Any], key: bytes | None) -> None:
    normaliser = Normaliser(Redactor(key))
    for fields in (make(), {"x": make()}, [make()], {"password": make()}, {"x": {"y": [make()]}}):
        done = normaliser.full("x.y", fields)
        text = encode.to_json([done.value, done.workspace_id is MISSING])
        assert not [needle for needle in NEEDLES if needle in text]


@for_each("make", CASES)
def test_nothing_lazy_is_evaluated(make: Callable[[], Any]) -> None:
    before = difficult_values.Query.evaluated
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain({"x": make()})
    assert difficult_values.Query.evaluated == before


def test_a_generator_is_not_advanced() -> None:
    numbers = iter([1, 2])
    generator = (n for n in numbers)
    assert one(generator) == "<generator>"
    assert next(generator) == 1


@for_each(
    "value, expected",
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (10**5000, "<int 16610 bits>"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        (
            dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2026-01-02T01:00:00Z",
        ),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001
        (dt.timedelta(seconds=90), 90.0),
        (difficult_values.Colour.RED, "red"),
        (difficult_values.Colour.BLUE, 2),
        (difficult_values.StrSub("abc"), "abc"),
        (difficult_values.IntSub(5), 5),
        ({3, "1"}, ["1", 3]),
        ((1, 2), [1, 2]),
        (difficult_values.Proxy(), f"<{HERE}.Proxy>"),
        (difficult_values.BadStr(), f"<unrepresentable {HERE}.BadStr>"),
        (difficult_values.NotStr(), f"<unrepresentable {HERE}.NotStr>"),
        (difficult_values.Login(), {"user": "u", "password": HELD, "hidden": HELD}),
        (difficult_values.Struct(), {"client_secret": HELD}),
        (
            difficult_values.Model(),
            {"user": "u", "dbPass": HELD, "token_count": 3, "other": HELD, "raw": HELD},
        ),
        (ValueError("no"), {"type": "ValueError", "message": "no"}),
        (int, "<int>"),
        (Secret("x"), HELD),
    ],
)
def test_the_value_table(value: object, expected: object) -> None:
    assert one(value) == expected


def test_negative_zero_is_kept() -> None:
    assert encode.to_json(one(-0.0)) == "-0.0"


def test_big_bytes_are_their_length_and_digest() -> None:
    assert one(b"x" * 2000).startswith("<bytes 2000 sha256:")


def test_a_cycle_is_cut() -> None:
    assert one(difficult_values.cycle()) == {"a": ["<cycle>"]}


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert one([shared, shared]) == [[1], [1]]


def test_keys_become_text_and_stay_apart() -> None:
    assert one({1: "a", "1": "b", None: "c", False: "d", b"1": "e"}) == {
        "1": "a",
        "1~1": "b",
        "null": "c",
        "false": "d",
        "1~2": "e",
    }


def test_a_secret_in_a_key_of_several_parts_is_held_back() -> None:
    assert one({("user", "password", "hunter2", 3): 5, ("a", "b"): 2}) == {
        f"(user, password, {HELD}, <int>)": HELD,
        "(a, b)": 2,
    }


def test_names_that_the_emitter_uses_get_a_suffix() -> None:
    assert plain({"_cut": 1, "_lossy": 2, "ts": 3}) == {"_cut~1": 1, "_lossy~1": 2, "ts": 3}


@pytest.mark.parametrize("fields", [5, "x", [1], None])
def test_a_scalar_goes_under_value(fields: object) -> None:
    assert plain(fields) == ({} if fields is None else {"value": fields})


def test_in_events_about_secrets_a_scalar_is_one() -> None:
    assert plain("hunter2", "secret.set") == {"value": HELD}


# workspace_id


def test_the_workspace_leaves_the_fields(normaliser: Normaliser) -> None:
    done = normaliser.full("x.y", {"a": 1, "workspace_id": "w"})
    assert (done.value, done.workspace_id) == ({"a": 1}, "w")


def test_the_workspace_of_large_fields_leaves_them_too(normaliser: Normaliser) -> None:
    fields = {str(n): n for n in range(1000)} | {"workspace_id": "w"}
    assert normaliser.full("x.y", fields).workspace_id == "w"


def test_without_a_workspace_it_is_missing(normaliser: Normaliser) -> None:
    assert normaliser.full("x.y", {"a": {"workspace_id": "w"}}).workspace_id is MISSING


def test_a_secret_as_workspace_is_held_back(normaliser: Normaliser) -> None:
    assert normaliser.full("x.y", {"workspace_id": difficult_values.SECRET}).workspace_id == HELD


# Redaction


def test_names_count_at_every_level(normaliser: Normaliser) -> None:
    done = normaliser.full("x.y", {"a": [{"b": ({"dbPass": 12},)}], "pin": 2, "x": None})
    assert done.value == {"a": [{"b": [{"dbPass": HELD}]}], "pin": HELD, "x": None}
    assert done.redacted == 2


def test_the_absence_of_a_secret_is_shown() -> None:
    assert plain({"password": None}) == {"password": None}


@pytest.mark.parametrize(
    "value",
    [
        ("password", "x"),
        (b"Cookie", b"a=b"),
        ["change", "user.password", ["x", "x"]],
        {"name": "password", "value": "x"},
        {"key": "API_KEY", "old": "x", "new": "x"},
        {"op": "replace", "path": "/user/password", "value": "x"},
        {"type": "x_y", "loc": ["body", "password"], "msg": "m", "input": "x", "ctx": "x"},
        {"loc": ("query", "api_key"), "input": {"a": "x"}},
        {"path": ["spec", "password"], "value": "x"},
        {"type": "password", "value": "x"},
        {"id": "password", "value": "x"},
        {"parameterName": "/prod/db/password", "parameterValue": "x"},
        {"kty": "RSA", "n": "z", "e": "AQAB", "d": "x"},
        {"kty": "oct", "k": "x"},
        {"kind": "Secret", "data": {"a": "x"}, "stringData": {"a": "x"}},
        ["cmd", "--password", "x"],
        ["mysql", "-uroot", "-px", "db"],
        ["/usr/bin/sshpass", "-p", "x", "ssh", "h"],
        ("sudo", "docker", "login", "-u", "bob", "-p", "x"),
        ["redis-cli", "-a", "x"],
        ["curl", "-u", "bob:x"],
    ],
)
def test_what_a_value_beside_names_is_held_back(value: Any) -> None:
    shown = one(value)
    parts = list(shown.values()) if isinstance(shown, dict) else shown
    assert HELD in parts
    assert not [part for part in parts if str(part).endswith("x")]


@pytest.mark.parametrize(
    "value",
    [
        {"loc": ["body", "name"], "msg": "m", "input": "x"},
        {"type": "token", "content": "x", "from": "y"},
        {"type": "session", "data": {"a": "x"}},
        {"n": "x", "e": "y", "d": "z"},
        {"input": "x", "type": "prompt"},
        ["docker", "run", "-p", "80:80"],
        ["mysql", "-p", "db"],
        ["ssh", "-p", "22"],
    ],
)
def test_what_stands_beside_other_names_is_shown(value: Any) -> None:
    assert one(value) == value


def test_the_place_of_a_url_is_held_back_up_to_the_host() -> None:
    split = urllib.parse.urlsplit("https://bob:hunter2@host/x")
    assert one(split)["netloc"] == f"{HELD}@host"
    assert one({"netloc": "host:80"}) == {"netloc": "host:80"}
    assert Normaliser(Redactor()).fast({"netloc": "bob:hunter2@host"}, False) is None


def test_in_events_about_secrets_values_are_held_back() -> None:
    assert plain({"key": "K", "value": 12, "oldValue": [2]}, "secret.set") == {
        "key": "K",
        "value": HELD,
        "oldValue": HELD,
    }


def test_a_json_text_is_redacted_by_the_same_rules() -> None:
    assert one('[["x-api-key", "x"], {"name": "pin", "value": 5}]') == (
        f'[["x-api-key","{HELD}"],{{"name":"pin","value":"{HELD}"}}]'
    )


@pytest.mark.parametrize(
    "value",
    [
        {"field": "value", "from": "hunter2", "to": "x"},
        [["value", "hunter2"]],
        ("plaintext", "hunter2"),
        '[["new_value", "hunter2"]]',
        '{"field": "value", "from": "hunter2", "pad": "' + "x" * 9000 + '"}',
    ],
    ids=str,
)
def test_in_events_about_secrets_the_name_of_a_value_is_that_of_a_secret(value: Any) -> None:
    assert "hunter2" not in str(one(value, "secret.set"))
    assert "hunter2" in str(one(value))


@pytest.mark.parametrize("before", ["", "\n", "\ufeff", " \r\n\t"])
@pytest.mark.parametrize("after", ["", '\n["pin", "hunter2"]\n', "\n{"])
@pytest.mark.parametrize("inner", ['["pin","hunter2"]', '{"value":"hunter2","name":"DB_PASSWORD"}'])
@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_json_text_is_found_however_it_stands(
    before: str, after: str, inner: str, kind: Callable[[str], Any]
) -> None:
    value = kind(before + inner + after)
    shown = one(value)
    assert HELD in shown
    assert "hunter2" not in shown
    assert Normaliser(Redactor()).fast({"x": value}, False) is None
    assert "hunter2" not in one(before + inner[:-1] + ', "' + "x" * 9000 + '"') or inner[0] == "["


def test_a_json_text_without_a_secret_is_left_as_it_is() -> None:
    assert one('{ "a" : 1.0 }') == '{ "a" : 1.0 }'


def test_a_secret_in_a_key_is_in_no_path_either(normaliser: Normaliser) -> None:
    done = normaliser.full("x.y", {difficult_values.SECRET: list(range(300))})
    assert done.value["_cut"] == [f"{HELD}: 300 items, 256 kept"]


def test_a_card_number_is_held_back_as_a_number_too() -> None:
    assert one(4111111111111111) == HELD
    assert one(-4111111111111111.0) == HELD
    assert one(decimal.Decimal(4111111111111111)) == HELD
    assert one(4111111111111112.0) == 4111111111111112.0
    assert one(4111111111111112) == 4111111111111112


def test_what_is_held_back_already_stays_as_it_is(normaliser: Normaliser) -> None:
    normaliser = Normaliser(Redactor(b"k" * 32))
    once = normaliser.full("x.y", {"password": "x", "note": "token=y"})
    again = normaliser.full("x.y", once.value)
    assert (again.value, again.redacted) == (once.value, 0)


# Limits


def full(fields: object) -> Callable[[], Normalised]:
    return lambda: Normaliser(Redactor()).full("x.y", fields)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "x" * n,
        lambda n: difficult_values.StrSub("x" * n),
        lambda n: b"x" * n,
        bytearray,
        lambda n: memoryview(bytes(n)),
        lambda n: list(range(n)),
        lambda n: tuple(range(n)),
        lambda n: set(range(n)),
        lambda n: collections.deque(range(n)),
        lambda n: dict.fromkeys(range(n)),
        lambda n: collections.ChainMap(dict.fromkeys(range(n))),
        lambda n: {"password": "x" * n},
        lambda n: {"password": list(range(n))},
        lambda n: {"x" * n: 1},
        lambda n: {"workspace_id": "x" * n},
    ],
)
def test_the_cost_does_not_grow_with_the_input(make: Callable[[int], Any]) -> None:
    # Copying, hashing or scanning 2,000,000 items takes several times as long as 20,000.
    small, large = make(20_000), make(2_000_000)
    assert takes_less(full({"x": large}), 0.002, times=3, than=full({"x": small}))


class Chained(collections.ChainMap[Any, Any]):
    pass


def emptied(kind: type[Any], size: int) -> Any:
    """One item in a table that was made for millions."""
    made: Any = kind.fromkeys(range(size)) if kind is dict else kind(range(size))
    for n in range(size - 1):
        made.pop(n) if kind is dict else made.discard(n)
    return made


@pytest.mark.thorough
@pytest.mark.parametrize("size", [3_000_000, 5_000_000])
@pytest.mark.parametrize("kind", [dict, set])
def test_a_table_of_places_long_empty_is_not_searched_again_and_again(
    kind: type[Any], size: int
) -> None:
    sparse = emptied(kind, size)
    ways: list[Any] = [sparse, [sparse] * 200]
    if kind is dict:
        ways += [
            types.MappingProxyType(sparse),
            [sparse.keys()] * 200,
            [collections.ChainMap(sparse)] * 200,
        ]
    for fields in ways:
        assert takes_less(full(fields), 0.15)
        assert full(fields)().cut or not isinstance(fields, list)
    assert Normaliser(Redactor()).fast(sparse, False) is None
    assert takes_less(lambda: Normaliser(Redactor()).fast(sparse, False), 0.005)


def test_a_chain_is_not_copied_however_it_is_nested() -> None:
    big = dict.fromkeys(range(2_000_000))
    for chain in (Chained(big), collections.ChainMap(collections.ChainMap(big))):
        assert takes_less(full({"x": chain}), 0.05)
    maps: list[Any] = [dict.fromkeys(range(256)) for _ in range(256)]
    many = [collections.ChainMap(*maps)] * 60
    assert takes_less(full({"x": many}), 0.1)


COSTLY: dict[str, Callable[[], Any]] = {
    "tiny floats": lambda: ["[" + "5e-324," * 1160 + "1]"] * 12,
    "huge floats": lambda: ["[" + "9e307," * 1360 + "1]"] * 12,
    "threes": lambda: ["411 " * 2000] * 12,
    "urls": lambda: ["://" * 2700 + "@"] * 12,
    "names of many parts": lambda: {f"aB{n}" * 250: 1 for n in range(256)},
    "names of digits": lambda: {f"{n} " + "411 " * 200: 1 for n in range(256)},
    "numbers like cards": lambda: [[4111111111111112] * 256 for _ in range(40)],
    "texts like cards": lambda: [["411 411 411 411 411 411 41"] * 256 for _ in range(40)],
    "escapes": lambda: ["\u202e" * 8192] * 12,
}


@pytest.mark.parametrize("make", COSTLY.values(), ids=COSTLY.keys())
def test_nothing_costs_much_more_than_all_else(make: Callable[[], Any]) -> None:
    # Half as much takes one on a machine at rest; what grows with the square takes hundreds.
    assert takes_less(full({"x": make()}), 0.0, times=80, than=a_millisecond)


def test_each_cut_is_listed(normaliser: Normaliser) -> None:
    done = normaliser.full(
        "x.y",
        {"text": "x" * 9000, "list": list(range(300)), "a": {"b": [difficult_values.deep(20)]}},
    )
    assert done.value["_cut"] == [
        "text: 9000 characters, 8192 kept",
        "list: 300 items, 256 kept",
        "a.b" + "[0]" * 14 + ": too deep",
    ]
    assert done.cut == 3
    assert len(done.value["text"]) == 8192
    assert len(done.value["list"]) == 256


class Counted(Mapping[str, int]):
    """Has 1000 items, whatever it says."""

    def __init__(self, length: Callable[[], int]) -> None:
        self._length = length

    def __iter__(self) -> Any:
        return (f"k{n}" for n in range(1000))

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return self._length()


class Open(pydantic.BaseModel):
    """A model that declares nothing."""

    model_config = pydantic.ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (Counted(lambda: 1 // 0), "more than 256 items, 256 kept"),
        (Counted(lambda: 0), "more than 256 items, 256 kept"),
        (Counted(lambda: 1000), "1000 items, 256 kept"),
        (
            collections.ChainMap[Any, Any]({"a": 1}, dict.fromkeys(range(300))),
            "more than 256 items, 256 kept",
        ),
        (Open.model_validate({f"k{n}": n for n in range(1000)}), "1000 items, 256 kept"),
        (b"x" * 2000, "2000 bytes, a digest kept"),
        (bytearray(100_000), "100000 bytes, a digest kept"),
        (memoryview(bytes(100_000)), "100000 bytes"),
        (10**5000, "an integer of 16610 bits"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_cut_of_a_value_is_told(value: object, note: str) -> None:
    shown = plain({"x": value})
    assert shown["_cut"] == [f"x: {note}"]
    assert not isinstance(shown["x"], dict) or len(shown["x"]) == 256


def test_a_mapping_that_claims_too_much_is_whole() -> None:
    class Small(Counted):
        def __iter__(self) -> Any:
            return iter("ab")

    assert plain({"x": Small(lambda: 2**60)}) == {"x": {"a": 1, "b": 1}}


def test_base64_that_the_record_has_no_room_for_is_told() -> None:
    shown = plain({"x": [b"x" * 1024] * 60})
    assert any("characters" in note for note in shown["_cut"])


def test_a_model_without_declared_fields_is_shown() -> None:
    assert one(Open.model_validate({"a": 1})) == {"a": 1}


def test_the_message_of_an_exception_is_cut_not_lost() -> None:
    shown = plain({"x": ValueError("y" * 20_000)})
    assert shown["x"]["message"] == "y" * 8192
    assert shown["_cut"] == ["x.message: 20000 characters, 8192 kept"]


@pytest.mark.parametrize("kind", [ValueError, KeyError, type("Own", (OSError,), {})])
def test_an_exception_about_very_much_is_not_asked_for_its_text(kind: type[Exception]) -> None:
    """It would be that of all that its arguments hold: for ever, where they share it."""
    shown = one(kind(difficult_values.laughs()))
    assert shown["type"].endswith(kind.__name__)
    assert type(shown["message"]) is list


def test_an_exception_about_a_little_says_it() -> None:
    assert one(ValueError({"a": [1]}, 2))["message"] == "({'a': [1]}, 2)"


@pytest.mark.parametrize("kind", [types.SimpleNamespace, argparse.Namespace])
def test_what_only_has_attributes_is_shown_by_them(kind: type) -> None:
    found = kind(password=difficult_values.PLAIN_SECRET, a=difficult_values.laughs())
    shown = one(found)
    assert shown["password"] == HELD
    assert type(shown["a"]) is list


def test_what_a_part_would_be_called_with_is_not_asked_for_its_text() -> None:
    assert one(functools.partial(print, difficult_values.laughs())) == "<functools.partial>"


@pytest.mark.parametrize("name", ["password", "pin", "acme_key"])
def test_a_number_with_too_many_digits_costs_no_other_field(name: str) -> None:
    assert plain({name: 10**5000, "a": 1})["a"] == 1


class OwnInt(int):
    def __le__(self, other: object) -> bool:
        raise RuntimeError("not yours")

    __ge__ = __lt__ = __gt__ = __neg__ = __le__  # type: ignore[assignment]


class OwnDatetime(dt.datetime):
    made = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> OwnDatetime:  # noqa: PYI034
        cls.made += 1
        return super().__new__(cls, *args, **kwargs)

    @property
    def tzinfo(self) -> dt.tzinfo:
        raise RuntimeError("not yours")


class OwnTime(dt.time):
    tzinfo = OwnDatetime.tzinfo


@for_each(
    "value,shown",
    [
        (OwnInt(5), 5),
        (OwnInt(10**30), str(10**30)),
        (OwnTime(1, 2), "01:02:00"),
        (OwnDatetime(2026, 1, 2), "2026-01-02T00:00:00"),
        (OwnDatetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00Z"),
    ],
)
def test_what_derives_from_a_plain_type_is_read_without_its_own_code(
    value: object, shown: object
) -> None:
    made = OwnDatetime.made
    assert one(value) == shown
    assert OwnDatetime.made == made


def test_an_id_without_a_number_costs_no_other_field(normaliser: Normaliser) -> None:
    given = {"id": uuid.UUID.__new__(uuid.UUID), "n": 1}
    assert normaliser.fast(given, False) is None
    assert normaliser.full("a.b", given).value == {"id": "<unrepresentable uuid.UUID>", "n": 1}


@pytest.mark.parametrize("row", [difficult_values.OfBadMeta(), difficult_values.OfLyingMeta()])
def test_a_class_that_compares_as_it_likes_is_not_asked_in_a_list(row: object) -> None:
    assert one([row, 1])[1] == 1


def test_the_list_of_cuts_is_bounded(normaliser: Normaliser) -> None:
    done = normaliser.full("x.y", {f"k{n}": range(300).__reduce__() for n in range(3)})
    assert done.cut == 0
    done = normaliser.full("x.y", [list(range(257)) for _ in range(40)])
    assert len(done.value["_cut"]) <= 33
    assert done.value["_cut"][-1].endswith(" more")


def test_too_many_values_are_cut(normaliser: Normaliser) -> None:
    done = normaliser.full("x.y", difficult_values.laughs())
    assert "too many values" in done.value["_cut"][-1] or "too long" in done.value["_cut"][-1]


@pytest.mark.thorough
@given(
    st.dictionaries(
        st.text(st.characters(), max_size=40).map(lambda text: text * 20),
        st.text(st.sampled_from("a\n\x9b王😀\ud800"), max_size=50).map(lambda text: text * 200),
        max_size=40,
    )
)
@settings(deadline=None)
def test_no_fields_are_longer_than_the_limit_in_bytes(fields: dict[str, str]) -> None:
    done = Normaliser(Redactor()).full("x.y", fields)
    assert len(encode.to_json(done.value).encode()) <= 60 * 1024
    assert all(
        len(encode.text(text).encode()) <= 8194
        for text in done.value.values()
        if isinstance(text, str)
    )


def test_work_that_leaves_nothing_is_bounded_too(normaliser: Normaliser) -> None:
    fields = [["password=" + "x" * 8000 for _ in range(256)] for _ in range(30)]
    assert takes_less(lambda: normaliser.full("x.y", fields), 2)
    assert normaliser.full("x.y", fields).cut


# Foreign code


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_what_ends_a_program_passes_through(
    normaliser: Normaliser, error: type[BaseException]
) -> None:
    class Ends:
        def __str__(self) -> str:
            raise error

    with pytest.raises(error):
        normaliser.full("x.y", {"x": Ends()})
    assert normaliser.full("x.y", {"x": difficult_values.Talks()}).redacted == 1


@pytest.mark.parametrize("error", [RecursionError, MemoryError, ZeroDivisionError])
def test_what_a_value_raises_costs_only_that_value(error: type[Exception]) -> None:
    class Fails:
        def __str__(self) -> str:
            raise error

    assert plain({"x": Fails(), "y": 1})["y"] == 1


@pytest.mark.parametrize("kind", [difficult_values.OfLyingMeta, difficult_values.OfUnhashableMeta])
def test_a_class_that_lies_costs_only_its_values(kind: type) -> None:
    shown = plain({"x": kind(), "y": 1, "z": kind})
    named = f"<{difficult_values.__name__}.{kind.__name__}>"
    assert shown == {"x": named, "y": 1, "z": named}


def test_a_value_that_normalises_itself_ends(normaliser: Normaliser) -> None:
    class Emits:
        seen: Any = None

        def __str__(self) -> str:
            Emits.seen = normaliser.full("x.y", {"self": self, "a": 1, "d": decimal.Decimal(1)})
            return "done"

    name = f"<unrepresentable {coerce.__name__}"
    assert normaliser.full("x.y", {"x": Emits()}).value == {"x": "done"}
    assert Emits.seen.value["a"] == 1
    assert Emits.seen.value["d"] == "1"
    assert Emits.seen.value["self"].startswith(name[:15])


def test_near_the_recursion_limit_fields_are_whole_or_declared_lost() -> None:
    normaliser = Normaliser(Redactor())
    normaliser.full("x.y", {"a": [1, {"b": 2}], "d": decimal.Decimal(1)})
    seen: set[str] = set()

    def down(levels: int) -> None:
        if levels:
            return down(levels - 1)
        try:
            done = normaliser.full("x.y", {"a": [1, {"b": 2}], "d": decimal.Decimal(1)})
        except RecursionError:
            seen.add("not entered")
        else:
            seen.add(str(done.value.get("_lossy", "whole")))
        return None

    depth = len(_frames())
    for room in range(3, 60):
        down_levels = sys.getrecursionlimit() - depth - room
        try:
            down(down_levels)
        except RecursionError:
            seen.add("not entered")
    assert "whole" in seen
    assert seen <= {"whole", "recursion", "not entered"}


def _frames() -> list[Any]:
    frames = []
    frame: Any = sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def test_a_dict_that_another_thread_changes_is_still_told() -> None:
    fields: dict[str, Any] = {"a": {}}
    stop = threading.Event()

    def change() -> None:
        n = 0
        while not stop.is_set():
            fields["a"][str(n % 500)] = n
            fields["a"].pop(str((n - 200) % 500), None)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            assert isinstance(plain(fields)["a"], dict)
    finally:
        stop.set()
        thread.join()


class Changing(Mapping[str, int]):
    def __iter__(self) -> Any:
        yield "a"
        raise RuntimeError("dictionary changed size during iteration")

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 2


def test_what_could_be_read_of_a_changing_mapping_is_kept() -> None:
    assert plain({"x": Changing()}) == {"x": {"a": 1}, "_racy": True}


# The fast way


@pytest.mark.parametrize("secret_event", [True, False])
def test_the_usual_fields_take_the_fast_way(normaliser: Normaliser, secret_event: bool) -> None:
    assert normaliser.fast(SET, secret_event) == encode.to_json(SET)


def test_names_of_ones_own_count_on_the_fast_way_too() -> None:
    normaliser = Normaliser(Redactor(secret_keys={"shoe_size"}, safe_keys={"password"}))
    assert normaliser.fast(SET, True) == encode.to_json(SET)
    assert normaliser.fast({"password": "x"}, True) == '{"password":"x"}'
    assert normaliser.fast({"shoeSize": 4}, False) is None
    assert normaliser.fast({"note": "shoe_size=4"}, False) == '{"note":"shoe_size=[redacted]"}'
    said = '{"note":"run --shoe_size [redacted]"}'
    assert normaliser.fast({"note": "run --shoe_size 4"}, False) == said


def test_numbers_ids_and_times_take_the_fast_way(normaliser: Normaliser) -> None:
    fields = {
        "status": 200,
        "ms": 1.25,
        "ok": True,
        "who": None,
        "id": "7b1e7f3e-5f0e-4c9e-9a56-0d6f4c1a0001",
        "at": "2026-05-19T20:00:00Z",
        "note": "user made\ta thing",
    }
    assert normaliser.fast(fields, False) == encode.to_json(plain(fields))


class Sub(dict[str, Any]):
    pass


@for_each(
    "fields",
    [
        None,
        [],
        Sub(a=1),
        {"workspace_id": "w"},
        {"_cut": 1},
        {"password": 1},
        {"password": ""},
        {"a": b"x"},
        {"a": difficult_values.StrSub("x")},
        {"a": difficult_values.StrEnum.A},
        {"a": difficult_values.IntSub(1)},
        {"a": 4111111111111111},
        {"a": 4111111111111111.0},
        {"a": "x" * 5000},
        {difficult_values.StrSub("a"): 1},
        {"kty": "oct", "k": "x"},
        {"a": "password=x"},
        {"a": '{"password": 1}'},
        {1: "x"},
        {"é": 1},
        dict.fromkeys(map(str, range(257))),
    ],
)
def test_whatever_is_out_of_the_ordinary_takes_the_full_way(
    normaliser: Normaliser, fields: Any
) -> None:
    assert normaliser.fast(fields, False) is None
    assert normaliser.fast(fields, True) is None


def test_a_name_that_only_equals_a_known_one_takes_the_full_way(normaliser: Normaliser) -> None:
    class Equal:
        def __hash__(self) -> int:
            return hash("key")

        def __eq__(self, other: object) -> bool:
            return True

    assert normaliser.fast({"key": 1}, False) == '{"key":1}'
    assert normaliser.fast({Equal(): 1}, False) is None
    assert normaliser.fast({difficult_values.LyingStr("password"): "hunter2"}, False) is None


class Named(str):
    """The name of a hostile value, which stands for it: not every one can be printed."""

    __slots__ = ()


TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        [
            difficult_values.SECRET,
            "password=hunter2",
            "password%3Dhunter2",
            "Bearer abc",
            "https://u:p@h/",
            "4111 1111 1111 1111",
            "4111.1111.1111.1111",
            "3782_822463_10005",
            "sk-" + "a1" * 12,
            "xoxb-" + "a1-" * 8,
            "AIza" + "a1-_" * 9,
            "eyJ" + "a-" * 8 + ".b-",
            *(f"gl{kind}-" + "a1-" * 8 for kind in "ptt cbt soat ft agent imt ffct".split()),
            *(prefix + "a1-" * 18 for prefix in "nvapi- tskey- figd_ 1//0 dckr_oat_".split()),
            *(prefix + "a1-" * 18 for prefix in ("pscale_pw_", "sb_secret_", "abc1Q~")),
            "abc1Q~" + "a1-" * 11,
            "bedrock-api-key-" + "a1+" * 18,
            "bob:x@h",
            "SG." + "a1-_" * 6,
            "ya29." + "a1-_" * 6,
            '{"pin":1}',
            "[]",
            "--pin 5",
            "<pin>5</pin>",
            "2026-05-19 20:00:00",
            "user@example.com",
        ]
    ),
)
NAMES = st.one_of(
    st.sampled_from([*SET, "a", "status", "value", "password", "workspace_id", "_cut", "oldValue"]),
    st.sampled_from(["kty", "k", "d", "netloc", "loc", "input", "type", "name"]),
    TEXTS,
)
VALUES = st.one_of(
    TEXTS,
    st.tuples(TEXTS, TEXTS).map("".join),
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**12, 10**19),
    st.floats(),
    st.binary(max_size=8),
    st.lists(TEXTS, max_size=2),
    st.sampled_from([name for name, _ in difficult_values.CASES]).map(Named),
)


@pytest.mark.thorough
@given(st.dictionaries(NAMES, VALUES, max_size=5), st.booleans())
@settings(deadline=None, max_examples=500)
def test_the_fast_way_says_what_the_full_way_says(fields: dict[str, Any], secret: bool) -> None:
    counters = Counters()
    normaliser = Normaliser(Redactor(b"k" * 32), compiled=_compiled.encoder, counters=counters)
    makers = dict(difficult_values.CASES)
    fields = {k: makers[v]() if type(v) is Named else v for k, v in fields.items()}
    normaliser.full("x.y", fields)
    fast = normaliser.fast(fields, secret)
    event_type = "secret.set" if secret else "x.y"
    full = normaliser.full(event_type, fields)
    if fast is not None:
        assert fast == encode.to_json(full.value)
        assert full.workspace_id is MISSING
        assert not full.cut
        assert full.redacted == counters.redacted


def test_the_names_that_are_remembered_are_bounded(normaliser: Normaliser) -> None:
    for n in range(10_000):
        normaliser.fast({f"name{n}": 1}, False)
    assert all(len(names) <= 4096 for names in normaliser.plain.known.names)


@pytest.mark.thorough
def test_the_types_that_are_remembered_are_bounded() -> None:
    from audit_emit._fields import types as _types

    for _ in range(1100):
        plain({"x": type("D", (), {})()})
    assert len(_types._handlers) <= 1024


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [("secret.set", True), ("Secret.Set", True), ("app.secrets.read", True), ("x.y", False)],
)
def test_which_events_are_about_secrets(event_type: str, expected: bool) -> None:
    assert is_secret_event(event_type) is expected


@pytest.mark.parametrize("event_type", [None, 5, difficult_values.StrSub("secret.set"), b"x"])
def test_an_event_type_may_be_anything(normaliser: Normaliser, event_type: Any) -> None:
    assert normaliser.full(event_type, {"a": 1}).value == {"a": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "Secret", "stringData": "x1y2"},
        {"string_data": "x1y2", "kind": "Secret"},
        {"n": "[4111111111111111]"},
        {"n": "[41111111.11111111e8]", "more": "x"},
        {"n": "{4111111111111111}"},
    ],
)
def test_the_quick_way_leaves_to_the_other_what_that_holds_back(fields: dict[str, Any]) -> None:
    normaliser = Normaliser(Redactor())
    assert normaliser.full("a.b", fields).redacted
    assert normaliser.fast(fields, False) is None


_QUICK_NAMES = sorted(
    words.VALUE_NAMES
    | words.TELLING_NAMES
    | words.ARGUMENTS
    | words.TYPE_NAMES
    | words.NAME_NAMES
    | words.JWK_NAMES
    | {"user", "stringData", "old_value", "acme_key", "token"}
)
_QUICK_TEXTS = st.one_of(
    st.sampled_from(["Secret", "password", "oct", "RSA", "api_key", "basic", "4111111111111111"]),
    st.from_regex(r"[\[{(<]?[0-9.e+\-/_]{0,24}[\]})>]?", fullmatch=True),
    st.from_regex(r"[\[{]?4111?[.\-_/+]?[1]{4,10}\.?[1]{0,6}(e[0-9]{1,2})?[\]}]?", fullmatch=True),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=24),
)


@given(
    st.dictionaries(
        st.sampled_from(_QUICK_NAMES), _QUICK_TEXTS | st.floats() | st.integers(), max_size=4
    )
)
def test_the_quick_way_comes_to_what_the_other_comes_to(fields: dict[str, Any]) -> None:
    normaliser = Normaliser(Redactor())
    quick = normaliser.fast(fields, True)
    assert quick in (None, encode.to_json(normaliser.full("secret.set", fields).value))
