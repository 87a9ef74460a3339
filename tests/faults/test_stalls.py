"""A sync that hangs, no thread to be had, signals meanwhile: nobody waits longer than asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import scenes_stalls as scenes
from faults.child import run
from faults.log import Log


def test_without_threads_nobody_waits_for_ever_and_emit_for_no_sync(tmp_path: Path) -> None:
    found = run(scenes.without_threads, tmp_path)
    if not found["limited"]:
        pytest.skip("threads cannot be limited here")
    assert found["synced"] == 0, "a thread that emits does not sync"
    assert found["flushed"]
    state, notes = found["trouble"]
    assert state == "degraded"
    assert "records are written but not synced (no-thread)" in notes
    assert Log(tmp_path / "logs").check().numbers == list(range(1000))


@pytest.mark.parametrize("call", ["flush", "strict"])
def test_sigterms_in_the_middle_of_a_sync_all_come_to_an_end(tmp_path: Path, call: str) -> None:
    found = run(scenes.terminated, tmp_path, call)
    assert found["flushed"]
    # In the middle of a write of its own thread a handler is told to come again.
    assert set(found["answers"]) <= {True, False, "re-entrant"}
    Log(tmp_path).check()


def test_a_disk_that_never_answers_costs_no_memory_no_file_and_not_the_exit(tmp_path: Path) -> None:
    found = run(scenes.stalled, tmp_path)
    assert not found["flushed"]
    assert found["grew"] <= 8
    assert found["files"] <= 10
    assert found["kept"] <= 10_000
    assert found["state"] == "degraded"
    assert "records are written but not synced (sync-timeout)" in found["notes"]
    assert Log(tmp_path).check().numbers == list(range(12_000))


def test_emitters_that_nobody_closes_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    assert run(scenes.dropped, tmp_path) == {"fd": 0, "task": 0}
    assert Log(tmp_path).check().numbers == list(range(31))


def test_a_process_that_is_configured_anew_under_load_keeps_nothing(tmp_path: Path) -> None:
    more = run(scenes.configured, tmp_path)
    assert max(more.values()) <= 0
    assert sorted(Log(tmp_path).check().numbers) == [-1, *range(3000)]
