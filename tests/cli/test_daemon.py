"""Commands that go on: patience with a database that is away, and an end when they are told to."""

from __future__ import annotations

import os
import signal

import pytest

from audit_emit.cli import _daemon
from audit_emit.cli._daemon import LONGEST_SECONDS, go_on, until_told
from audit_emit.errors import DatabaseError


def test_a_database_that_stays_away_is_asked_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    told: list[int] = []
    monkeypatch.setattr(_daemon, "pause", lambda _, seconds: waits.append(seconds))

    def work() -> bool:
        if len(waits) < 9:
            raise DatabaseError("database-away", "it is away")
        told.append(1)
        return True

    go_on(work, told, 1.0)
    # Each is between a half and the whole of twice the one before, up to a minute.
    assert all(2**n / 2 <= min(wait * 1.0001, 2**n) for n, wait in enumerate(waits[:6]))
    assert all(LONGEST_SECONDS / 2 <= wait <= LONGEST_SECONDS for wait in waits[6:])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 10
    assert said[-1] == "audit-emit: the database answers again"


def test_a_signal_ends_it_after_the_round_that_it_is_in() -> None:
    rounds: list[int] = []

    def work() -> bool:
        rounds.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    with until_told() as told:
        go_on(work, told, 1.0)
    assert rounds == [1]
    assert told == [signal.SIGTERM]
