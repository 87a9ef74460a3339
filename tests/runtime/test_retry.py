from __future__ import annotations

import time

import pytest

from audit_emit._runtime.retry import retry_write
from audit_emit.errors import SinkError


class Writes:
    """Fails for these reasons, in turn, and then works."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        self.attempts = 0

    def __call__(self) -> None:
        self.attempts += 1
        if self.reasons:
            raise SinkError(self.reasons.pop(0))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_what_works_is_done_once() -> None:
    writes = Writes()
    retry_write(writes)
    assert writes.attempts == 1


def test_what_fails_for_a_moment_is_tried_again() -> None:
    writes = Writes("EIO", "lock-replaced")
    retry_write(writes)
    assert writes.attempts == 3


def test_what_goes_on_failing_is_told() -> None:
    writes = Writes(*["ENOSPC"] * 9)
    with pytest.raises(SinkError, match="ENOSPC"):
        retry_write(writes)
    assert writes.attempts == 3


def test_a_lock_that_others_hold_is_waited_for() -> None:
    writes = Writes(*["lock-timeout"] * 20)
    retry_write(writes)
    assert writes.attempts == 21


def test_a_lock_that_stays_held_is_told() -> None:
    with pytest.raises(SinkError, match="lock-timeout"):
        retry_write(Writes(*["lock-timeout"] * 9), seconds=0.0)
