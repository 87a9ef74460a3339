from __future__ import annotations

import contextlib
import contextvars
import copy
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support import difficult_values
from support.jsonl_store import store_of
from support.piped_descriptor import Piped
from support.plain_log_reader import chain_ok, of_type, records
from support.waiting import PATIENCE, until

from audit_emit import AuditContext, AuditError, ConfigError, Emitter, Receipt, bind
from audit_emit._core import background, outbox
from audit_emit._core import waiting as kept_events
from audit_emit._runtime.nonblocking_fd import NOWAIT
from audit_emit._stores.backlog import Backlog
from audit_emit._stores.base import Draft, Linked
from audit_emit._stores.jsonl.segment import Segment
from audit_emit._stores.memory import MemoryStore
from audit_emit.context import LiveContext
from audit_emit.errors import SinkError

CANARY = "CANARY-" + "e81d03a7c5f2"


def events(path: Path) -> list[dict[str, Any]]:
    return [one for one in chain_ok(path) if not one["event_type"].startswith("audit.")]


class Blocked:
    """A path where no file can be made, until it is cleared."""

    def __init__(self, path: Path) -> None:
        self.directory = path.parent
        self.directory.write_text("in the way")

    def clear(self) -> None:
        self.directory.unlink()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


# One event


def test_the_receipt_says_where_the_record_is(emitter: Emitter, log: Path) -> None:
    receipt = emitter.emit(AuditContext("w", "u", "admin", "c"), "secret.set", {"key": "A"})
    (record,) = events(log)
    assert receipt == Receipt(record["id"], record["chain"], record["seq"], record["hash"])
    assert record["workspace_id"] == "w"
    assert record["user_id"] == "u"
    assert record["actor_kind"] == "admin"
    assert record["correlation_id"] == "c"
    assert record["fields"] == {"key": "A"}
    assert (record["v"], record["service"]) == (1, "tests")


def test_a_receipt_cannot_be_changed(emitter: Emitter) -> None:
    receipt = emitter.emit(None, "a.b")
    with pytest.raises(AttributeError):
        receipt.seq = 1  # type: ignore[misc, union-attr]


@pytest.mark.parametrize("make", [lambda: None, contextvars.copy_context, int, object, list])
def test_the_bound_context_is_used(emitter: Emitter, log: Path, make: Callable[[], Any]) -> None:
    with bind(user_id="u"):
        emitter.emit(make(), "a.b")
    assert events(log)[0]["user_id"] == "u"


def test_a_mapping_is_a_context(emitter: Emitter, log: Path) -> None:
    emitter.emit({"user_id": "u", "actor_kind": "cron"}, "a.b")
    emitter.emit(types.MappingProxyType({"user_id": "v"}), "a.b")
    assert [record["user_id"] for record in events(log)] == ["u", "v"]


