from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from support.waiting import PATIENCE

import audit_emit
from audit_emit._core import default as _process
from audit_emit._fields.walk import Walk
from audit_emit.integrations.stdlib import AuditHandler
from audit_emit.testing import MemoryStore, capture, strict

CANARY = "CANARY-" + "0b5e99d1"


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[Path]:
    """The process-wide emitter of each test: a file of its own."""
    path = tmp_path / "outside" / "audit.jsonl"
    before = _process.swap_emitter(None)
    audit_emit.configure(service="outside", jsonl=path, stdout=False, durability="os")
    yield path
    made = _process.swap_emitter(before)
    if made is not None:
        made.close()


def broken(_logger: Any, _method: str, _event: Any) -> Any:
    raise LookupError(CANARY)


def test_captured_events_are_parsed_records() -> None:
    with capture() as events:
        receipt = audit_emit.emit({"user_id": "u1"}, "secret.set", {"key": "API"})
        (record,) = events.records
    assert receipt is not None
    assert record["id"] == receipt.id
    assert (record["event_type"], record["user_id"]) == ("secret.set", "u1")
    assert record["fields"] == {"key": "API"}


def test_the_first_record_of_the_log_is_shown_only_on_request() -> None:
    with capture() as events:
        audit_emit.emit(None, "a.b")
    assert [record["event_type"] for record in events.records] == ["a.b"]
    assert [record["event_type"] for record in events.all_records] == ["audit.started", "a.b"]


def test_records_stay_readable_after_the_block() -> None:
    with capture() as events:
        audit_emit.emit(None, "a.b")
    assert events.of("a.b") == events.records


def test_nothing_is_captured_before_and_after(outside: Path) -> None:
    audit_emit.emit(None, "before.it")
    with capture() as events:
        assert events.records == []
    audit_emit.emit(None, "after.it")
    assert events.records == []
    assert [word in outside.read_text() for word in ("before.it", "after.it")] == [True, True]


