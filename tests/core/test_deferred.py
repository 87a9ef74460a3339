from __future__ import annotations

import json
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.injector import Injector
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit import AuditContext, Emitter
from audit_emit._core.beginning import ANNOUNCED
from audit_emit._core.deferred import emit_late
from audit_emit._runtime import forks
from audit_emit.testing import strict

THEN = 1_700_000_000.25
WHO = AuditContext("w", "u-1", correlation_id="c-1")


def records(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def test_the_record_has_the_time_and_the_context_of_then(emitter: Emitter, log: Path) -> None:
    emit_late(emitter, THEN, WHO, "secret.set", {"key": "API"})
    assert emitter.flush(PATIENCE)
    made = records(log)[-1]
    assert made["ts"] == "2023-11-14T22:13:20.250000000Z"
    assert (made["workspace_id"], made["user_id"], made["correlation_id"]) == ("w", "u-1", "c-1")
    assert (made["event_type"], made["fields"]) == ("secret.set", {"key": "API"})
    assert int(made["id"].replace("-", "")[:12], 16) == 1_700_000_000_250


def test_records_of_now_and_then_are_one_chain(emitter: Emitter, log: Path) -> None:
    for _ in range(3):
        emit_late(emitter, THEN, WHO, "a.b")
        emitter.emit(None, "c.d")
    assert emitter.flush(PATIENCE)
    found = records(log)
    assert [made["seq"] for made in found] == [*range(1, 8)]
    assert [made["prev_hash"] for made in found[1:]] == [made["hash"] for made in found[:-1]]
    assert len({made["id"] for made in found}) == 7


def test_a_line_is_shown_too(log: Path) -> None:
    with Piped(1) as stdout:
        emitter = Emitter(jsonl=log)
        emit_late(emitter, THEN, WHO, "secret.set")
        assert emitter.flush(PATIENCE)
        told = stdout.read().decode()
        emitter.close()
    assert f"audit: {log.read_text().splitlines()[-1]}" in told.splitlines()


def test_a_file_that_cannot_be_written_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.write_text("in the way")
    with Piped(1) as stdout:
        emitter = Emitter(jsonl=directory / "audit.jsonl")
        emit_late(emitter, THEN, WHO, "secret.set")
        told = stdout.read().decode()
        assert emitter.health()["status"] == "failing"
        directory.unlink()
        assert emitter.flush(PATIENCE)
        emitter.close()
    assert told.count('"event_type":"secret.set"') == 1
    assert records(directory / "audit.jsonl")[-1]["ts"].startswith("2023-11-14")


def test_nothing_is_recorded_when_that_is_switched_off(log: Path) -> None:
    emitter = Emitter(jsonl=log, disabled=True)
    emit_late(emitter, THEN, WHO, "a.b")
    emitter.close()
    assert not log.exists()


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 4e9, -1, 0.0, "soon", None, True])
def test_what_is_no_time_of_an_event_is_now(emitter: Emitter, log: Path, seconds: Any) -> None:
    emitter.emit(None, "a.b")
    emit_late(emitter, seconds, WHO, "a.b")
    assert emitter.flush(PATIENCE)
    first, second = records(log)[-2:]
    assert first["ts"] < second["ts"] < "29"


def fail(*_: Any) -> Any:
    raise LookupError("CANARY-" + "5501ae")


def test_an_event_that_cannot_be_made_is_declared(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(emitter.builder, "compose", fail)
        emit_late(emitter, THEN, WHO, "secret.set", {"key": "API"})
    assert emitter.flush(PATIENCE)
    made = records(log)[-1]
    assert (made["event_type"], made["fields"]) == ("secret.set", {"_lossy": "LookupError"})


def test_a_failure_is_raised_in_strict_tests(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitter.builder, "compose", fail)
    with pytest.raises(LookupError), strict():
        emit_late(emitter, THEN, WHO, "secret.set")
    monkeypatch.undo()


class TimeLimitError(Exception):
    """Of the application."""


def test_what_a_signal_handler_raises_reaches_the_caller(emitter: Emitter, log: Path) -> None:
    late = partial(emit_late, emitter, THEN, WHO, "secret.set")
    late()
    with pytest.raises(TimeLimitError):
        Injector(TimeLimitError, 3).run(late)
    late()
    assert emitter.flush(PATIENCE)
    made = [one["fields"] for one in records(log) if one["event_type"] == "secret.set"]
    assert made == [{}, {}]


def test_where_there_is_no_memory_it_is_declared_later(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(deque[Any]):
        def __iadd__(self, _: Any) -> Any:  # type: ignore[misc]
            raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(emitter.builder, "compose", fail)
        patched.setattr(emitter.outbox, "lossy", Full())
        emit_late(emitter, THEN, WHO, "secret.set")
    assert emitter.flush(PATIENCE)
    assert records(log)[-1]["fields"]["_lossy"] == "MemoryError"


@pytest.mark.untraced
def test_near_the_recursion_limit(emitter: Emitter, log: Path) -> None:
    emit_late(emitter, THEN, WHO, "a.b")
    begun: list[int] = []

    def nothing() -> None:
        pass

    def down(depth: int, room: int) -> None:
        if depth:
            down(depth - 1, room)
            return
        nothing()  # where there is no room for a call, none is begun
        begun.append(room)
        emit_late(emitter, THEN, WHO, "secret.set")

    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth += 1
        frame = frame.f_back  # type: ignore[assignment]
    for room in range(60):
        try:
            down(sys.getrecursionlimit() - depth - room, room)
        except RecursionError:
            assert room not in begun
    assert emitter.flush(PATIENCE)
    assert [one["event_type"] for one in records(log)].count("secret.set") == len(begun) > 50


def test_an_event_that_waits_already_is_not_made_twice(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(emitter.outbox, "drain", fail)
        emit_late(emitter, THEN, WHO, "secret.set")
    assert emitter.flush(PATIENCE)
    assert [one["fields"] for one in records(log)[1:]] == [{}]


@pytest.mark.skipif(forks.PAGE is None, reason="the process is asked for its number here")
def test_a_child_that_python_has_not_forked_has_a_log_of_its_own(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library in C forks without a word; with the parent's lock, two would write at once."""
    monkeypatch.setattr(ANNOUNCED, "_is_child", False)  # and again, when the test is over
    emitter.emit(None, "a.b")
    before = emitter.clock.process
    forks.SAME[0] = 0  # as the kernel does
    emit_late(emitter, THEN, WHO, "secret.set")
    assert emitter.clock.process != before
