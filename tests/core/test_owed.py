"""What is owed where there is no memory for it, and in a child that a signal handler forks."""

from __future__ import annotations

import itertools
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.injector import Interrupter
from support.jsonl_store import store_of
from support.piped_descriptor import Piped
from support.plain_log_reader import chain_ok, of_type
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._core import appender, ending
from audit_emit._core.appender import Requests
from audit_emit._stores.backlog import Backlog, Gap
from audit_emit._stores.base import Draft
from audit_emit._stores.memory import MemoryStore
from audit_emit.errors import SinkError


class _Once:
    """Has no memory for one more, once."""

    failures = 1

    def append(self, one: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        # Of the container that it is mixed into.
        super().append(one)  # type: ignore[misc]


class Full(_Once, deque[Any]):
    """One that is worked off from both ends."""


class FullList(_Once, list[Any]):
    """One that is handed on as it is."""


class LateRequest(appender._Request):
    """There is no memory to take it up, once."""

    failures = 1

    @property
    def is_over(self) -> bool:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        return False

    @is_over.setter
    def is_over(self, value: bool) -> None: ...


class FullGap(Gap):
    """Has no memory for one more loss, once."""

    failures = 1

    def add(self, ts: str, reason: str) -> None:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        super().add(ts, reason)


@pytest.fixture
def waits(emitter: Emitter) -> Emitter:
    """An emitter whose thread does nothing: what is owed stays so until it is flushed."""
    emitter.outbox.go_on = lambda: None  # type: ignore[method-assign]
    emitter.emit(None, "a.b")
    return emitter


def lost(log: Path, sink: str = "jsonl") -> int:
    return sum(
        one["fields"]["lost"] for one in of_type(log, "audit.gap") if one["fields"]["sink"] == sink
    )


def test_an_event_of_which_nothing_is_known_is_not_forgotten(waits: Emitter, log: Path) -> None:
    waits.outbox.lossy = Full()
    waits.outbox.unmade = 2
    waits.flush(PATIENCE)
    assert waits.flush(PATIENCE)
    found = of_type(log, "audit.invalid_event_type")
    assert [one["fields"]["_lossy"] for one in found] == ["MemoryError"] * 2


def test_an_event_that_finds_the_backlog_full_is_not_forgotten(waits: Emitter, log: Path) -> None:
    waits.outbox.backlog = Backlog(records=0)
    waits.outbox.gap = FullGap()
    waits.outbox.lossy.append(("c.d", LookupError))
    waits.flush(PATIENCE)
    assert waits.flush(PATIENCE)
    assert lost(log) == 1


def test_a_line_that_was_not_remembered_is_not_forgotten(waits: Emitter, log: Path) -> None:
    waits.outbox.mirrored.gap = FullGap()
    waits.outbox.mirrored.forgotten = 2
    waits.flush(PATIENCE)
    assert waits.flush(PATIENCE)
    assert lost(log, "stdout") == 2


def test_a_line_that_cannot_wait_for_stdout_is_declared(log: Path) -> None:
    with Piped(1) as stdout:
        emitter = Emitter(jsonl=log)
        emitter.emit(None, "a.b")
        emitter.outbox.mirrored.waiting = Full()
        emitter.outbox.owe(b"a line of the chain\n")
        assert emitter.flush(PATIENCE)
        assert emitter.close(PATIENCE)
        assert stdout.records()[-1]["event_type"] == "audit.gap"
    assert lost(log, "stdout") == 1


def test_a_record_that_was_written_is_shown(log: Path) -> None:
    """Where there is no memory to note it for whoever asked for it."""
    with Piped(1) as stdout:
        emitter = Emitter(jsonl=log)
        emitter.emit(None, "a.b")
        store_of(emitter).record = lambda *_: None
        store_of(emitter).segment.records = FullList()
        emitter.emit(None, "c.d")
        assert emitter.close(PATIENCE)
        shown = stdout.records()
    assert shown == chain_ok(log)
    assert len(of_type(log, "c.d")) == 1


def test_what_waits_at_the_end_is_not_forgotten(waits: Emitter) -> None:
    outbox = waits.outbox
    outbox.backlog.add(waits.clock.draft(*waits.builder.own("a.b", {})).prefix)
    outbox.gap = FullGap()
    with pytest.raises(MemoryError):
        ending.give_up(outbox)
    assert len(outbox.backlog) == 1
    ending.give_up(outbox)
    assert (len(outbox.backlog), outbox.counters.lost) == (0, 1)


def test_who_waits_for_an_answer_is_answered() -> None:
    requests = Requests()
    waiting = [LateRequest(Draft("", 0, f"id-{number}", "")) for number in range(2)]
    requests._asked.extend(waiting)
    with pytest.raises(MemoryError):
        requests.next(9)
    with pytest.raises(MemoryError):
        requests.next(9)
    assert [draft.id for draft in requests.next(1)] == ["id-0"]
    requests.refuse(SinkError("MemoryError"))
    assert not requests
    assert all(isinstance(one.answer, SinkError) for one in waiting)


# Forked in the middle


def owes_all(emitter: Emitter) -> None:
    emitter.outbox.unmade = 1
    emitter.outbox.lossy.append(("c.d", LookupError))
    emitter.outbox.mirrored.forgotten = 1


def test_a_child_forked_where_its_parent_pays_owes_nothing() -> None:
    """Nor does it go round for ever, as it would if it counted what its parent owes."""
    emitter = Emitter(store=MemoryStore(), stdout=False)
    emitter.outbox.go_on = lambda: None  # type: ignore[method-assign]
    modules = ("audit_emit._core.draining", "audit_emit._core.mirror_queue")
    for at in itertools.count():
        owes_all(emitter)
        # As the child does, before the frame in which it was forked goes on.
        child = Interrupter(emitter.after_fork, at, modules=modules)
        child.run(partial(emitter.flush, PATIENCE))
        assert (emitter.outbox.unmade, emitter.outbox.mirrored.forgotten) == (0, 0), child.where
        assert emitter.flush(PATIENCE), child.where
        if not child.where:
            break
    assert at > 30
    emitter.close()
