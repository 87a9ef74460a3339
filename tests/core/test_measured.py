"""What is measured of ``emit``: a sample, and nothing before somebody asks."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.audit_log import AuditLog

from audit_emit import Emitter
from audit_emit._core.measured import SAMPLE, Measured, measure
from audit_emit._runtime.histogram import Histogram
from audit_emit._stores.base import Draft, Linked
from audit_emit.testing import MemoryStore


def test_nothing_is_put_before_emit_until_somebody_asks(audit_log: AuditLog) -> None:
    assert "emit" not in vars(audit_log.emitter)
    measure(audit_log.emitter)
    assert "emit" in vars(audit_log.emitter)


def test_every_event_is_recorded_and_one_of_sixteen_measured(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    # No thread that syncs: an event that had to wait for it would not be appended by its own call.
    emitter = Emitter(service="tests", jsonl=log, stdout=False, durability="os")
    measured = measure(emitter)
    receipts = [
        emitter.emit(None, event_type="shop.sold", fields={"n": number})
        for number in range(SAMPLE + 1)
    ]
    assert measure(emitter) is measured
    assert emitter.close()
    lines = [line for line in log.read_bytes().splitlines(keepends=True) if b"shop.sold" in line]
    assert [one.hash for one in receipts if one is not None] == [
        json.loads(line)["hash"] for line in lines
    ]
    assert (sum(measured.durations.counts), sum(measured.sizes.counts)) == (2, 2)
    assert measured.sizes.total == len(lines[0]) + len(lines[-1])


def test_two_that_ask_at_once_measure_once(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = audit_log.emitter
    reset = Histogram.reset
    other: list[tuple[Measured, Any]] = []

    def reset_and_ask(histogram: Histogram) -> None:
        monkeypatch.setattr(Histogram, "reset", reset)
        reset(histogram)
        other.append((measure(emitter), emitter.emit))

    # The second one comes when the first one has found that nobody measures yet.
    monkeypatch.setattr(Histogram, "reset", reset_and_ask)
    assert [(measure(emitter), emitter.emit)] == other


def test_an_interrupt_passes(audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_log.emitter.outbox, "record", interrupted)
    measured = measure(audit_log.emitter)
    with pytest.raises(KeyboardInterrupt):
        audit_log.emitter.emit(None, "shop.sold")
    assert sum(measured.durations.counts) == 0


def test_without_room_to_count_an_event_is_recorded_once(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_deep(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(Histogram, "add", too_deep)
    measure(audit_log.emitter)
    assert audit_log.emitter.emit(None, "shop.sold") is not None


def test_a_store_with_odd_answers_is_no_error_of_emit() -> None:
    class Odd(MemoryStore):
        def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
            odd: Any = 7
            return [replace(one, line=odd) for one in super().append(drafts, deadline)]

    with closing(Emitter(service="shop", store=Odd(), stdout=False)) as emitter:
        measured = measure(emitter)
        for _ in range(SAMPLE + 1):
            emitter.emit(None, "shop.sold")
        assert (sum(measured.durations.counts), sum(measured.sizes.counts)) == (2, 0)


def test_a_store_that_takes_no_attributes_is_measured_without_sizes() -> None:
    class Frozen(MemoryStore):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "append":
                raise AttributeError(name)
            super().__setattr__(name, value)

    with closing(Emitter(service="shop", store=Frozen(), stdout=False)) as emitter:
        measured = measure(emitter)
        assert emitter.emit(None, "shop.sold") is not None
        assert (sum(measured.durations.counts), sum(measured.sizes.counts)) == (1, 0)
