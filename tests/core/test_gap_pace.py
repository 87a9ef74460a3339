from __future__ import annotations

from typing import Any

import pytest

from audit_emit._core import gap_pace as _pace
from audit_emit._core.gap_pace import Pace


class Time:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(_pace, "time", clock)
    return clock


def gaps(clock: Time, fault: str | None, seconds: int) -> list[int]:
    """The seconds at which a gap is written while a line is lost in each."""
    pace = Pace()
    begun = clock.now
    found: list[Any] = []
    for _ in range(seconds):
        pace.lost(fault)
        if pace.is_due():
            pace.declared(fault)
            found.append(clock.now - begun)
        clock.now += 1
    return found


def test_what_a_slow_reader_loses_is_declared_every_second(clock: Time) -> None:
    assert gaps(clock, None, 5) == [0, 1, 2, 3, 4]


def test_while_a_reader_has_stopped_gaps_become_rarer(clock: Time) -> None:
    assert gaps(clock, "full", 100) == [0, 2, 6, 14, 30, 62]


@pytest.mark.parametrize("fault", ["closed", "replaced", "EPIPE"])
def test_an_outage_is_not_declared_before_a_minute_has_passed(fault: str, clock: Time) -> None:
    assert gaps(clock, fault, 500) == [60, 180, 420]


def test_an_outage_that_has_ended_is_declared_within_a_second(clock: Time) -> None:
    pace = Pace()
    pace.lost("replaced")
    clock.now += 2
    assert not pace.is_due()
    pace.works()
    assert pace.is_due()
