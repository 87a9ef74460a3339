from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.piped_descriptor import Piped

import audit_emit
from audit_emit import AuditError, Emitter, bind
from audit_emit.testing import capture, strict

CANARY = "CANARY-" + "7fe1c05a"

WRONG_TYPES = [
    "UserLoggedIn",
    "user-login",
    "User signed in",
    "audit.started",
    "a..b",
    "",
    None,
    7,
    {"key": "API"},
    "x" * 129,
    "login.ghp_" + "A1b2" * 9,
]

WRONG_CONTEXTS: list[Any] = ["u-1", 7, {"user": "u-1"}, {"user_id": "u-1", "role": "x"}, object()]


def counters(emitter: Emitter) -> tuple[int, int]:
    counts = emitter.health()["counters"]
    return counts["invalid_event_types"], counts["invalid_contexts"]


@pytest.mark.parametrize("event_type", WRONG_TYPES)
def test_a_wrong_event_type_is_recorded_and_counted(emitter: Emitter, event_type: Any) -> None:
    assert emitter.emit(None, event_type, {"n": 1}) is not None
    assert counters(emitter) == (1, 0)
    assert "1 calls named no usable event type" in emitter.health()["notes"][0]


@pytest.mark.parametrize("ctx", WRONG_CONTEXTS)
def test_a_wrong_context_is_counted(emitter: Emitter, ctx: Any) -> None:
    with bind(user_id="u-0"):
        assert emitter.emit(ctx, "a.b") is not None
    assert counters(emitter) == (0, 1)
    assert "1 calls gave a context that cannot be used" in emitter.health()["notes"][0]


def test_a_right_call_is_not_counted(emitter: Emitter) -> None:
    for ctx in (None, {}, {"user_id": "u-1"}, audit_emit.current_context()):
        assert emitter.emit(ctx, "secret.set", {"key": "API"}) is not None
        assert emitter.emit_strict(ctx, "secret.set", {"key": "API"})
    assert counters(emitter) == (0, 0)
    assert emitter.health()["notes"] == []


def test_a_wrong_event_type_is_said_once_with_the_grammar(log: Path) -> None:
    with Piped(2) as stderr:
        emitter = Emitter(jsonl=log, stdout=False)
        for event_type in ("UserLoggedIn", "user-login", CANARY):
            emitter.emit(None, event_type)
        told = stderr.read().decode()
        emitter.close()
    assert told.count("\n") == 1
    assert "[a-z][a-z0-9_]*([.][a-z0-9][a-z0-9_]*){0,7}" in told
    assert "emit(ctx, event_type, fields)" in told
    assert __file__ in told
    assert "UserLoggedIn" not in told


def test_a_wrong_context_is_said_once_with_what_it_may_be(log: Path) -> None:
    wrong: list[Any] = [{"user": CANARY}, {"tenant": CANARY}, CANARY]
    with Piped(2) as stderr:
        emitter = Emitter(jsonl=log, stdout=False)
        for ctx in wrong:
            emitter.emit(ctx, "a.b")
        told = stderr.read().decode()
        emitter.close()
    assert told.count("\n") == 1
    assert "user is no member of a context" in told
    assert "user_id" in told
    assert __file__ in told
    assert CANARY not in told


def test_arguments_in_the_wrong_place_are_said(log: Path) -> None:
    with Piped(2) as stderr:
        emitter = Emitter(jsonl=log, stdout=False)
        emitter.emit("secret.set", {"key": "API"})  # type: ignore[arg-type] # a mistake
        told = stderr.read().decode()
        emitter.close()
    assert told.count("ctx is None for the bound context") == 2
    assert counters(emitter) == (1, 1)


@pytest.mark.parametrize("event_type", WRONG_TYPES)
def test_strict_refuses_a_wrong_event_type(emitter: Emitter, log: Path, event_type: Any) -> None:
    with pytest.raises(AuditError, match="must match") as caught:
        emitter.emit_strict(None, event_type)
    assert caught.value.reason == "invalid-event-type"
    assert not log.exists()
    assert counters(emitter) == (1, 0)


@pytest.mark.parametrize("ctx", WRONG_CONTEXTS)
def test_strict_refuses_a_wrong_context(emitter: Emitter, log: Path, ctx: Any) -> None:
    with pytest.raises(AuditError, match="a context must be") as caught:
        emitter.emit_strict(ctx, "a.b")
    assert caught.value.reason == "invalid-context"
    assert not log.exists()
    assert counters(emitter) == (0, 1)


@pytest.mark.parametrize("event_type", WRONG_TYPES)
def test_a_wrong_event_type_is_raised_in_strict_tests(event_type: Any) -> None:
    with capture(), pytest.raises(AuditError, match="must match"), strict():
        audit_emit.emit(None, event_type)


@pytest.mark.parametrize("ctx", WRONG_CONTEXTS)
def test_a_wrong_context_is_raised_in_strict_tests(ctx: Any) -> None:
    with capture(), pytest.raises(AuditError, match="a context must be"), strict():
        audit_emit.emit(ctx, "a.b")


def test_a_wrong_context_of_a_changed_copy_is_counted(emitter: Emitter) -> None:
    audit_emit._core.default.swap_emitter(emitter)
    try:
        with bind(correlation_id="c"):
            changed = audit_emit.with_user_id("u-1", "u-2")  # type: ignore[arg-type] # a mistake
            assert changed.correlation_id == "c"
        assert counters(emitter) == (0, 1)
    finally:
        audit_emit._core.default.swap_emitter(None)