def test_captured_events_reach_neither_stdout_nor_the_real_file(
    outside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    audit_emit.configure(service="outside", jsonl=outside, stdout=True)
    with capture():
        audit_emit.emit(None, "a.b", {"mark": CANARY})
    assert CANARY not in capfd.readouterr().out
    assert not outside.exists() or CANARY not in outside.read_text()


def test_a_mismatch_of_the_actor_is_shown() -> None:
    with capture() as events:
        audit_emit.emit({"user_id": "u2", "correlation_id": "c1"}, "secret.set", {"key": "API"})
        audit_emit.emit(None, "other.event")
    with pytest.raises(AssertionError) as caught:
        events.assert_emitted("secret.set", key="API", user_id="u1", scope="global")
    assert str(caught.value).splitlines() == [
        (
            "secret.set with {'key': 'API', 'user_id': 'u1', 'scope': 'global'} was not emitted; "
            "what was:"
        ),
        '  secret.set {"key": "API"} user_id=u2 actor_kind=user correlation_id=c1',
        "    user_id is 'u2', not 'u1'",
        "    scope is not there",
        "  other.event {} actor_kind=user",
    ]


def test_nothing_emitted_is_shown_as_such() -> None:
    with capture() as events, pytest.raises(AssertionError, match="what was: nothing"):
        events.assert_emitted("a.b")


def test_what_must_not_be_emitted_is_not() -> None:
    with capture() as events:
        audit_emit.emit({"user_id": "u1"}, "secret.set", {"key": "API"})
        events.assert_not_emitted("secret.delete")
        events.assert_not_emitted("secret.set", key="OTHER")
        events.assert_not_emitted("secret.set", key="API", user_id="u2")


@pytest.mark.parametrize("unwanted", [{}, {"key": "API"}, {"user_id": "u1"}])
def test_what_must_not_be_emitted_and_is_is_shown(unwanted: dict[str, Any]) -> None:
    with capture() as events:
        audit_emit.emit({"user_id": "u1"}, "secret.set", {"key": "API"})
    with pytest.raises(AssertionError) as caught:
        events.assert_not_emitted("secret.set", **unwanted)
    assert 'secret.set {"key": "API"} user_id=u1' in str(caught.value)


def test_records_are_counted_and_gone_through() -> None:
    with capture() as events:
        assert len(events) == 0
        audit_emit.emit(None, "a.b")
        audit_emit.emit(None, "c.d")
    assert len(events) == 2
    assert [record["event_type"] for record in events] == ["a.b", "c.d"]


def test_the_private_log_is_removed() -> None:
    with capture():
        path = _process.get_emitter().settings.jsonl
        audit_emit.emit(None, "a.b")
        assert path is not None
        assert os.path.exists(path)
    assert not os.path.exists(os.path.dirname(path))


def test_the_emitter_before_is_back_even_when_the_block_fails() -> None:
    before = _process.get_emitter()
    with pytest.raises(ZeroDivisionError), capture():
        _ = 1 / 0
    assert _process.get_emitter() is before
    assert audit_emit.emit(None, "a.b") is not None


def test_settings_of_the_application_hold(outside: Path) -> None:
    audit_emit.configure(
        service="shop", jsonl=outside, stdout=False, secret_keys=["badge"], disabled=True
    )
    with capture() as events:
        audit_emit.emit(None, "a.b", {"badge": CANARY})
    assert events.records[0]["service"] == "shop"
    assert CANARY not in str(events.records)


def test_configure_inside_keeps_its_settings_but_not_its_file(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.jsonl"
    with capture() as events:
        audit_emit.emit(None, "first.it")
        audit_emit.configure(service="factory", jsonl=elsewhere, disabled=True)
        audit_emit.emit(None, "second.it")
    assert [record["service"] for record in events.records] == ["outside", "factory"]
    assert not elsewhere.exists()


def test_captured_events_reach_no_store_of_the_application() -> None:
    store = MemoryStore()
    audit_emit.configure(service="outside", store=store, stdout=False)
    with capture() as events:
        audit_emit.emit(None, "a.b")
    assert len(events.records) == 1
    assert store.chain.lines == []
    with capture():
        inside = audit_emit.configure(service="inside", store="postgresql://nowhere.invalid/x")
        assert _process.get_emitter().settings.store is None
        assert inside.shipping is None


def test_configure_inside_still_refuses_bad_values() -> None:
    with capture(), pytest.raises(audit_emit.ConfigError):
        audit_emit.configure(service="Not A Service")


def test_captures_nest() -> None:
    with capture() as outer:
        audit_emit.emit(None, "outer.one")
        with capture() as inner:
            audit_emit.emit(None, "inner.one")
        audit_emit.emit(None, "outer.two")
    assert [record["event_type"] for record in inner.records] == ["inner.one"]
    assert [record["event_type"] for record in outer.records] == ["outer.one", "outer.two"]


def test_events_of_threads_are_captured() -> None:
    with capture() as events:
        threads = [
            threading.Thread(target=audit_emit.emit, args=(None, "a.b", {"n": n})) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(record["fields"]["n"] for record in events.of("a.b")) == list(range(8))


def test_segments_are_read_in_order() -> None:
    with capture() as events:
        audit_emit.configure(service="small", max_bytes=4096)
        for n in range(40):
            audit_emit.emit(None, "a.b", {"n": n})
    assert [record["fields"]["n"] for record in events.of("a.b")] == list(range(40))
    assert events.of("audit.rotated")


def test_assert_emitted_returns_the_record_that_fits() -> None:
    with capture() as events:
        audit_emit.emit({"user_id": "u1"}, "secret.set", {"key": "A"})
        audit_emit.emit({"user_id": "u2"}, "secret.set", {"key": "B", "scope": "global"})
    record = events.assert_emitted("secret.set", key="B", user_id="u2")
    assert record["fields"]["scope"] == "global"


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("secret.delete", {}),
        ("secret.set", {"key": "B"}),
        ("secret.set", {"missing": None}),
        ("secret.set", {"key": "A", "user_id": "u2"}),
    ],
)
def test_assert_emitted_fails_and_shows_what_there_is(
    event_type: str, expected: dict[str, Any]
) -> None:
    with capture() as events:
        audit_emit.emit({"user_id": "u1"}, "secret.set", {"key": "A"})
    with pytest.raises(AssertionError, match=r'secret.set \{"key": "A"\}'):
        events.assert_emitted(event_type, **expected)


def test_a_failure_that_emit_stops_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = _process.get_emitter()
    monkeypatch.setattr(emitter.builder, "compose", lambda *_: 1 / 0)
    assert audit_emit.emit(None, "a.b") is None
    with pytest.raises(ZeroDivisionError), strict():
        audit_emit.emit(None, "a.b")


def test_a_processor_that_fails_is_raised(outside: Path) -> None:
    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[broken])
    assert audit_emit.emit(None, "a.b") is not None
    with pytest.raises(LookupError), strict():
        audit_emit.emit(None, "a.b")


