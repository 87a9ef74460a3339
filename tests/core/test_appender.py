"""A store that takes its time: ``emit`` returns at once, and everything else is as with a file."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from support.waiting import PATIENCE, until

from audit_emit import Emitter
from audit_emit._core import appender, health
from audit_emit._core.draining import BATCH
from audit_emit._runtime.threads import Background
from audit_emit._stores.backlog import Backlog
from audit_emit._stores.base import Draft, Linked, Traits
from audit_emit.errors import AuditError, SinkError
from audit_emit.testing import MemoryStore


class SlowStore(MemoryStore):
    """Appends when ``open`` is set, and refuses with ``refuses``."""

    traits = Traits(immediate=False, shared=False, durable=False)

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.refuses = ""
        self.attempts = 0
        self.threads: set[int] = set()

    def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        self.threads.add(threading.get_ident())
        assert self.open.wait(PATIENCE)
        self.attempts += 1
        if self.refuses and drafts:
            raise SinkError(self.refuses, detail="because it was told to")
        return super().append(drafts, deadline)


@pytest.fixture
def store() -> Iterator[SlowStore]:
    made = SlowStore()
    yield made
    made.open.set()


@pytest.fixture
def emitter(store: SlowStore) -> Iterator[Emitter]:
    made = Emitter(service="shop", store=store, stdout=False)
    yield made
    store.open.set()
    store.refuses = ""
    made.close()


def records(store: MemoryStore) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.chain.lines]


def numbers(store: MemoryStore) -> list[int]:
    return [one["fields"]["n"] for one in records(store) if one["event_type"] == "a.b"]


def gaps(store: MemoryStore) -> list[dict[str, Any]]:
    return [one["fields"] for one in records(store) if one["event_type"] == "audit.gap"]


def test_events_are_appended_in_their_order_by_one_other_thread(
    emitter: Emitter, store: SlowStore
) -> None:
    for number in range(1200):
        assert emitter.emit(None, "a.b", {"n": number}) is None
    assert emitter.flush(PATIENCE)
    assert numbers(store) == list(range(1200))
    assert len(store.threads) == 1
    assert threading.get_ident() not in store.threads


def test_emit_does_not_wait_for_a_store_that_hangs(emitter: Emitter, store: SlowStore) -> None:
    store.open.clear()
    for number in range(300):
        emitter.emit(None, "a.b", {"n": number})
    assert numbers(store) == []
    assert not emitter.flush(0.05)
    store.open.set()
    assert emitter.flush(PATIENCE)
    assert numbers(store) == list(range(300))


def test_emit_strict_comes_after_what_was_emitted_before(
    emitter: Emitter, store: SlowStore
) -> None:
    emitter.emit(None, "a.b", {"n": 1})
    receipt = emitter.emit_strict(None, "a.b", {"n": 2})
    assert numbers(store) == [1, 2]
    assert records(store)[receipt.seq - 1]["id"] == receipt.id
    assert records(store)[receipt.seq - 1]["hash"] == receipt.hash


def test_what_emit_strict_refuses_is_not_kept(emitter: Emitter, store: SlowStore) -> None:
    store.refuses = "database-full"
    with pytest.raises(AuditError, match="because it was told to") as caught:
        emitter.emit_strict(None, "a.b", {"n": 1})
    assert caught.value.reason == "database-full"
    store.refuses = ""
    emitter.emit_strict(None, "a.b", {"n": 2})
    assert emitter.flush(PATIENCE)
    assert numbers(store) == [2]


def test_emit_strict_does_not_wait_for_ever(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "STRICT_SECONDS", 0.05)
    store.open.clear()
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "a.b", {"n": 1})
    assert caught.value.reason == "timeout"


def test_callers_who_wait_share_a_batch(emitter: Emitter, store: SlowStore) -> None:
    emitter.emit_strict(None, "a.b", {"n": -1})
    store.open.clear()
    threads = [
        threading.Thread(target=emitter.emit_strict, args=(None, "a.b", {"n": number}))
        for number in range(16)
    ]
    before = store.attempts
    for thread in threads:
        thread.start()
    requests = emitter.outbox.requests
    until(lambda: len(requests._asked) + len(requests._sent) == 16)
    store.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(numbers(store)) == [-1, *range(16)]
    assert store.attempts - before <= 2


@pytest.mark.parametrize("gone", range(3))
def test_a_caller_who_is_gone_keeps_no_other_one_from_his_answer(
    gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "STRICT_SECONDS", PATIENCE)
    monkeypatch.setattr(appender, "_LOOK_SECONDS", PATIENCE)
    requests = appender.Requests()
    answers: list[Linked] = []

    def ask(draft: Draft) -> None:
        answers.append(requests.ask(draft, lambda: None, lambda: ""))

    drafts = [Draft("", number, str(number), "") for number in range(3)]
    threads = []
    for number, draft in enumerate(drafts):
        if number == gone:
            requests._asked.append(appender._Request(draft))
        else:
            threads.append(threading.Thread(target=ask, args=(draft,)))
            threads[-1].start()
        until(lambda: len(requests._asked) == number + 1)  # noqa: B023 - in this round
    assert requests.next(3) == drafts
    requests._sent[gone].is_over = True  # an interrupt came while the batch was on its way
    requests.appended([Linked(b"", "c", draft.ns, "", "", draft.id) for draft in drafts])
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(one.seq for one in answers) == [n for n in range(3) if n != gone]


def test_a_failure_is_told_once_and_ends_with_it(store: SlowStore) -> None:
    told: list[tuple[str, str]] = []
    emitter = Emitter(
        service="shop", store=store, stdout=False,
        on_error=lambda error, stage, _: told.append((getattr(error, "reason", ""), stage)),
    )  # fmt: skip
    store.refuses = "database-away"
    emitter.emit(None, "a.b", {"n": 1})
    until(lambda: store.attempts >= 3)
    report = emitter.health()
    assert report["status"] == "failing"
    assert report["sinks"]["store"]["last_error"] == "database-away"
    assert told == [("database-away", "store")]
    store.refuses = ""
    assert emitter.flush(PATIENCE)
    report = emitter.health()
    assert report["status"] == "ok"
    assert report["counters"] | {"emitted": 1, "written": 2, "drained": 1} == report["counters"]
    emitter.close()


def test_a_chain_that_takes_nothing_delays_no_other_one_ever_longer(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "_LONGEST_SECONDS", 3600.0)
    monkeypatch.setattr(appender, "_SHORTEST_SECONDS", 0.001)
    append, locked = store.append, threading.Event()
    locked.set()

    def the_second(drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        if not (locked.is_set() and drafts):
            return append(drafts, deadline)
        second = drafts[1:2]
        del drafts[1:2]
        raise SinkError("chain-locked", append(second, deadline))

    monkeypatch.setattr(store, "append", the_second)
    for number in range(25):
        emitter.emit(None, "a.b", {"n": number})
    until(lambda: numbers(store) == list(range(1, 25)))
    locked.clear()
    assert emitter.flush(PATIENCE)
    assert numbers(store)[-1] == 0


@pytest.fixture
def _paused(emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store works again, and the thread has an hour to go until it tries."""
    monkeypatch.setattr(appender, "_LONGEST_SECONDS", 3600.0)
    monkeypatch.setattr(appender, "_SHORTEST_SECONDS", 3600.0)
    store.refuses = "database-away"
    emitter.emit(None, "a.b", {"n": 1})
    until(lambda: emitter.outbox.fault)
    store.refuses = ""
    assert numbers(store) == []


