from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.plain_log_reader import records

from audit_emit import AuditError, Event, bind, configure, health
from audit_emit.testing import capture


class SecretSet(Event, type="secret.set"):
    key: str
    scope: str = "global"


class Renamed(Event, type="mail.sent"):
    from_: str = msgspec.field(name="from")
    to: str | msgspec.UnsetType = msgspec.UNSET


def test_an_event_is_the_plain_call_of_its_type_and_fields(log: Path) -> None:
    emitter = configure(jsonl=log, stdout=False)
    plain = emitter.emit(None, "secret.set", {"key": "A", "scope": "global"})
    made = SecretSet(key="A").emit()
    assert plain
    assert made
    first, second = records(log)[-2:]
    assert second["fields"] == first["fields"] == {"key": "A", "scope": "global"}
    assert (made.seq, made.chain, made.hash) == (plain.seq + 1, plain.chain, second["hash"])


def test_it_takes_the_context_that_is_given_or_bound() -> None:
    with capture() as events, bind(user_id="u-1"):
        SecretSet(key="A").emit()
        SecretSet(key="B").emit({"user_id": "u-2"})
    events.assert_emitted("secret.set", key="A", user_id="u-1")
    events.assert_emitted("secret.set", key="B", user_id="u-2")


def test_a_field_has_its_name_in_the_record_and_an_unset_one_is_left_out() -> None:
    with capture() as events:
        Renamed(from_="a").emit()
        Renamed(from_="a", to="b").emit()
    assert [one["fields"] for one in events] == [{"from": "a"}, {"from": "a", "to": "b"}]


def test_a_base_class_is_recorded_as_a_call_without_a_type() -> None:
    class Base(Event):
        key: str

    with capture() as events:
        Base(key="A").emit()
    events.assert_emitted("audit.invalid_event_type", key="A")


def test_emit_strict_raises_where_it_is_not_recorded(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    assert SecretSet(key="A").emit_strict().seq == records(log)[-1]["seq"]
    configure(jsonl="off", stdout=False)
    with pytest.raises(AuditError):
        SecretSet(key="A").emit_strict()
    assert SecretSet(key="A").emit() is None


def test_secrets_are_held_back_as_in_the_plain_call() -> None:
    with capture() as events:
        SecretSet(key="ghp_" + "A1b2" * 9).emit()
    assert events.records[0]["fields"]["key"] == "[redacted]"


def test_an_event_near_the_recursion_limit_is_recorded_without_its_fields(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    event = SecretSet(key="A")
    event.emit()
    method: Any = event.emit

    def down(left: int) -> None:
        if left:
            down(left - 1)
        else:
            method()

    depth = 0
    while True:  # each depth up to the one where no call is left for ``emit`` itself
        try:
            down(depth)
        except RecursionError:
            break
        depth += 1 if depth > sys.getrecursionlimit() - 400 else 50
    assert health()["counters"]["lost"] == 0
    event.emit()
    lossy = [one for one in records(log) if "_lossy" in one["fields"]]
    assert lossy
    assert {one["event_type"] for one in lossy} == {"secret.set"}