def test_fields_may_be_left_out(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")
    emitter.emit(None, "a.b", None)
    emitter.emit(None, "a.b", {})
    assert [record["fields"] for record in events(log)] == [{}, {}, {}]


def test_every_line_on_stdout_is_a_line_of_the_file(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        for number in range(5):
            emitter.emit(None, "a.b", {"n": number})
        emitter.close()
        lines = stdout.read()
    assert lines == b"".join(b"audit: " + line for line in log.read_bytes().splitlines(True))


def test_without_a_file_events_go_to_stdout_unchained() -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl="off", service="tests")
        assert emitter.emit(None, "a.b", {"key": "A"}) is None
        (record,) = stdout.records()
        emitter.close()
    assert record["fields"] == {"key": "A"}
    assert not {"chain", "seq", "prev_hash", "hash"} & set(record)
    assert emitter.counters.lost == 0


def test_disabled_records_nothing(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, disabled=True)
        assert emitter.emit(None, "a.b") is None
        assert emitter.flush(PATIENCE)
        assert emitter.close(PATIENCE)
        assert stdout.read() == b""
    assert not log.exists()


def test_an_emitter_refuses_bad_settings() -> None:
    with pytest.raises(ConfigError):
        Emitter(service="No Service")


# Never raises


class Raises:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error(CANARY)

    __repr__ = __str__


class HostileType(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError(CANARY)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(CANARY)


class HostileContext(dict[str, Any]):
    def __contains__(self, key: object) -> bool:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("ctx", "event_type", "fields"),
    [
        (None, None, None),
        (None, 7, 7),
        (None, [], []),
        (None, {}, {1: 2}),
        (None, "x" * 10_000_000, "x" * 10_000_000),
        (None, b"a.b", b"bytes"),
        (None, HostileType("a.b"), {"a": 1}),
        (None, "a.b", {"a": Raises(RuntimeError)}),
        (None, "a.b", {"a": Raises(MemoryError)}),
        (None, "a.b", Raises(RecursionError)),
        (Raises(RuntimeError), "a.b", None),
        (HostileContext(), "a.b", None),
        (AuditContext(user_id=Raises(RuntimeError)), "a.b", None),
        ({"user_id": Raises(RuntimeError)}, "a.b", None),
        (None, "a.b", {"\ud800": "\udfff"}),
        (None, "a.b", {"workspace_id": Raises(RuntimeError)}),
    ],
    ids=range(16),
)
def test_hostile_arguments_are_one_record_and_no_exception(
    emitter: Emitter, log: Path, ctx: Any, event_type: Any, fields: Any
) -> None:
    emitter.emit(ctx, event_type, fields)
    assert emitter.flush(PATIENCE)
    assert len(chain_ok(log)) == 2
    assert CANARY not in log.read_text()


class RaisingClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError(CANARY)

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class LyingClass:
    """Says that it is of another class, and has nothing of it."""

    def __init__(self, said: type) -> None:
        self.said = said

    @property
    def __class__(self) -> Any:
        return self.said

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


@pytest.mark.parametrize("make", [RaisingClass, lambda: LyingClass(str)], ids=["raises", "lies"])
def test_a_type_that_is_no_text_costs_no_field(
    emitter: Emitter, log: Path, make: Callable[[], Any]
) -> None:
    assert emitter.emit(None, make(), {"a": 1}) is not None
    (record,) = of_type(log, "audit.invalid_event_type")
    assert record["fields"]["a"] == 1


class LyingAll(LyingClass):
    """Has whatever it is asked for, as the mocks of tests do."""

    def __getattr__(self, name: str) -> Any:
        return LyingAll(str)

    def __call__(self, *given: Any) -> Any:
        return self


@pytest.mark.parametrize("make", [LyingClass, LyingAll])
@pytest.mark.parametrize("said", [AuditContext, LiveContext, contextvars.Context])
def test_a_context_that_only_says_it_is_one_costs_no_field(
    emitter: Emitter, log: Path, said: type, make: Callable[[type], Any]
) -> None:
    lies = make(said)
    assert emitter.emit(lies, "a.b", {"a": 1}) is not None
    assert events(log)[0]["fields"] == {"a": 1}
    assert emitter.counters.invalid_contexts == 1


def test_a_proxy_of_a_context_stands_for_it(emitter: Emitter, log: Path) -> None:
    class Proxied(LyingClass):
        def __getattr__(self, name: str) -> Any:
            return getattr(AuditContext(user_id="u-1"), name)

    proxy: Any = Proxied(AuditContext)
    emitter.emit(proxy, "a.b")
    assert events(log)[0]["user_id"] == "u-1"


FAILURES = [(LookupError, "LookupError"), (difficult_values.NamelessError, "NamelessError")]


@pytest.mark.parametrize(("error", "name"), FAILURES, ids=["usual", "hostile"])
def test_a_failure_inside_is_a_record_without_its_fields(
    emitter: Emitter,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    name: str,
) -> None:
    compose = emitter.builder.compose
    failing = [1]

    def once(*arguments: Any) -> Any:
        if failing:
            failing.pop()
            raise error(CANARY)
        return compose(*arguments)

    monkeypatch.setattr(emitter.builder, "compose", once)
    with Piped(2) as stderr:
        emitter._stderr_log._stderr.close()
        emitter._stderr_log = type(emitter._stderr_log)()
        assert emitter.emit(None, "a.b", {"key": "A"}) is None
        told = stderr.read()
    assert emitter.flush(PATIENCE)
    assert events(log)[0]["event_type"] == "a.b"
    assert events(log)[0]["fields"] == {"_lossy": name}
    assert emitter.counters.internal_errors == 1
    assert told == b"audit_emit: an event could not be recorded in full (%b)\n" % name.encode()


def test_near_the_recursion_limit(emitter: Emitter, log: Path) -> None:
    emitter.emit(None, "a.b")

    def down(depth: int) -> None:
        if depth:
            down(depth - 1)
            return
        emitter.emit(None, "c.d", {"key": "A"})

    count = 0
    for room in range(12, 60):
        depth = 0
        frame = sys._getframe()
        while frame is not None:
            depth += 1
            frame = frame.f_back  # type: ignore[assignment]
        down(sys.getrecursionlimit() - depth - room)
        count += 1
    assert emitter.flush(PATIENCE)
    assert len(of_type(log, "c.d")) == count
    chain_ok(log)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_pass_through_and_the_next_event_is_fine(
    emitter: Emitter, log: Path, error: type[BaseException]
) -> None:
    def interrupt(*_: Any) -> Any:
        raise error

    emitter.emit(None, "a.b")
    emitter.builder._processors = emitter.builder._processing._processors = (interrupt,)
    with pytest.raises(error):
        emitter.emit(None, "c.d", {"a": 1})
    emitter.builder._processors = ()
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(emitter.emit(None, "e.f")))
    thread.start()
    thread.join(PATIENCE)
    assert done[0] is not None
    assert [record["event_type"] for record in events(log)] == ["a.b", "e.f"]