def test_a_processor_that_returns_no_event_is_raised(outside: Path) -> None:
    audit_emit.configure(
        service="outside", jsonl=outside, stdout=False, processors=[lambda *_: "a line"]
    )
    with pytest.raises(ValueError, match="dictionary"), strict():
        audit_emit.emit(None, "a.b")


def test_a_processor_that_drops_the_event_is_raised(outside: Path) -> None:
    def drop(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[drop])
    assert audit_emit.emit(None, "a.b") is not None
    with pytest.raises(structlog.DropEvent), strict():
        audit_emit.emit(None, "a.b")


def test_no_processor_runs_after_the_one_that_is_raised(outside: Path) -> None:
    reached: list[str] = []

    def reach(_logger: Any, _method: str, event: Any) -> Any:
        reached.append(event["event"])
        return event

    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[broken, reach])
    with pytest.raises(LookupError), strict():
        audit_emit.emit(None, "a.b")
    assert reached == []


def test_a_failure_of_the_walk_through_the_fields_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Walk, "run", lambda *_: 1 / 0)
    with capture() as events:
        assert audit_emit.emit(None, "a.b", {"n": {1}}) is not None  # a set needs the walk
    assert events.records[0]["fields"] == {"_lossy": "error"}
    with pytest.raises(ZeroDivisionError), strict():
        audit_emit.emit(None, "a.b", {"n": {1}})


def test_foreign_code_that_the_walk_stops_is_no_failure() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise LookupError(CANARY)

        __repr__ = __str__

    with strict() as failures, capture():
        assert audit_emit.emit(None, "a.b", {"n": Hostile()}) is not None
    assert failures == []


def test_a_processor_that_works_has_its_say(outside: Path) -> None:
    def add(_logger: Any, _method: str, event: Any) -> Any:
        return {**event, "added": event["event"]}

    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[add])
    with strict(), capture() as events:
        audit_emit.emit(None, "a.b", {"n": 1})
    assert events.records[0]["fields"] == {"n": 1, "added": "a.b"}


def test_a_failure_of_an_integration_is_raised() -> None:
    class Broken:
        def emit(self, ctx: Any, event_type: Any, fields: Any = None, /) -> object:
            raise LookupError(CANARY)

    record = logging.makeLogRecord({"name": "audit", "msg": "a.b"})
    AuditHandler(Broken()).handle(record)
    with pytest.raises(LookupError), strict():
        AuditHandler(Broken()).handle(record)


def test_a_failure_stopped_on_its_way_is_raised_at_the_end(outside: Path) -> None:
    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[broken])

    def framework() -> None:
        try:
            audit_emit.emit(None, "a.b")
        except LookupError:
            reached.append("after")

    reached: list[str] = []
    with pytest.raises(LookupError), strict():
        framework()
    assert reached == ["after"]


def test_the_guard_is_back_after_the_block(outside: Path) -> None:
    audit_emit.configure(service="outside", jsonl=outside, stdout=False, processors=[broken])
    with pytest.raises(LookupError), strict():
        audit_emit.emit(None, "a.b")
    assert audit_emit.emit(None, "a.b") is not None


def test_nothing_configured_is_captured_too(tmp_path: Path) -> None:
    """In a process of its own: the state directory must stay untouched."""
    code = (
        "from audit_emit import emit\n"
        "from audit_emit.testing import capture\n"
        "with capture() as events:\n"
        "    emit(None, 'a.b')\n"
        "print(len(events.records))\n"
    )
    state = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={**os.environ, "XDG_STATE_HOME": str(state), "AUDIT_EMIT_SERVICE": "captured-service"},
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert not state.exists()