@pytest.mark.usefixtures("_paused")
def test_a_flush_does_not_wait_for_the_end_of_a_pause(emitter: Emitter, store: SlowStore) -> None:
    assert emitter.flush(PATIENCE)
    assert numbers(store) == [1]


def test_what_comes_within_a_pace_is_appended_together_once_somebody_asks(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "monotonic", lambda: 1.0)  # a machine that has just started
    monkeypatch.setattr(appender, "_PACE_SECONDS", 3600.0)
    emitter.emit(None, "a.b", {"n": 1})
    until(lambda: numbers(store) == [1] and not emitter.outbox.is_draining)
    for number in (2, 3):
        emitter.emit(None, "a.b", {"n": number})
    before = store.attempts
    emitter.emit_strict(None, "a.b", {"n": 4})
    assert numbers(store) == [1, 2, 3, 4]
    assert store.attempts == before + 2  # what was there already, and what was asked for
    emitter.emit(None, "a.b", {"n": 5})
    assert emitter.flush(PATIENCE)
    assert numbers(store) == [1, 2, 3, 4, 5]


def test_a_batch_that_is_full_waits_for_no_pace(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "_PACE_SECONDS", 3600.0)
    store.open.clear()
    for number in range(1 + 2 * BATCH):
        emitter.emit(None, "a.b", {"n": number})
    store.open.set()
    until(lambda: len(numbers(store)) > BATCH)