def test_an_interrupt_in_the_middle_of_an_append_leaves_the_locks_free(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter.emit(None, "a.b")

    def interrupt() -> int:
        raise KeyboardInterrupt

    now = emitter.clock.now_ns
    for call in (emitter.emit, emitter.emit_strict):
        emitter.clock.now_ns = interrupt
        with pytest.raises(KeyboardInterrupt):
            call(None, "c.d")
        emitter.clock.now_ns = now
        done: list[Any] = []
        thread = threading.Thread(target=lambda seen=done: seen.append(emitter.emit(None, "e.f")))
        thread.start()
        thread.join(PATIENCE)
        assert done[0] is not None
    chain_ok(log)


def test_a_store_may_have_names_of_its_own() -> None:
    """Only a store that says so has the quick way."""

    class Store(MemoryStore):
        def record(self, title: str) -> None:
            raise AssertionError(title)

    store = Store()
    emitter = Emitter(store=store, stdout=False)
    assert emitter.emit(None, "a.b", {"n": 1}) is not None
    assert emitter.health()["counters"]["internal_errors"] == 0
    emitter.close()


# The file is not there


class Interrupted:
    """A lock whose release, once something was written, is followed by a handler that raises."""

    def __init__(self, segment: Segment, lock: Any) -> None:
        self._segment = segment
        self._seq = segment.seq
        self._lock = lock
        self.acquire = lock.acquire
        self._is_owned = lock._is_owned

    def release(self) -> None:
        self._lock.release()
        if self._segment.seq == self._seq + 1:
            self._seq = 0
            raise KeyboardInterrupt


@pytest.mark.parametrize("usual", [True, False])
def test_an_interrupt_at_the_very_end_of_an_append_costs_no_line(log: Path, usual: bool) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="late", jsonl=log)
        for number in range(3):
            emitter.emit(None, "a.b", {"n": number})
        assert emitter.mirror is not None
        emitter.mirror.direct = None  # type: ignore[misc] # as of a file: shown after the append
        section = store_of(emitter).section
        if not usual:
            section.place = None
        section.mutex = Interrupted(section.segment, section.mutex)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            emitter.emit(None, "a.b", {"n": 3})
        assert emitter.emit(None, "a.b", {"n": 4}) is not None
        assert emitter.flush(PATIENCE)
        emitter.close()
        shown = [one["seq"] for one in stdout.records()]
    assert shown == [one["seq"] for one in chain_ok(log)] == list(range(1, 7))


def test_an_interrupt_right_after_the_write_costs_no_line(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="late", jsonl=log)
        emitter.emit(None, "a.b", {"n": 0})
        section = store_of(emitter).section
        section.place = None
        write = os.write

        def written(descriptor: int, data: bytes) -> int:
            count = write(descriptor, data)
            if descriptor == section.segment.descriptor:
                monkeypatch.undo()
                raise KeyboardInterrupt
            return count

        monkeypatch.setattr(os, "write", written)
        with pytest.raises(KeyboardInterrupt):
            emitter.emit(None, "a.b", {"n": 1})
        assert emitter.emit(None, "a.b", {"n": 2}) is not None
        assert emitter.flush(PATIENCE)
        counted = store_of(emitter).health().written
        emitter.close()
        shown = [one["seq"] for one in stdout.records()]
    assert shown == [one["seq"] for one in chain_ok(log)] == list(range(1, 5))
    assert counted == 4


