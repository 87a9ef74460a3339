"""What readers see of sealed values: sealed, erased, or opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit_emit._subjects.sealed import SubjectKey, pointer_to, sealed_in
from audit_emit._subjects.sight import Sight
from audit_emit._subjects.slots import SlotFile

ID = "019e41d3-28cb-7000-8000-000000000018"


@pytest.fixture
def store(tmp_path: Path) -> SlotFile:
    return SlotFile(str(tmp_path / "keys"))


def sealed(store: SlotFile, subject: str, value: Any, *steps: str | int) -> str:
    key = SubjectKey(store.obtain(subject) or b"")
    return key.seal(json.dumps(value).encode(), ID, pointer_to(*steps), [])


def erase(store: SlotFile, subject: str) -> None:
    found = store.find(subject)
    assert found is not None
    store.settle(store.destroy(store.mark(found)))


def test_a_value_whose_key_is_gone_is_told_from_one_that_can_be_opened(store: SlotFile) -> None:
    fields = {"a": sealed(store, "u-17", 1, "a"), "b": [sealed(store, "u-18", 2, "b", 0), "x"]}
    erase(store, "u-17")
    Sight(store).tell(fields)
    assert fields == {"a": "[erased]", "b": ["[sealed]", "x"]}


def test_without_a_store_everything_is_sealed(store: SlotFile) -> None:
    fields = {"a": sealed(store, "u-17", 1, "a")}
    erase(store, "u-17")
    Sight(None).tell(fields)
    assert fields == {"a": "[sealed]"}


@pytest.mark.parametrize("value", ["half \ud83d", {"a": ["\udc00"]}])
def test_half_a_character_is_opened_like_any_other(store: SlotFile, value: Any) -> None:
    """Whoever fills in a form may send one; nobody else's records are hidden by it."""
    text = sealed(store, "u-17", value, "a")
    line = json.dumps({"id": ID, "fields": {"a": text, "b": "\ud83d"}}).encode()
    made, keys = Sight(store).opened(line)
    assert json.loads(made)["fields"] == {"a": value, "b": "\ud83d"}
    assert len(keys) == 1


def test_a_line_is_opened_as_far_as_there_are_keys(store: SlotFile) -> None:
    gone = sealed(store, "u-17", 1, "a")
    fields = {"a": gone, "b": {"c": sealed(store, "u-18", ["v"], "b", "c")}}
    erase(store, "u-17")
    line = json.dumps({"id": ID, "fields": fields}).encode()
    made, keys = Sight(store).opened(line)
    assert json.loads(made) == {"id": ID, "fields": {"a": gone, "b": {"c": ["v"]}}}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"no record aes256gcm:",
        b'{"id":1,"fields":{"a":"aes256gcm:"}}',
        b'{"fields":"aes256gcm:"}',
        b"[" * 5000 + b'"aes256gcm:"',
    ],
)
def test_a_line_that_is_no_record_stays_as_it_is(store: SlotFile, line: bytes) -> None:
    store.obtain("u-17")
    assert Sight(store).opened(line) == (line, [])


def test_the_pseudonym_is_found_while_the_key_lives(store: SlotFile) -> None:
    key = SubjectKey(store.obtain("u-17") or b"")
    assert Sight(store).pseudonym("u-17") == key.pseudonym
    assert Sight(store).pseudonym("u-99") == ""
    erase(store, "u-17")
    assert Sight(store).pseudonym("u-17") == ""


def test_many_containers_in_each_other_are_walked_in_little_memory() -> None:
    deep: Any = [f"aes256gcm:{'0' * 16}:{'A' * 38}"]
    for _ in range(20_000):
        deep = [deep]
    ((steps, _),) = sealed_in(deep)
    assert len(steps) == 20_001


def test_what_is_opened_can_fool_no_terminal(store: SlotFile) -> None:
    fields = {"a": sealed(store, "u-17", "\x9b2J \u202e", "a")}
    line, keys = Sight(store).opened(json.dumps({"id": ID, "fields": fields}).encode())
    assert keys
    assert line.isascii()
    assert json.loads(line)["fields"]["a"] == "\x9b2J \u202e"