@pytest.mark.usefixtures("_paused")
def test_emit_strict_ends_a_pause_after_a_failure(emitter: Emitter, store: SlowStore) -> None:
    emitter.emit_strict(None, "a.b", {"n": 2})
    assert numbers(store) == [1, 2]


def test_events_that_do_not_fit_are_declared_as_lost_to_this_store(
    emitter: Emitter, store: SlowStore
) -> None:
    emitter.outbox.backlog = Backlog(10)
    store.open.clear()
    for number in range(25):
        emitter.emit(None, "a.b", {"n": number})
    store.open.set()
    assert emitter.flush(PATIENCE)
    assert numbers(store) == list(range(10))
    (gap,) = gaps(store)
    assert (gap["lost"], gap["sink"], gap["reason"]) == (15, "memory", "backlog-full")
    assert emitter.health()["losses"]["events"] == 15


def test_lost_lines_of_standard_output_are_declared() -> None:
    """In a process of its own, whose standard output is closed when it begins."""
    code = """
import json, os, sys
sys.path[:0] = sys.argv[1:]
from core.test_appender import SlowStore, gaps, numbers
from audit_emit import Emitter
store = SlowStore()
emitter = Emitter(service="shop", store=store)
os.close(1)
for number in range(3):
    emitter.emit(None, "a.b", {"n": number})
assert emitter.flush(60)
emitter.emit_strict(None, "a.b", {"n": 3})
assert emitter.flush(60)
assert numbers(store) == [0, 1, 2, 3], numbers(store)
lost = [gap["lost"] for gap in gaps(store) if gap["sink"] == "stdout"]
# audit.started and the four events, but not the lines that declare a loss.
assert sum(lost) >= 5, gaps(store)
assert emitter.health()["losses"]["lines"] >= 5
"""
    place = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", code, place], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_child_process_appends_only_its_own(emitter: Emitter, store: SlowStore) -> None:
    store.open.clear()
    emitter.emit(None, "a.b", {"n": 1})
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            store.open.set()
            emitter.emit(None, "a.b", {"n": 2})
            done = emitter.flush(60)
            os.write(writer, b"%d" % numbers(store)[0] if done else b"?")
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(reader, 100) == b"2"
    os.close(reader)
    store.open.set()
    assert emitter.flush(PATIENCE)
    assert numbers(store) == [1]


def test_nothing_keeps_an_emitter_alive_that_has_appended_everything(store: SlowStore) -> None:
    emitter = Emitter(service="shop", store=store, stdout=False)
    emitter.emit(None, "a.b", {"n": 1})
    assert emitter.flush(PATIENCE)
    gone = weakref.ref(emitter)
    del emitter

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    until(is_gone)
    assert numbers(store) == [1]


def test_events_outlive_an_emitter_that_nobody_holds(store: SlowStore) -> None:
    emitter = Emitter(service="shop", store=store, stdout=False)
    store.open.clear()
    emitter.emit(None, "a.b", {"n": 1})
    del emitter
    gc.collect()
    store.open.set()
    until(lambda: numbers(store) == [1])


