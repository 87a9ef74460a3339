from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.jsonl_store import store_of
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._runtime import compiled as _compiled
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._stores.backlog import Backlog


def test_a_fresh_emitter_is_well(emitter: Emitter, log: Path) -> None:
    found = emitter.health()
    assert found["status"] == "ok"
    assert found["notes"] == []
    assert found["sinks"]["stdout"] == {"state": "off"}
    file = found["sinks"]["jsonl"]
    assert (file["state"], file["path"], file["path_source"]) == ("ok", str(log), "argument")
    assert (file["last_success"], file["last_error"], file["chain"]) == (None, None, None)
    assert set(found["counters"].values()) == {0}


def test_health_does_not_touch_the_log(emitter: Emitter, log: Path) -> None:
    emitter.health()
    assert not log.exists()


def test_health_is_json(emitter: Emitter) -> None:
    emitter.emit(None, "a.b")
    assert json.loads(json.dumps(emitter.health())) == emitter.health()


def test_the_counters_of_the_issue_are_there(emitter: Emitter) -> None:
    counters = emitter.health()["counters"]
    wanted = {"emitted", "written", "lost", "truncated", "redacted", "recovered"}
    assert wanted <= set(counters)


def test_events_are_counted(log: Path) -> None:
    emitter = Emitter(jsonl=log, stdout=False)
    emitter.emit(None, "a.b", {"password": "x"})
    emitter.emit(None, "a.b", {"long": "x" * 9000})
    emitter.emit_strict(None, "a.b")
    counters = emitter.health()["counters"]
    emitter.close()
    assert (counters["emitted"], counters["written"]) == (3, 4)
    assert (counters["redacted"], counters["truncated"], counters["lost"]) == (1, 1, 0)


def test_where_the_chain_stands(emitter: Emitter) -> None:
    receipt = emitter.emit(None, "a.b")
    assert receipt is not None
    file = emitter.health()["sinks"]["jsonl"]
    assert (file["chain"], file["seq"]) == (receipt.chain, receipt.seq)
    assert file["last_success"].endswith("Z")
    assert len(file["last_success"]) == 30


def test_stdout_is_described() -> None:
    with Piped():
        emitter = Emitter(jsonl="off")
        emitter.emit(None, "a.b")
        stdout = emitter.health()["sinks"]["stdout"]
        emitter.close()
    assert (stdout["state"], stdout["kind"], stdout["last_error"]) == ("ok", "pipe", None)
    assert len(stdout["last_success"]) == 30
    assert emitter.health()["sinks"]["jsonl"] == {"state": "off", "path": None}
    assert emitter.health()["status"] == "ok"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"disabled": True}, "disabled"),
        ({"jsonl": "off", "stdout": False}, "neither a file nor stdout"),
    ],
)
def test_where_nothing_is_recorded_the_status_is_off(settings: dict[str, Any], why: str) -> None:
    emitter = Emitter(**settings)
    emitter.emit(None, "a.b")
    found = emitter.health()
    assert found["status"] == "off"
    assert found["notes"][0] == f"{why}: nothing is recorded"


def test_of_a_path_that_nobody_named_it_is_told_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("system", "xdg"):
        (tmp_path / name).write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AUDIT_EMIT_JSONL", raising=False)
    with Piped(2) as stderr:
        Emitter(service="api", stdout=False).close()
        told = stderr.read().decode()
    assert f"(there, as {tmp_path}/system/api cannot be written; AUDIT_EMIT_JSONL names" in told


