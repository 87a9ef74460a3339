"""Checkpoints in the service's own process: when they are made, and what happens when not."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import merkle_rfc6962
from support.plain_log_reader import chain_ok, of_type, whole_lines
from support.waiting import PATIENCE, until

from audit_emit import ConfigError, Emitter
from audit_emit._checkpoints import new_leaves
from audit_emit._checkpoints.schedule import Schedule
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._runtime.threads import Background
from audit_emit._signing.trusted_keys import HmacKey, KeyRing

KEY = "5e" * 32
RING = KeyRing([HmacKey(bytes.fromhex(KEY))])


def checkpoints(log: Path) -> list[Checkpoint]:
    """Every checkpoint, checked against the log."""
    path = log.parent / "checkpoints.jsonl"
    if not path.exists():
        return []
    found = [Checkpoint.from_line(line) for line in path.read_bytes().splitlines()]
    closed = sorted(log.parent.glob("audit-*.jsonl"))
    leaves = [bytes.fromhex(record["hash"]) for record in chain_ok(*closed, log)]
    for one in found:
        assert check(one, RING) == "ok"
        assert one.root_hash == merkle_rfc6962.root(leaves[: one.head_seq]).hex()
    return found


@pytest.fixture
def made(log: Path) -> Iterator[Callable[..., Emitter]]:
    """Makes emitters that sign, with a schedule that does not make a test wait."""
    emitters = []

    def make(**changed: Any) -> Emitter:
        times = {"poll": 0.01, "interval": 3600.0, "threshold": 100}
        times.update({name: changed.pop(name) for name in list(changed) if name in times})
        settings: dict[str, Any] = {"service": "tests", "jsonl": log, "stdout": False}
        emitter = Emitter(**{**settings, "signing_key": KEY, **changed})
        if emitter.checkpoints is not None:
            emitter.checkpoints = Schedule(emitter, **times)  # type: ignore[arg-type]
        emitters.append(emitter)
        return emitter

    yield make
    for emitter in emitters:
        emitter.close()


def reasons(log: Path) -> list[str]:
    """Also while something is being written."""
    lines = whole_lines(log.parent / "checkpoints.jsonl")
    return [Checkpoint.from_line(line).reason for line in lines]


def test_no_thread_before_the_first_record(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made()
    assert emitter.checkpoints is not None
    assert emitter.checkpoints._thread is None
    assert emitter.close(PATIENCE)
    assert not log.exists()
    assert not (log.parent / "checkpoints.jsonl").exists()


def test_one_at_startup_and_one_at_the_end(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made()
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    emitter.emit(None, "a.c")
    assert emitter.close(PATIENCE)
    assert reasons(log) == ["startup", "shutdown"]
    assert [r["fields"]["reason"] for r in of_type(log, "audit.checkpoint")] == reasons(log)
    emitter.close()
    assert len(checkpoints(log)) == 2, "closed is closed"


def test_one_after_enough_records(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made(threshold=50)
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    for _ in range(60):
        emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup", "threshold"])
    emitter.close()
    assert len(checkpoints(log)) >= 2


def test_one_after_some_time_if_anything_is_new(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made(interval=0.05)
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    schedule = emitter.checkpoints
    assert schedule is not None
    seen = schedule._next
    until(lambda: schedule._next > seen + 0.2)
    assert reasons(log) == ["startup"], "its own record is nothing new"
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup", "interval"])


def test_one_after_a_rotation(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made(max_bytes=8192, threshold=10_000)
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    while emitter.counters.rotated == 0:
        emitter.emit(None, "a.b", {"pad": "x" * 1000})
    until(lambda: "rotation" in reasons(log))
    emitter.close()
    assert len(checkpoints(log)) >= 2


def test_stdout_has_it_too(tmp_path: Path) -> None:
    program = "import audit_emit; audit_emit.emit(None, 'a.b')"
    done = run(tmp_path, program)
    assert '"event_type":"audit.checkpoint"' in done.stdout
    assert done.stderr == ""
    assert KEY not in done.stdout


def run(tmp_path: Path, program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AUDIT_EMIT_SIGNING_KEY": KEY,
        "AUDIT_EMIT_JSONL": str(tmp_path / "run" / "audit.jsonl"),
        **environ,
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


def test_the_exit_of_a_process_is_signed(tmp_path: Path) -> None:
    program = "import audit_emit\nfor _ in range(7): audit_emit.emit(None, 'a.b')"
    run(tmp_path, program, AUDIT_EMIT_STDOUT="0")
    log = tmp_path / "run" / "audit.jsonl"
    found = checkpoints(log)
    last = len(chain_ok(log))
    assert found[-1].head_seq == last - 1
    assert {one.reason for one in found} <= {"startup", "shutdown"}


def test_forked_children_sign_for_themselves(tmp_path: Path) -> None:
    program = """
import os, audit_emit
audit_emit.emit(None, 'parent.before')
children = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        for _ in range(20):
            audit_emit.emit(None, 'child.event')
        done = audit_emit._core.default.get_emitter().close()
        os._exit(not done)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