def test_a_flush_appends_by_itself_where_no_thread_can_be_started(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Background, "start", refuse)
    emitter.emit(None, "a.b", {"n": 1})
    assert numbers(store) == []
    assert emitter.flush(PATIENCE)
    assert numbers(store) == [1]
    assert store.threads == {threading.get_ident()}


def test_an_idle_thread_ends_and_another_one_follows(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "IDLE_SECONDS", 0.0)
    worker = emitter.outbox.worker
    for number in range(3):
        emitter.emit(None, "a.b", {"n": number})
        assert emitter.flush(PATIENCE)
        until(lambda: not worker.is_alive())
    assert numbers(store) == [0, 1, 2]


def test_a_pause_whose_end_has_come_before_it_begins_is_none(emitter: Emitter) -> None:
    """Another thread may have the processor for longer than a pace between two looks at a clock."""
    worker = emitter.outbox.worker
    assert isinstance(worker, appender.Appender)
    worker.pause(0.0, hurried=False)


def test_a_thread_that_fails_is_followed_by_another_one(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with monkeypatch.context() as broken:
        broken.setattr(appender.Appender, "pause", fail)
        store.refuses = "database-away"
        emitter.emit(None, "a.b", {"n": 1})
        until(lambda: emitter.outbox.fault and not emitter.outbox.worker.is_alive())
    store.refuses = ""
    emitter.emit(None, "a.b", {"n": 2})
    until(lambda: numbers(store) == [1, 2])


def test_who_waits_gets_an_answer_also_when_the_thread_fails(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no memory to take up what was asked for, nor to say so."""

    def no_memory(*_: object) -> Any:
        raise MemoryError

    def nor_here(*_: object) -> Any:
        broken.undo()
        raise MemoryError

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(appender, "STRICT_SECONDS", PATIENCE)
    with monkeypatch.context() as broken:
        broken.setattr(appender.Requests, "next", no_memory)
        broken.setattr(appender.Requests, "refuse", nor_here)
        emitter.emit_strict(None, "a.b", {"n": 1})
    assert numbers(store) == [1]


def test_a_callback_that_flushes_in_that_thread_waits_for_nothing(store: SlowStore) -> None:
    took: list[float] = []
    made: list[Emitter] = []

    def flushes(*_: Any) -> None:
        began = time.monotonic()
        made[0].flush(30)
        took.append(time.monotonic() - began)

    emitter = Emitter(service="shop", store=store, stdout=False, on_error=flushes)
    made.append(emitter)
    store.refuses = "database-away"
    emitter.emit(None, "a.b", {"n": 1})
    until(lambda: took)
    assert took[0] < 20
    store.refuses = ""
    assert emitter.close(PATIENCE)


def test_what_the_end_of_the_process_loses_is_said() -> None:
    code = """
import sys
sys.path[:0] = sys.argv[1:]
from core.test_appender import SlowStore
import audit_emit
store = SlowStore()
store.refuses = "database-away"
audit_emit.configure(service="shop", store=store, stdout=False)
for number in range(3):
    audit_emit.emit(None, "a.b", {"n": number})
"""
    place = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", code, place], capture_output=True, timeout=PATIENCE, check=True
    )
    said = done.stderr.decode()
    assert "3 events lost at the end of the process: memory cannot be written" in said
    assert "(database-away); nothing in the log will tell" in said
    assert "lock file" not in said


def test_events_that_wait_for_long_are_late(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open.clear()
    emitter.emit(None, "a.b", {"n": 1})
    assert emitter.health()["status"] == "ok"
    monkeypatch.setattr(health, "QUEUED_NS", 0)
    found = emitter.health()
    assert found["status"] == "degraded"
    assert found["notes"] == ["1 events wait for the store"]


def test_many_events_that_wait_are_late(
    emitter: Emitter, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "QUEUED", 2)
    store.open.clear()
    for number in range(3):
        emitter.emit(None, "a.b", {"n": number})
    assert emitter.health()["status"] == "degraded"
    assert emitter.health()["sinks"]["store"]["backlog"] == 3
