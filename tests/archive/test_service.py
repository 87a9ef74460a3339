"""Archiving in the service: a thread of its process, and what it tells of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import ORIGIN
from support.object_store import Store
from support.waiting import PATIENCE, until

from audit_emit import Emitter, start_archiver
from audit_emit._archive import service as service_module
from audit_emit._archive.guard import guard_of, noted
from audit_emit._archive.run import Archiver
from audit_emit._archive.service import ArchiverThread
from audit_emit._archive.starting import start
from audit_emit._runtime.threads import Background
from audit_emit.cli import main
from audit_emit.errors import ConfigError

SEED = "07" * 32


def service(directory: Path, **given: Any) -> Emitter:
    settings: dict[str, Any] = {
        "service": "shop",
        "jsonl": str(directory / "audit.jsonl"),
        "stdout": False,
        "max_bytes": 16_384,
        "signing_key": SEED,
        "origin": ORIGIN,
    }
    return Emitter(**{**settings, **given})


def fill(emitter: Emitter, count: int = 90) -> None:
    """Records, all of them signed."""
    for number in range(count):
        assert emitter.emit({}, "secret.set", {"n": number})
    assert emitter.flush(PATIENCE)
    assert emitter.checkpoints is not None
    emitter.checkpoints._run("manual", 0.0)


def begun(emitter: Emitter) -> ArchiverThread:
    return start("00:00", "", emitter, jitter=0.0)


def apart(program: str, log: Path, store: Store) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with the log and the tests as its arguments."""
    return subprocess.run(
        [sys.executable, "-c", program, str(log), str(Path(__file__).parents[1])],
        env={**os.environ, **store.environment(), "AUDIT_EMIT_ARCHIVE_ENABLED": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def enabled(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    store.use(monkeypatch, enabled="1")
    return store


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    made = service(tmp_path / "log")
    fill(made)
    yield made
    made.close()


def manifests(store: Store) -> list[str]:
    return [key for key in store.names() if key.endswith(".manifest.json")]


def test_a_service_archives_its_log_once_a_day_and_health_says_so(
    emitter: Emitter, tmp_path: Path, enabled: Store
) -> None:
    others = [service(tmp_path / "log") for _ in range(2)]
    threads = [begun(one) for one in (emitter, *others)]
    guard = guard_of(str(tmp_path / "log"), f"s3://{enabled.name}/audit")
    until(lambda: noted(guard).day)
    for thread in threads:
        assert thread.stop(PATIENCE)
    for other in others:
        other.close()
    assert len(manifests(enabled)) == len(list((tmp_path / "log").glob("audit-*.jsonl"))) > 1
    assert begun(emitter).round() > 0, "the day is done"
    found = emitter.health()["archive"]
    assert (found["state"], found["last_day"]) == ("waiting", noted(guard).day)
    assert emitter.health()["status"] == "ok"
    assert emitter.flush(PATIENCE)
    text = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("audit*.jsonl"))
    assert text.count(b'"event_type":"audit.archived"') == len(manifests(enabled))


def test_a_log_may_go_into_two_archives_and_the_day_of_one_is_not_that_of_the_other(
    emitter: Emitter, enabled: Store
) -> None:
    for prefix in ("audit", "elsewhere"):
        thread = start("00:00", f"s3://{enabled.name}/{prefix}", emitter, jitter=0.0)
        until(lambda thread=thread: thread.report()["last_day"])  # type: ignore[misc]
        assert thread.stop(PATIENCE)
    found = manifests(enabled)
    assert {key.startswith("elsewhere/") for key in found} == {True, False}


def test_an_emitter_has_one_archiver_and_another_takes_its_place(
    emitter: Emitter, enabled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(emitter)
    assert begun(emitter) is first
    with monkeypatch.context() as full:
        full.setattr(Background, "start", _no_thread)
        with pytest.raises(RuntimeError, match="thread"):
            start("01:00", "", emitter)
    assert begun(emitter) is first, "it goes on"
    second = start("00:00", f"s3://{enabled.name}/elsewhere", emitter, jitter=0.0)
    assert second is not first
    until(lambda: second.report()["last_day"])
    first._thread.join(PATIENCE)
    assert not first._thread.is_alive()
    assert emitter.health()["archive"]["archive"].endswith("/elsewhere")
    second._pid -= 1  # a forked child has the objects of its parent, and begins anew
    third = start("00:00", f"s3://{enabled.name}/elsewhere", emitter, jitter=0.0)
    assert third is not second
    for one in (second, third):
        assert one.stop(PATIENCE)


def test_threads_that_start_an_archiver_at_once_get_the_same_one(
    emitter: Emitter, enabled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[ArchiverThread] = []
    other = threading.Thread(target=lambda: others.append(begun(emitter)))
    plain = Background.start

    def meanwhile(*given: Any) -> None:
        if other.ident is None:
            other.start()
            other.join(0.5)  # it is held up until this one is there
        plain(*given)

    monkeypatch.setattr(Background, "start", meanwhile)
    mine = begun(emitter)
    other.join(PATIENCE)
    assert others == [mine]
    assert mine.stop(PATIENCE)


def _no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def test_it_is_dormant_until_it_is_enabled(emitter: Emitter, store: Store) -> None:
    thread = start_archiver(emitter=emitter)
    assert thread.report()["state"] == "dormant"
    assert not thread._thread.is_alive()
    assert store.names() == []


def test_what_is_in_the_way_is_told_and_tried_again_and_events_go_on(
    emitter: Emitter,
    tmp_path: Path,
    enabled: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as away:
        away.setenv("AUDIT_EMIT_ARCHIVE_URL", "s3://no-such-bucket/audit")
        thread = begun(emitter)
        until(lambda: thread.report()["state"] == "failing")
        assert emitter.emit({}, "secret.read", {})
        health = emitter.health()
        assert health["archive"]["last_error"] == "no-bucket"
        assert any("not archived" in note for note in health["notes"])
        guard = guard_of(str(tmp_path / "log"), "s3://no-such-bucket/audit")
        assert "no-bucket" in noted(guard).failed
        assert thread.stop(PATIENCE)
        capsys.readouterr()
        main(["archive", "status", str(tmp_path / "log")])
        assert "worker     failed" in capsys.readouterr().out
    again = begun(emitter)
    until(lambda: again.report()["last_day"])
    assert emitter.health()["archive"]["last_error"] is None
    assert noted(guard_of(str(tmp_path / "log"), f"s3://{enabled.name}/audit")).failed == ""
    assert again.stop(PATIENCE)
    assert manifests(enabled)


def test_a_forked_child_leaves_it_to_its_parent(emitter: Emitter, enabled: Store) -> None:
    del enabled
    thread = begun(emitter)
    thread._pid -= 1
    assert thread.report()["state"] == "dormant"
    assert thread.stop(PATIENCE)


def test_it_says_at_once_what_it_cannot_work_with(
    tmp_path: Path, enabled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = service(tmp_path / "log", signing_key=None, origin=None)
    with pytest.raises(ConfigError, match="signing_key"):
        start_archiver(emitter=unsigned)
    with pytest.raises(ConfigError, match="jsonl"):
        start_archiver(emitter=service(tmp_path / "log", jsonl="off", signing_key=None))
    with pytest.raises(ConfigError, match="03:00"):
        start_archiver("3 am", emitter=unsigned)
    monkeypatch.delenv("AUDIT_EMIT_ARCHIVE_URL")
    with pytest.raises(ConfigError, match="s3://bucket"):
        start_archiver(emitter=unsigned)
    assert enabled.names() == []


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from archive.test_service import begun, fill, service
from audit_emit._archive.journal import Journal

add = Journal.add
def last_words(self, at, step, of, **more):
    add(self, at, step, of, **more)
    if step == "uploaded":
        os.kill(os.getpid(), signal.SIGKILL)

Journal.add = last_words
emitter = service(Path(sys.argv[1]))
fill(emitter)
begun(emitter)._thread.join(600)
"""


def test_a_service_that_is_killed_while_it_archives_ends_it_when_it_is_started_again(
    tmp_path: Path, enabled: Store
) -> None:
    done = apart(KILLED, tmp_path / "log", enabled)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert manifests(enabled) == []
    emitter = service(tmp_path / "log")
    try:
        fill(emitter, 1)
        thread = begun(emitter)
        until(lambda: thread.report()["last_day"])
        assert thread.stop(PATIENCE)
        assert manifests(enabled)
        assert main(["archive", "verify", str(tmp_path / "log"), "--key", SEED]) in {0, 4}
    finally:
        emitter.close()


@pytest.mark.parametrize(("left", "spread"), [(20 * 3600.0, 600.0), (60.0, 60.0)])
def test_it_looks_at_the_clock_every_ten_minutes_and_begins_some_time_after_the_hour(
    emitter: Emitter, store: Store, monkeypatch: pytest.MonkeyPatch, left: float, spread: float
) -> None:
    """A clock that is set, or a machine that slept, puts no day off; many hosts begin apart."""
    del store
    thread = start_archiver(emitter=emitter)
    monkeypatch.setattr(service_module, "due", lambda *_: "")
    monkeypatch.setattr(service_module, "seconds_until", lambda *_: left)
    waits = {thread.round() for _ in range(20)}
    assert spread <= min(waits)
    assert max(waits) <= 600
    assert len(waits) > 1 or left > 600


def test_a_failure_that_nobody_expected_is_told_by_its_type(
    emitter: Emitter,
    tmp_path: Path,
    enabled: Store,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no number: hunter2")

    monkeypatch.setattr(Archiver, "run", fails)
    thread = begun(emitter)
    until(lambda: thread.report()["state"] == "failing")
    assert thread.stop(PATIENCE)
    assert thread.report()["last_error"] == "ValueError"
    noted_there = noted(guard_of(str(tmp_path / "log"), f"s3://{enabled.name}/audit")).failed
    assert "ValueError" in noted_there
    assert "hunter2" not in noted_there + capfd.readouterr().err


ENDED = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from archive.test_service import begun, fill, service
from audit_emit._archive import sources

began, data_of = threading.Event(), sources.data_of
def slowly(file, pause=0.0):
    began.set()
    threading.main_thread().join()
    yield from data_of(file, pause)

emitter = service(Path(sys.argv[1]))
fill(emitter)
sources.data_of = slowly
begun(emitter)
assert began.wait(600)
"""


def test_a_service_that_ends_in_the_middle_of_a_part_tells_of_no_failure(
    tmp_path: Path, enabled: Store
) -> None:
    done = apart(ENDED, tmp_path / "log", enabled)
    assert done.returncode == 0, done.stderr
    assert "not archived" not in done.stderr
    assert noted(guard_of(str(tmp_path / "log"), f"s3://{enabled.name}/audit")).failed == ""