audit_emit.emit(None, 'parent.after')
"""
    run(tmp_path, program, AUDIT_EMIT_STDOUT="0")
    log = tmp_path / "run" / "audit.jsonl"
    found = checkpoints(log)
    events = [r for r in chain_ok(log) if r["event_type"] != "audit.checkpoint"]
    assert found[-1].head_seq >= events[-1]["seq"]
    assert [one.head_seq for one in found] == sorted({one.head_seq for one in found})


def test_trouble_is_told_and_never_raised(
    made: Callable[..., Emitter], log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (log.parent / "checkpoints.jsonl").mkdir()
    emitter = made()
    assert emitter.emit(None, "a.b") is not None
    until(lambda: emitter.health()["checkpoint"]["state"] == "failing")
    health = emitter.health()
    assert health["status"] == "degraded"
    assert health["checkpoint"]["last_error"] == "EISDIR"
    assert any("no checkpoint can be made" in note for note in health["notes"])
    assert emitter.emit(None, "a.b") is not None
    assert emitter.close(PATIENCE)
    assert "no checkpoint was made (EISDIR)" in capfd.readouterr().err


def test_a_log_that_was_changed_is_not_signed(
    made: Callable[..., Emitter], log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    emitter = made()
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    emitter.emit(None, "a.c", {"n": 1})
    log.write_bytes(log.read_bytes().replace(b'"n":1', b'"n":2'))
    emitter.close()
    path = log.parent / "checkpoints.jsonl"
    assert len(path.read_bytes().splitlines()) == 1
    assert "hash-mismatch" in capfd.readouterr().err


def test_health_tells_of_the_last_one(made: Callable[..., Emitter], log: Path) -> None:
    emitter = made()
    assert emitter.health()["checkpoint"]["last_seq"] is None
    emitter.emit(None, "a.b")
    until(lambda: emitter.health()["checkpoint"]["last_seq"] == 2)
    assert emitter.health()["status"] == "ok"


def test_an_emitter_without_a_key_signs_nothing(tmp_path: Path) -> None:
    emitter = Emitter(jsonl=tmp_path / "a.jsonl", stdout=False)
    assert emitter.checkpoints is None
    assert emitter.health()["checkpoint"] == {"state": "off"}
    with pytest.raises(ConfigError, match="signing key"):
        Emitter(jsonl=tmp_path / "a.jsonl", checkpoint=True)
    holder = Emitter(jsonl=tmp_path / "a.jsonl", stdout=False, checkpoint=False, signing_key=KEY)
    assert holder.checkpoints is None


def test_an_emitter_that_is_gone_ends_its_thread(log: Path) -> None:
    emitter = Emitter(jsonl=log, stdout=False, signing_key=KEY, durability="os")
    emitter.checkpoints = Schedule(emitter, poll=0.01)
    emitter.emit(None, "a.b")
    until(lambda: reasons(log) == ["startup"])
    thread = emitter.checkpoints._thread
    assert thread is not None
    del emitter

    def ended() -> bool:
        gc.collect()  # what an emitter is made of refers to it, and so does a look of its thread
        return not thread.is_alive()

    until(ended)


def test_signing_is_imported_only_by_those_who_sign() -> None:
    program = """
import sys, audit_emit
audit_emit.configure(jsonl='off', stdout=False)
audit_emit.emit(None, 'a.b')
signing = {'audit_emit._signing.trusted_keys', 'audit_emit._format.checkpoint', 'cryptography'}
wrong = signing & set(sys.modules)
assert not wrong, wrong
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


def test_a_long_log_does_not_keep_the_process(
    made: Callable[..., Emitter], monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = made()
    may_go_on = threading.Event()
    # The signer pauses after each part of the log, here until the end of the test.
    paused = SimpleNamespace(sleep=lambda _: may_go_on.wait())
    monkeypatch.setattr(new_leaves, "time", paused)
    for _ in range(300):
        emitter.emit(None, "a.b", {"pad": "x" * 500})
    emitter.close(0.2)  # which returns
    may_go_on.set()
    assert emitter.health()["checkpoint"]["state"] in {"ok", "failing"}


def test_a_disk_that_does_not_answer_a_signer_holds_up_nobody(
    made: Callable[..., Emitter], monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = made()
    emitter.emit(None, "a.b")
    assert emitter.checkpoints is not None
    until(lambda: emitter.checkpoints and emitter.checkpoints.last)
    answer = threading.Event()
    monkeypatch.setattr(emitter.checkpoints._signer, "run", lambda *_, **__: answer.wait() and None)
    emitter.finish(0.2)  # which returns
    answer.set()


def test_without_threads_the_last_checkpoint_is_still_made(
    made: Callable[..., Emitter], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Background, "start", refuse)
    emitter = made()
    emitter.emit(None, "a.b")
    assert emitter.finish(PATIENCE)
    (made_at_the_end,) = checkpoints(log)
    assert made_at_the_end.reason == "shutdown"
