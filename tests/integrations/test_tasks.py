"""The context in a message of a task queue: what is carried, and what is believed."""

from __future__ import annotations

import json

import pytest

from audit_emit import bind
from audit_emit.context import current_context
from audit_emit.errors import ConfigError
from audit_emit.integrations._tasks import Carrier, RunningTask

KEY = "sixteen bytes and more"


def packed(carrier: Carrier, task_id: str = "t-1") -> str:
    with bind(user_id="u-1", workspace_id="acme"):
        header = carrier.pack(task_id)
    assert header is not None
    return header


def test_a_signed_context_is_known_to_be_the_senders() -> None:
    ids, trust = Carrier(KEY).unpack("t-1", packed(Carrier(KEY)))
    assert trust == "signed"
    assert ids == {"workspace_id": "acme", "user_id": "u-1", "actor_kind": "user"}


def test_without_a_key_a_context_is_claimed() -> None:
    ids, trust = Carrier(None).unpack("t-1", packed(Carrier(None)))
    assert (ids["user_id"], trust) == ("u-1", "claimed")


def test_nothing_bound_is_nothing_carried() -> None:
    assert Carrier(KEY).pack("t-1") is None
    assert Carrier(KEY).unpack("t-1", None) == ({}, None)


@pytest.mark.parametrize(
    "header",
    [
        packed(Carrier(None)),
        packed(Carrier("another key of 16 bytes")),
        packed(Carrier(KEY), "another task"),
        packed(Carrier(KEY)).replace("u-1", "u-2"),
        json.dumps({"ids": '{"user_id":"u-1"}', "mac": "é"}),
        json.dumps({"ids": '{"user_id":"u-1"}', "mac": 1}),
    ],
)
def test_with_a_key_no_context_is_used_that_is_not_signed_with_it(header: str) -> None:
    assert Carrier(KEY).unpack("t-1", header) == ({}, "refused")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        7,
        b"{}",
        {},
        "[]",
        '{"ids":7}',
        '{"ids":"[]"}',
        '{"ids":"{\\"user_id\\":7}"}',
        '{"ids":"{\\"wire\\":\\"x\\"}"}',
        json.dumps({"ids": json.dumps({"user_id": "u" * 257})}),
        json.dumps({"ids": "{}", "more": "x" * 9000}),
        "[" * 100_000,
    ],
)
def test_what_is_no_header_of_ours_is_refused(header: object) -> None:
    assert Carrier(None).unpack("t-1", header) == ({}, "refused")


@pytest.mark.parametrize("key", ["short", b"short", 7])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ConfigError):
        Carrier(key)


def test_a_task_of_nobody_is_one_of_the_service() -> None:
    run = RunningTask({}, None, "root-1")
    bound = current_context()
    run.leave()
    assert (bound.actor_kind, bound.correlation_id) == ("service", "root-1")
    assert current_context().correlation_id == ""