def test_a_path_that_cannot_be_written_is_told_when_the_emitter_is_made(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with Piped(2) as stderr:
        emitter = Emitter(jsonl=tmp_path / "logs" / "audit.jsonl", stdout=False)
        told = stderr.read().decode()
    assert "audit.jsonl cannot be written (ENOTDIR)" in told
    found = emitter.health()
    assert (found["status"], found["sinks"]["jsonl"]["last_error"]) == ("failing", "ENOTDIR")
    (tmp_path / "logs").unlink()
    assert emitter.health()["status"] == "ok", "it is looked at anew"
    emitter.close()


def test_a_file_that_cannot_be_written_is_failing_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    emitter = Emitter(jsonl=tmp_path / "logs" / "audit.jsonl", stdout=False)
    emitter.emit(None, "a.b")
    found = emitter.health()
    assert found["status"] == "failing"
    file = found["sinks"]["jsonl"]
    assert (file["state"], file["last_error"], file["backlog"]) == ("failing", "ENOTDIR", 1)
    assert "1 events wait for the file" in found["notes"]
    assert "the file cannot be written (ENOTDIR)" in found["notes"]
    (tmp_path / "logs").unlink()
    assert emitter.flush(PATIENCE)
    found = emitter.health()
    emitter.close()
    assert found["status"] == "ok"
    assert found["sinks"]["jsonl"]["last_error"] == "ENOTDIR", "the last error stays told"
    assert found["counters"]["backlogged"] == found["counters"]["drained"] == 1


def test_a_declared_loss_is_a_count_and_a_time_and_no_state_for_ever(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    emitter = Emitter(jsonl=tmp_path / "logs" / "audit.jsonl", stdout=False)
    emitter.outbox.backlog = Backlog(records=1)
    for _ in range(3):
        emitter.emit(None, "a.b")
    found = emitter.health()
    assert (found["status"], found["sinks"]["jsonl"]["lost"]) == ("failing", 2)
    (tmp_path / "logs").unlink()
    assert emitter.flush(PATIENCE)
    found = emitter.health()
    emitter.close()
    assert (found["status"], found["sinks"]["jsonl"]["lost"]) == ("ok", 0)
    last = found["losses"]["last_event"]
    assert found["losses"] == {
        "events": 2,
        "last_event": last,
        "lines": 0,
        "last_line": None,
        "records": 0,
        "last_record": None,
    }
    assert last[10] == "T"
    assert found["notes"] == [
        f"2 events were lost since the start of this process, the last one at {last}"
    ]


def test_a_stopped_reader_of_stdout_is_degraded(log: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl=log)
        stdout.fill()
        emitter.emit(None, "a.b")
        found = emitter.health()
        stdout.read()
        emitter.emit(None, "a.b")
        assert emitter.flush(PATIENCE)
        after = emitter.health()
        emitter.close()
    assert found["status"] == "degraded"
    assert found["sinks"]["stdout"]["state"] == "failing"
    assert found["sinks"]["stdout"]["last_error"] == "full"
    assert (after["status"], after["sinks"]["stdout"]["state"]) == ("ok", "ok")
    assert after["losses"]["lines"] == after["counters"]["stdout_lost"] > 0
    assert after["losses"]["last_line"] is not None


def test_both_sinks_gone_is_failing(tmp_path: Path) -> None:
    with Piped() as stdout:
        emitter = Emitter(jsonl="off")
        stdout.hang_up()
        emitter.emit(None, "a.b")
        found = emitter.health()
        emitter.close()
    assert found["status"] == "failing"
    assert found["sinks"]["stdout"]["last_error"] == "EPIPE"
    assert found["counters"]["lost"] == 1


def test_a_sync_that_fails_is_degraded(emitter: Emitter) -> None:
    emitter.emit(None, "a.b")
    assert emitter.store is not None
    store_of(emitter).durability.fault = "EIO"
    found = emitter.health()
    assert found["status"] == "degraded"
    assert found["notes"] == ["records are written but not synced (EIO)"]


def test_a_platform_without_its_calls_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor, "NOWAIT", 0)
    with Piped():
        emitter = Emitter(jsonl=log)
        emitter.emit(None, "a.b")
        found = emitter.health()
        emitter.close()
    assert found["status"] == "ok"
    assert found["notes"] == ["no RWF_NOWAIT here: a write to stdout is preceded by a poll"]


def test_a_recovered_tail_is_counted(log: Path, emitter: Emitter) -> None:
    emitter.emit(None, "a.b")
    with log.open("ab") as file:
        file.write(b'{"torn')
    time.sleep(0.001)
    emitter.emit(None, "a.b")
    found = emitter.health()
    assert found["counters"]["recovered"] == 1
    assert found["status"] == "ok"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_begins_with_a_clean_bill(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    emitter = Emitter(jsonl=tmp_path / "logs" / "audit.jsonl", stdout=False)
    emitter.emit(None, "a.b")
    pid = os.fork()
    if pid == 0:
        (tmp_path / "logs").unlink()
        found: dict[str, Any] = emitter.health()["sinks"]["jsonl"]
        os._exit(found["backlog"] != 0 or found["state"] != "ok")
    assert os.waitpid(pid, 0)[1] == 0
    emitter.close(0)


def test_a_processor_that_fails_is_told_and_degrades(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> NoReturn:
        raise LookupError

    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False, processors=[breaks])
    for _ in range(3):
        assert emitter.emit(None, "a.b", {"n": 1}) is not None
    found = emitter.health()
    assert (found["status"], found["counters"]["processor_errors"]) == ("degraded", 3)
    assert "the fields of 3 events are withheld, as a processor failed" in found["notes"]
    told = [one for one in capfd.readouterr().err.splitlines() if "processor" in one]
    assert len(told) == 1
    assert "breaks failed (LookupError)" in told[0]
    emitter.close()


def test_what_is_taken_away_from_the_file_is_counted_and_declared(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="health", jsonl=path, stdout=False, durability="os")
    for n in range(5):
        emitter.emit(None, "a.b", {"n": n})
    taken = len(path.read_bytes().splitlines())
    os.truncate(path, 0)
    # A writer looks whether the file is still the one that it knows when its last look is old.
    assert emitter.flush(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not emitter.health()["losses"]["records"] and time.monotonic() < deadline:
        emitter.emit(None, "a.b", {"n": 9})
    found = emitter.health()
    assert found["losses"]["records"] == taken
    assert found["losses"]["last_record"] is not None
    assert any("taken away from the file" in note for note in found["notes"])
    gaps = [line for line in path.read_text().splitlines() if '"audit.gap"' in line]
    assert len(gaps) == 1
    assert '"reason":"file-truncated"' in gaps[0]
    emitter.close()


def test_it_says_whether_the_compiled_part_is_used(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert emitter.health()["emit"] == _compiled.state
    monkeypatch.setattr(_compiled, "state", "interpreted (it was not built)")
    assert emitter.health()["emit"] == "interpreted (it was not built)"