def test_an_interrupt_while_what_waits_is_shown_costs_no_line(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(service="late", jsonl=log)
        emitter.emit(None, "a.b", {"n": 0})
        emitter.outbox.mirrored.waiting += [b"1\n", b"2\n"]
        interrupted = patch.object(emitter.mirror, "show", side_effect=KeyboardInterrupt)
        with interrupted, pytest.raises(KeyboardInterrupt):
            emitter.outbox.mirrored.show_waiting()
        assert emitter.outbox.mirrored.show_waiting()
        emitter.close()
        assert stdout.read().splitlines()[-2:] == [b"audit: 1", b"audit: 2"]


def test_what_the_file_did_not_take_is_on_stdout_at_once_and_in_the_file_later(log: Path) -> None:
    blocked = Blocked(log)
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        assert emitter.emit(None, "a.b", {"n": 1}) is None
        (early,) = stdout.records()
        assert "chain" not in early
        blocked.clear()
        assert emitter.emit(None, "a.b", {"n": 2}) is not None
        emitter.close()
        late = [one for one in stdout.records() if one["event_type"] == "a.b"]
    first, second = events(log)
    assert (first["id"], first["ts"]) == (early["id"], early["ts"])
    assert [first["fields"]["n"], second["fields"]["n"]] == [1, 2]
    assert [one["seq"] for one in late] == [first["seq"], second["seq"]]


@pytest.mark.usefixtures("hurried")
def test_what_the_file_refuses_is_shown_after_what_is_not_yet_shown(log: Path) -> None:
    """The first event took longer than it may wait (a slow disk), and left its line for later."""
    with Piped() as stdout:
        emitter = Emitter(service="order", jsonl=log)
        store = store_of(emitter)
        append = store.append

        def slow(drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
            records = append(drafts, deadline)
            time.sleep(0.06)
            return records

        with patch.object(store, "append", slow):
            assert emitter.emit(None, "a.b", {"n": 0}) is not None
        with patch.object(store, "append", side_effect=SinkError("EFBIG")):
            for number in range(1, 4):
                assert emitter.emit(None, "a.b", {"n": number}) is None
        shown = [one for one in stdout.records() if one["event_type"] == "a.b"]
        emitter.close()
    assert [one["fields"]["n"] for one in shown] == [0, 1, 2, 3]


def test_events_that_waited_are_written_in_order_by_a_thread(log: Path) -> None:
    blocked = Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    for number in range(1200):
        emitter.emit(None, "a.b", {"n": number})
    assert emitter.health()["sinks"]["jsonl"]["backlog"] == 1200
    blocked.clear()
    until(lambda: emitter.health()["sinks"]["jsonl"]["backlog"] == 0)
    assert [one["fields"]["n"] for one in events(log)] == list(range(1200))
    assert emitter.counters.drained == 1200
    assert emitter.close(PATIENCE)


def test_what_overflows_is_declared_in_the_chain(log: Path) -> None:
    blocked = Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.outbox.backlog = Backlog(records=3)
    for number in range(5):
        emitter.emit(None, "a.b", {"n": number})
    assert emitter.counters.lost == 2
    blocked.clear()
    assert emitter.close(PATIENCE)
    assert [one["fields"]["n"] for one in events(log)] == [0, 1, 2]
    (gap,) = of_type(log, "audit.gap")
    assert gap["fields"]["lost"] == 2
    assert gap["fields"]["sink"] == "jsonl"
    assert gap["fields"]["reason"] == "ENOTDIR", "the cause, not that the backlog was full"
    assert gap["fields"]["first_ts"] < gap["fields"]["last_ts"] < gap["ts"]


@pytest.mark.usefixtures("hurried")
def test_a_pause_of_the_file_is_no_loss_though_threads_go_on(log: Path) -> None:
    """They wait a little for what came before, instead of filling the backlog."""
    emitter = Emitter(jsonl=log, stdout=False, durability="os")
    emitter.outbox.backlog = Backlog(records=1000)
    emitter.emit(None, "a.b")
    stop = threading.Event()
    counts = [0] * 8

    def work(index: int) -> None:
        while not stop.is_set():
            emitter.emit(None, "a.b")
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    assert emitter.store is not None
    with store_of(emitter).section.mutex:
        for thread in threads:
            thread.start()
        until(lambda: len(emitter.outbox.backlog) > 8)
    until(lambda: emitter.counters.drained and not emitter.outbox.backlog.waiting)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert emitter.close(PATIENCE)
    assert emitter.counters.lost == 0
    assert len(events(log)) == sum(counts) + 1


def test_flush_says_what_is_not_written(log: Path) -> None:
    blocked = Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    begun = time.monotonic()
    assert not emitter.flush(0.1)
    assert time.monotonic() - begun >= 0.1
    blocked.clear()
    assert emitter.flush(PATIENCE)
    assert emitter.close(PATIENCE)


@pytest.mark.parametrize("given", [None, "x", [], float("nan"), float("inf"), 10**400, "2"])
@pytest.mark.parametrize("name", ["flush", "finish", "close"])
def test_flush_takes_anything_for_a_timeout(emitter: Emitter, name: str, given: Any) -> None:
    emitter.emit(None, "a.b")
    assert getattr(emitter, name)(given)


@pytest.mark.parametrize("name", ["flush", "finish", "close"])
def test_a_timeout_below_zero_is_none_at_all(emitter: Emitter, name: str) -> None:
    emitter.emit(None, "a.b")
    assert getattr(emitter, name)(-1) in (True, False)  # as far as the thread that syncs has come
    assert emitter.flush(PATIENCE)


def test_flush_with_any_timeout_ends(log: Path) -> None:
    Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    assert not emitter.flush(float("nan"))
    assert not emitter.flush(-1)
    emitter.close(0)


def test_flush_waits_for_the_lines_that_another_thread_shows(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the exit of the process they would be neither on stdout nor declared."""
    shows, may_go_on = threading.Event(), threading.Event()

    def show(_: list[Linked]) -> None:
        shows.set()
        may_go_on.wait(PATIENCE)

    monkeypatch.setattr(emitter.outbox, "show_later", show)
    emitter.outbox.backlog.add(emitter.clock.draft(*emitter.builder.own("a.b", {})).prefix)
    emitter.outbox.pending = True
    other = threading.Thread(target=emitter.outbox.drain)
    other.start()
    assert shows.wait(PATIENCE)
    flushed: list[bool] = []
    flushing = threading.Thread(target=lambda: flushed.append(emitter.flush(20)))
    flushing.start()
    flushing.join(0.05)
    assert flushed == []
    may_go_on.set()
    flushing.join(PATIENCE)
    other.join(PATIENCE)
    assert flushed == [True]


def test_the_failure_is_told_once_without_the_event(log: Path) -> None:
    Blocked(log)
    with Piped(2) as stderr:
        emitter = Emitter(jsonl=log, stdout=False)
        for _ in range(5):
            emitter.emit(None, "a.b", {"key": CANARY})
        told = stderr.read().decode()
        emitter.close(0)
    assert told == (
        f"audit_emit: {log} cannot be written (ENOTDIR); "
        "events are kept in memory and written when it is back\n"
    )


# Stdout is not there


def test_a_stopped_reader_delays_nothing_and_its_loss_is_declared(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        emitter.emit(None, "a.b", {"n": 0})
        stdout.fill()
        receipts = [emitter.emit(None, "a.b", {"n": number}) for number in range(1, 200)]
        assert all(receipts)
        assert emitter.counters.stdout_lost >= 199
        stdout.read()
        emitter.emit(None, "a.b", {"n": 200})
        assert emitter.flush(PATIENCE)
        shown = {one["fields"].get("n") for one in stdout.records() if "n" in one["fields"]}
        emitter.close()
    assert [one["fields"]["n"] for one in events(log)] == list(range(201))
    gaps = of_type(log, "audit.gap")
    assert sum(gap["fields"]["lost"] for gap in gaps) == emitter.counters.stdout_lost
    assert {(gap["fields"]["sink"], gap["fields"]["reason"]) for gap in gaps} == {
        ("stdout", "full")
    }
    assert 200 in shown


def test_a_reader_that_stays_away_does_not_fill_the_log_with_gaps(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        stdout.fill()
        emitter.emit(None, "a.b")
        emitter.flush(1.0)
        emitter.flush(1.0)
        emitter.close(1.0)
    assert len(of_type(log, "audit.gap")) <= 2
    chain_ok(log)


@contextlib.contextmanager
def begun(log: Path | str) -> Iterator[tuple[Emitter, Piped, bytes]]:
    """An emitter whose last line was taken in part, by a pipe that has room now; and that part."""
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests", durability="os", stdout_max_bytes=65536)
        emitter.emit(None, "a.b", {"n": 0})
        stdout.fill()
        os.read(stdout.reader, 8192)
        emitter.emit(None, "a.b", {"n": 1, "text": ["x" * 4000] * 3})
        assert emitter.mirror is not None
        assert emitter.mirror.is_unfinished
        yield emitter, stdout, stdout.read()


nowait = pytest.mark.skipif(not NOWAIT, reason="only then a line that long is written at all")


@nowait
def test_a_line_that_stdout_took_in_part_is_ended_by_the_thread(log: Path) -> None:
    with begun(log) as (emitter, stdout, part):
        sink = emitter.mirror
        until(lambda: sink is not None and not sink.is_unfinished)
        shown = part + stdout.read()
        emitter.close()
    assert shown.endswith(log.read_bytes().splitlines(keepends=True)[-1])
    assert emitter.counters.stdout_lost == 0


@nowait
def test_a_line_that_stdout_took_in_part_is_ended_by_flush(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_TICK_SECONDS", 3600.0)
    with begun(log) as (emitter, stdout, part):
        assert emitter.flush(PATIENCE)
        shown = part + stdout.read()
        emitter.close()
    assert shown.endswith(log.read_bytes().splitlines(keepends=True)[-1])
    assert emitter.counters.stdout_lost == 0


@nowait
def test_a_line_that_stdout_never_took_whole_is_declared_at_the_end(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_TICK_SECONDS", 3600.0)
    with begun(log) as (emitter, stdout, _):
        stdout.fill()
        assert emitter.counters.stdout_lost == 0, "it may still come"
        emitter.close(0.1)
        assert emitter.counters.stdout_lost >= 1
    (gap,) = of_type(log, "audit.gap")
    (last,) = [one for one in events(log) if one["fields"]["n"] == 1]
    assert gap["fields"]["lost"] == 1
    assert gap["fields"]["sink"] == "stdout"
    assert gap["fields"]["first_ts"] == last["ts"]


@nowait
def test_without_a_file_an_event_that_stdout_never_took_whole_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_TICK_SECONDS", 3600.0)
    with begun("off") as (emitter, stdout, _):
        stdout.fill()
        assert (emitter.counters.unchained, emitter.counters.lost) == (2, 0)
        emitter.close(0.1)
    assert (emitter.counters.unchained, emitter.counters.lost) == (1, 1)


def test_an_emitter_made_without_descriptors_is_well_once_there_are_some(log: Path) -> None:
    code = (
        "import os, resource, sys\n"
        "from audit_emit import Emitter\n"
        "from audit_emit._core.owed import has_more\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "held = []\n"
        "try:\n"
        "    while True: held.append(os.dup(0))\n"
        "except OSError: pass\n"
        "emitter = Emitter(jsonl=sys.argv[1], service='tests')\n"
        "emitter.emit(None, 'a.b', {'n': 0})\n"
        "lost = emitter.counters.stdout_lost\n"
        "for number in held: os.close(number)\n"
        "while has_more(emitter.outbox): pass\n"
        "receipt = emitter.emit(None, 'a.b', {'n': 1})\n"
        "emitter.close()\n"
        "sys.exit(lost != 1 or receipt is None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)], capture_output=True, timeout=PATIENCE, check=True
    )
    assert [one["fields"]["n"] for one in events(log)] == [0, 1]
    (gap,) = of_type(log, "audit.gap")
    assert (gap["fields"]["lost"], gap["fields"]["reason"]) == (1, "EMFILE")
    assert b'"n":1' in done.stdout
    assert b"could not be written to stdout (EMFILE)" in done.stderr


def test_without_a_file_lines_carry_a_number_of_their_process() -> None:
    with Piped() as stdout:
        emitter, other = Emitter(jsonl="off"), Emitter(jsonl="off")
        for _ in range(3):
            emitter.emit(None, "a.b", {"number": 7})
        other.emit(None, "a.b")
        told = stdout.records()
        emitter.close()
        other.close()
    assert [record["number"] for record in told] == [1, 2, 3, 1]
    assert len({record["process"] for record in told}) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", record["process"]) for record in told)
    assert list(told[0])[-3:] == ["service", "process", "number"]


def test_without_a_file_a_line_that_is_lost_leaves_a_hole_in_the_numbers() -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl="off")
        emitter.emit(None, "a.b")
        told = stdout.records()
        stdout.fill()
        emitter.emit(None, "a.b")
        stdout.read()
        emitter.emit(None, "a.b", {"long": "x" * 5000})
        told += stdout.records()
        emitter.close()
    assert [record["number"] for record in told] == [1, 3], "also a stub has one"
    assert "_spilled" in told[1]["fields"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_without_a_file_a_child_has_numbers_of_its_own() -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl="off")
        emitter.emit(None, "a.b")
        pid = os.fork()
        if pid == 0:
            emitter.emit(None, "a.b")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        emitter.emit(None, "a.b")
        told = [(record["process"], record["number"]) for record in stdout.records()]
        emitter.close()
    assert [number for _, number in told] == [1, 1, 2]
    assert told[0][0] == told[2][0] != told[1][0]


def test_with_a_file_no_line_carries_a_number(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log)
        emitter.emit(None, "a.b")
        assert not any("process" in record for record in stdout.records())
        emitter.close()


def test_without_a_file_health_is_well_again_when_stdout_is(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl="off")
        stdout.fill()
        emitter.emit(None, "a.b")
        assert emitter.health()["status"] == "failing"
        stdout.read()
        emitter.emit(None, "a.b")
        found = emitter.health()
        assert (found["status"], found["losses"]["events"]) == ("ok", 1), "the loss stays told"
        emitter.close()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_emitter_says_that_it_cannot_be_duplicated(
    emitter: Emitter, duplicate: Callable[[Emitter], object]
) -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        duplicate(emitter)


# emit_strict


def test_strict_returns_a_receipt_and_shows_the_line(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        receipt = emitter.emit_strict({"user_id": "u"}, "secret.set", {"key": "A"})
        shown = stdout.records()
        emitter.close()
    (record,) = events(log)
    assert receipt == Receipt(record["id"], record["chain"], record["seq"], record["hash"])
    assert [one["event_type"] for one in shown] == ["audit.started", "secret.set"]


def test_strict_refuses_when_the_file_does_and_keeps_nothing(log: Path) -> None:
    blocked = Blocked(log)
    with Piped() as stdout:
        emitter = Emitter(jsonl=log, service="tests")
        with pytest.raises(AuditError) as caught:
            emitter.emit_strict(None, "a.b", {"key": CANARY})
        assert stdout.read() == b""
        assert caught.value.reason == "ENOTDIR"
        assert isinstance(caught.value.__cause__, SinkError)
        assert CANARY not in str(caught.value)
        blocked.clear()
        assert emitter.flush(PATIENCE)
        emitter.close()
    assert not log.exists() or events(log) == []


@pytest.mark.parametrize(
    ("settings", "reason"), [({"disabled": True}, "disabled"), ({"jsonl": "off"}, "no-file")]
)
def test_strict_needs_a_file(settings: dict[str, Any], reason: str) -> None:
    emitter = Emitter(stdout=False, **settings)
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "a.b")
    assert caught.value.reason == reason


def test_strict_says_when_a_record_is_not_synced(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    monkeypatch.setattr(emitter.store, "sync", lambda: False)
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "a.b")
    assert caught.value.reason == "fsync-failed"


def test_strict_tells_the_reason_of_what_waits_and_leaves_it_to_health(log: Path) -> None:
    Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    with pytest.raises(AuditError, match="ENOTDIR") as caught:
        emitter.emit_strict(None, "a.b")
    found = emitter.health()
    emitter.close(0)
    assert caught.value.reason == "ENOTDIR"
    assert found["sinks"]["jsonl"]["last_error"] == "ENOTDIR"
    assert "the file cannot be written (ENOTDIR)" in found["notes"]


def test_strict_tells_why_events_wait_that_are_about_to_be_written(log: Path) -> None:
    blocked = Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    blocked.clear()
    with emitter.outbox.drain_lock:  # as a thread that is at it
        emitter.outbox.fault = None
        reasons: list[str] = []

        def strictly() -> None:
            try:
                emitter.emit_strict(None, "a.b")
            except AuditError as error:
                reasons.append(error.reason)

        other = threading.Thread(target=strictly)
        other.start()
        other.join(PATIENCE)
    emitter.close()
    assert reasons == ["ENOTDIR"]


def test_strict_waits_for_nothing_that_came_before(log: Path) -> None:
    """Order is the file's: while older events wait, a strict one is refused."""
    Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    with pytest.raises(AuditError):
        emitter.emit_strict(None, "a.b")
    emitter.close(0)


@pytest.mark.parametrize(("error", "name"), FAILURES, ids=["usual", "hostile"])
def test_strict_has_its_failures_inside_by_type_only(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch, error: type[Exception], name: str
) -> None:
    def fail(*_: Any) -> Any:
        raise error(CANARY)

    monkeypatch.setattr(emitter.builder, "compose", fail)
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "a.b")
    assert caught.value.reason == name
    assert CANARY not in str(caught.value)


# The life of an emitter


def test_an_emitter_may_be_used_after_close(emitter: Emitter, log: Path) -> None:
    for _ in range(3):
        assert emitter.emit(None, "a.b") is not None
        assert emitter.close(PATIENCE)
    assert len(events(log)) == 3


def test_an_emitter_gives_everything_back(log: Path) -> None:
    code = (
        "import os, time\n"
        "descriptors = lambda: sorted(os.listdir('/proc/self/fd'))\n"
        "Emitter(jsonl=sys.argv[1]).close()\n"
        "threads = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = descriptors(), threads()\n"
        "for _ in range(10):\n"
        "    emitter = Emitter(jsonl=sys.argv[1], service='tests')\n"
        "    emitter.emit(None, 'a.b')\n"
        "    assert emitter.close()\n"
        "deadline = time.monotonic() + 100\n"
        "while (now := (descriptors(), threads()))[0] != before[0] or now[1] > before[1]:\n"
        "    assert time.monotonic() < deadline, (before, now)\n"
        "    time.sleep(0.01)\n"
    )
    done = run(code, log, check=False)
    assert done.returncode == 0, done.stderr
    assert len(events(log)) == 10


def test_a_closed_emitter_can_be_forgotten(log: Path) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    emitter.close()
    gone = weakref.ref(emitter)
    del emitter

    def collected() -> bool:
        gc.collect()
        return gone() is None

    until(collected)


def run(code: str, path: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nfrom audit_emit import *\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=options.get("check", True),
    )


def test_what_waits_is_written_at_exit(log: Path) -> None:
    code = (
        "import os\n"
        "os.makedirs(os.path.dirname(os.path.dirname(sys.argv[1])), exist_ok=True)\n"
        "open(os.path.dirname(sys.argv[1]), 'w').close()\n"
        "e = configure(jsonl=sys.argv[1], stdout=False)\n"
        "assert emit(None, 'a.b') is None\n"
        "os.unlink(os.path.dirname(sys.argv[1]))\n"
    )
    done = run(code, log)
    assert len(events(log)) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "end", ["sys.exit(3)", "raise KeyError", "os._exit(3)", "os.kill(os.getpid(), 9)"]
)
def test_records_survive_the_end_of_their_process(log: Path, end: str) -> None:
    code = f"import os\nconfigure(jsonl=sys.argv[1], stdout=False)\nemit(None, 'a.b')\n{end}"
    assert run(code, log, check=False).returncode != 0
    assert len(events(log)) == 1


def test_events_of_handlers_at_exit_are_recorded(log: Path) -> None:
    code = (
        "import atexit, weakref\n"
        "atexit.register(lambda: emit(None, 'at.exit'))\n"
        "configure(jsonl=sys.argv[1], stdout=False)\n"
        "class Thing: pass\n"
        "thing = Thing(); weakref.finalize(thing, lambda: emit(None, 'at.finalize'))\n"
        "sys.excepthook = lambda *_: emit(None, 'at.excepthook')\n"
        "raise KeyError\n"
    )
    done = run(code, log, check=False)
    assert done.stderr == ""
    kinds = {one["event_type"] for one in events(log)}
    assert kinds == {"at.exit", "at.finalize", "at.excepthook"}


@pytest.mark.thorough
def test_a_signal_handler_may_emit_at_any_moment(emitter: Emitter, log: Path) -> None:
    fired = 0

    def handler(*_: Any) -> None:
        nonlocal fired
        fired += 1
        if fired == 100:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        emitter.emit(None, "from.signal", {"n": fired})

    before = signal.signal(signal.SIGVTALRM, handler)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    count = 0
    try:
        while fired < 100:  # ticks of this process's own processor time
            emitter.emit(None, "a.b")
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert emitter.flush(PATIENCE)
    chain_ok(log)
    assert len(of_type(log, "a.b")) == count
    assert len(of_type(log, "from.signal")) == fired


def test_a_call_in_the_middle_of_a_drain_waits_for_nobody(
    emitter: Emitter, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler there: its event is kept, and its caller not delayed."""
    assert emitter.store is not None
    append = emitter.store.append
    took: list[float] = []

    def interrupted(*arguments: Any) -> Any:
        if not took:
            took.append(0.0)
            begun = time.monotonic()
            emitter.emit(None, "from.signal")
            took[0] = time.monotonic() - begun
        return append(*arguments)

    emitter.outbox.backlog.add(emitter.clock.draft(*emitter.builder.own("a.b", {})).prefix)
    emitter.outbox.pending = True
    monkeypatch.setattr(emitter.store, "append", interrupted)
    monkeypatch.setattr(kept_events, "DRAIN_SECONDS", 30.0)
    emitter.emit(None, "c.d")
    monkeypatch.undo()
    assert emitter.flush(PATIENCE)
    assert max(took) < 20
    assert [one["event_type"] for one in events(log)].count("from.signal") == len(took)


def test_a_value_that_emits_while_it_is_recorded(emitter: Emitter, log: Path) -> None:
    class Talkative:
        def __str__(self) -> str:
            emitter.emit(None, "inner.it")
            return "said"

    emitter.emit(None, "outer.it", {"value": Talkative()})
    assert emitter.flush(PATIENCE)
    assert of_type(log, "outer.it")
    chain_ok(log)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_does_not_write_what_waits_in_its_parent(log: Path) -> None:
    blocked = Blocked(log)
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "of.parent")
    pid = os.fork()
    if pid == 0:
        blocked.clear()
        emitter.emit(None, "of.child")
        os._exit(not emitter.flush(20))
    assert os.waitpid(pid, 0)[1] == 0
    assert emitter.close(PATIENCE)
    assert sorted(one["event_type"] for one in events(log)) == ["of.child", "of.parent"]


def test_unwritable_records_leave_nothing_half_done(emitter: Emitter, log: Path) -> None:
    """A limit on the size of files, as a full disk: the tail is whole before and after."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "emitter = configure(jsonl=sys.argv[1], stdout=False, durability='os')\n"
        "size = 3000\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "got = [emit(None, 'a.b', {'n': n}) for n in range(20)]\n"
        "assert got[0] and not got[-1]\n"
        "content = open(sys.argv[1], 'rb').read()\n"
        "assert content.endswith(b'}\\n') and len(content) <= size, content[-10:]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "assert flush(20)\n"
    )
    run(code, log)
    assert [one["fields"]["n"] for one in events(log)] == list(range(20))
    assert len(records(log)) == 21


# One deadline for each call


def waiting(emitter: Emitter, count: int) -> None:
    """Let so many events wait for the file, which can be written."""
    for _ in range(count):
        emitter.outbox.backlog.add(emitter.clock.draft(*emitter.builder.own("a.waits", {})).prefix)
    emitter.outbox.pending = True


@pytest.mark.usefixtures("hurried")
def test_an_emit_drains_for_a_time_and_not_a_number(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    assert emitter.store is not None
    link = store_of(emitter).segment.link
    written: list[Draft] = []

    def slowly(draft: Draft) -> Linked:
        written.append(draft)
        time.sleep(0.01)
        return link(draft)

    monkeypatch.setattr(emitter.outbox, "go_on", lambda: None)
    monkeypatch.setattr(store_of(emitter).segment, "link", slowly)
    waiting(emitter, 500)
    assert emitter.emit(None, "c.d") is None
    assert len(written) <= 4
    assert len(emitter.outbox.backlog) == 501 - len(written)
    monkeypatch.undo()
    assert emitter.flush(PATIENCE)
    emitter.close()
    assert [one["event_type"] for one in events(log)] == ["a.b", *["a.waits"] * 500, "c.d"]


def test_all_that_an_emit_waits_for_has_one_deadline(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    file = emitter.store
    assert file is not None
    deadlines: list[float] = []
    append = file.append

    def appending(drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        deadlines.append(deadline)
        return append(drafts, deadline)

    monkeypatch.setattr(emitter.outbox, "go_on", lambda: None)
    monkeypatch.setattr(file, "append", appending)
    waiting(emitter, 1)
    for gap in (emitter.outbox.gap, emitter.outbox.mirrored.gap):
        gap.add("2026-01-01T00:00:00.000000000Z", "test")
    begun = time.monotonic()
    emitter.emit(None, "c.d")
    monkeypatch.undo()
    assert len(deadlines) >= 3
    (deadline,) = set(deadlines)
    assert begun < deadline <= time.monotonic() + outbox.LOCK_SECONDS
    emitter.close()


@pytest.mark.usefixtures("hurried")
def test_what_there_is_no_time_to_show_is_shown_by_the_next(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(jsonl=log)
    emitter.emit(None, "a.b")
    assert emitter.flush(PATIENCE)
    assert emitter.store is not None
    shown: list[bytes] = []

    def slowly(line: bytes) -> bool:
        shown.append(line)
        time.sleep(0.03)
        return True

    assert emitter.mirror is not None
    monkeypatch.setattr(emitter.outbox, "go_on", lambda: None)
    monkeypatch.setattr(emitter.mirror, "show", slowly)
    waiting(emitter, 30)
    emitter.emit(None, "c.d")
    assert len(shown) <= 5
    assert emitter.flush(PATIENCE)
    monkeypatch.undo()
    emitter.close()
    assert len(shown) == len(set(shown)) == 31
