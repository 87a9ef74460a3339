"""Refusals are bounded, and none is lost."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest
from support.console_client import EVERYBODY, PASSWORD, Recorder, client, console, log_in, users
from support.waiting import PATIENCE

from audit_emit.console.refusals import AT_ONCE, SECONDS, Refusals

MANY = 500


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(seconds: float = SECONDS) -> tuple[Refusals, Clock, list[tuple[str, str, int]]]:
    told: list[tuple[str, str, int]] = []
    clock = Clock()
    made = Refusals(lambda *one: told.append(one), clock=clock, seconds=seconds)
    return made, clock, told


def test_the_first_ones_are_told_one_by_one() -> None:
    refusals, _, told = kept()
    for number in range(AT_ONCE):
        refusals.note("", f"/{number}")
    assert told == [("", f"/{number}", 1) for number in range(AT_ONCE)]


def test_a_flood_becomes_one_with_its_number_when_the_minute_is_over() -> None:
    refusals, clock, told = kept()
    for number in range(MANY):
        refusals.note("", f"/{number}")
    assert len(told) == AT_ONCE
    clock.now = SECONDS
    refusals.look()
    assert told[AT_ONCE:] == [("", f"/{MANY - 1}", MANY - AT_ONCE)]
    assert sum(count for *_, count in told) == MANY


def test_what_was_counted_is_told_before_the_next_refusal_of_a_new_minute() -> None:
    refusals, clock, told = kept()
    for _ in range(MANY):
        refusals.note("", "/")
    clock.now = SECONDS
    refusals.note("", "/again")
    assert told[-2:] == [("", "/", MANY - AT_ONCE), ("", "/again", 1)]


def test_a_flood_of_strangers_hides_no_user() -> None:
    refusals, _, told = kept()
    for _ in range(MANY):
        refusals.note("", "/")
    refusals.note("vera", "/settings")
    assert told[-1] == ("vera", "/settings", 1)


def test_what_is_counted_is_told_when_nobody_comes_any_more() -> None:
    told: list[int] = []
    done = threading.Event()

    def tell(_name: str, _path: str, count: int) -> None:
        told.append(count)
        if count > 1:
            done.set()

    refusals = Refusals(tell, seconds=0.05)
    for _ in range(AT_ONCE + 3):
        refusals.note("", "/")
    assert done.wait(PATIENCE)
    assert sum(told) == AT_ONCE + 3


def test_what_is_counted_is_told_at_the_end() -> None:
    refusals, _, told = kept()
    for _ in range(MANY):
        refusals.note("", "/")
    refusals.close()
    assert sum(count for *_, count in told) == MANY


def test_what_is_counted_is_told_when_the_console_is_dropped() -> None:
    refusals, _, told = kept()
    for _ in range(MANY):
        refusals.note("", "/")
    del refusals
    gc.collect()
    assert sum(count for *_, count in told) == MANY


@pytest.mark.thorough
def test_strangers_who_ask_often_write_few_events(tmp_path: Path) -> None:
    recorder = Recorder()
    application = console(log_in(tmp_path / "log"), access=users(**EVERYBODY), emitter=recorder)
    with client(application) as asked:
        for _ in range(MANY):
            assert asked.get("/").status_code == 401
        assert recorder.types() == ["console.refused"] * AT_ONCE
        for _ in range(AT_ONCE + 2):
            assert asked.get("/settings", auth=("wim", PASSWORD)).status_code == 403
    counts = [fields.get("count", 1) for _, kind, fields in recorder.events if "refused" in kind]
    assert sum(counts) == MANY + AT_ONCE + 2
