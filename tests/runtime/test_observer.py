from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

from audit_emit import AuditError, ConfigError, Emitter
from audit_emit._fields.walk import Walk
from audit_emit._format.record import Receipt
from audit_emit._runtime import observer as _observer

CANARY = "CANARY"

Told = tuple[str, str, str | None]


class Witnessed:
    """An emitter, and what its ``on_error`` was told."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.told: list[Told] = []
        given = {"jsonl": str(path), "stdout": False, "on_error": self.tell, **settings}
        self.emitter = Emitter(**given)

    def tell(self, error: BaseException, stage: str, event_id: str | None) -> None:
        self.told.append((type(error).__name__, stage, event_id))


@pytest.fixture
def watched(tmp_path: Path) -> Any:
    made = Witnessed(tmp_path / "audit.jsonl")
    yield made
    made.emitter.close()


def broken(_logger: Any, _method: str, _event: Any) -> Any:
    raise LookupError(CANARY)


def test_a_usual_event_tells_nothing(watched: Witnessed) -> None:
    assert type(watched.emitter.emit(None, "a.b", {"n": 1})) is Receipt
    assert watched.told == []


def test_a_processor_that_fails_is_told(tmp_path: Path) -> None:
    watched = Witnessed(tmp_path / "audit.jsonl", processors=[broken, broken])
    assert type(watched.emitter.emit(None, "a.b")) is Receipt
    assert watched.told == [("LookupError", "processor", None)]
    watched.emitter.close()


def test_a_walk_that_fails_is_told(watched: Witnessed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walk, "run", lambda *_: 1 / 0)
    watched.emitter.emit(None, "a.b", {"n": {1}})  # a set needs the walk
    assert watched.told == [("ZeroDivisionError", "fields", None)]


def test_a_failure_inside_emit_is_told(watched: Witnessed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched.emitter.builder, "compose", lambda *_: 1 / 0)
    assert watched.emitter.emit(None, "a.b", {"n": [1]}) is None
    assert watched.told == [("ZeroDivisionError", "emit", None)]


@pytest.mark.parametrize(
    ("call", "stage"),
    [((None, "no event type"), "event_type"), ((17, "a.b"), "context")],
)
def test_a_wrong_call_is_told_as_emit_strict_would_raise_it(
    watched: Witnessed, call: tuple[Any, str], stage: str
) -> None:
    assert type(watched.emitter.emit(*call)) is Receipt
    assert watched.told == [("AuditError", stage, None)]


def test_an_event_that_the_file_does_not_take_is_told_with_its_id(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a directory should be")
    seen: list[BaseException] = []
    emitter = Emitter(
        jsonl=str(tmp_path / "taken" / "audit.jsonl"),
        stdout=False,
        on_error=lambda error, stage, event_id: seen.append(error),
    )
    nested = {"text": '},"v":1,"id":"00000000-0000-0000-0000-000000000000'}
    assert emitter.emit(None, "a.b", nested) is None
    (error,) = seen
    assert isinstance(error, AuditError)
    (waiting,) = emitter.outbox.backlog.waiting
    assert f'"id":"{error.event_id}"'.encode() in waiting
    assert error.event_id is not None
    assert error.event_id[14] == "7"
    (tmp_path / "taken").unlink()
    assert emitter.close(PATIENCE)


def test_a_failure_at_the_end_of_the_stack_is_told_or_stopped(watched: Witnessed) -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            watched.emitter.emit(None, "a.b", {"n": [[1]]})

    limit = sys.getrecursionlimit()
    for left in range(limit - 120, limit):
        try:
            deep(left)
        except RecursionError:
            break
    assert {error for error, _, _ in watched.told} <= {"RecursionError"}
    assert watched.emitter.flush(PATIENCE)


def test_what_the_observer_raises_is_stopped(tmp_path: Path) -> None:
    def fails(*_: Any) -> None:
        raise ValueError(CANARY)

    emitter = Emitter(jsonl=str(tmp_path / "audit.jsonl"), stdout=False, on_error=fails)
    assert type(emitter.emit(None, "no event type")) is Receipt
    emitter.close()


def test_an_interrupt_in_the_observer_passes(tmp_path: Path) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    emitter = Emitter(jsonl=str(tmp_path / "audit.jsonl"), stdout=False, on_error=interrupted)
    with pytest.raises(KeyboardInterrupt):
        emitter.emit(None, "no event type")
    emitter.close()


def test_an_observer_that_emits_wrongly_is_not_told_of_it(tmp_path: Path) -> None:
    told: list[str] = []

    def emits(_error: BaseException, stage: str, _event_id: str | None) -> None:
        told.append(stage)
        emitter.emit(None, "another mistake")

    emitter = Emitter(jsonl=str(tmp_path / "audit.jsonl"), stdout=False, on_error=emits)
    emitter.emit(None, "a mistake")
    assert told == ["event_type"]
    assert emitter.counters.invalid_event_types == 2
    emitter.close()


def test_what_cannot_be_called_is_no_observer() -> None:
    with pytest.raises(ConfigError, match="on_error"):
        Emitter(jsonl="off", on_error="print")  # type: ignore[arg-type] # a mistake


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ('{"fields":{},"v":1,"id":"019ed0b1-7c00-7000-8000-000000000002","service"', "019ed0b1"),
        (b'{"fields":{},"v":1,"id":"019ed0b1-7c00-7000-8000-000000000002","service"', "019ed0b1"),
        ('{"fields":{', None),
    ],
)
def test_the_id_is_found_in_a_record(record: Any, found: str | None) -> None:
    event_id = _observer.id_in(record)
    assert (event_id and event_id[:8]) == found
