from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.jsonl_store import store_of
from support.plain_log_reader import chain_ok, records
from support.waiting import PATIENCE

import audit_emit
from audit_emit import Emitter, configure, emit, emit_strict, flush, health
from audit_emit._core import default as _process

KEY = "k" * 32


def made() -> Emitter:
    assert _process._current is not None
    return _process._current


def test_configure_makes_the_emitter_of_the_process(log: Path) -> None:
    emitter = configure(service="tests", jsonl=log, stdout=False)
    assert _process.get_emitter() is emitter
    receipt = emit({"user_id": "u"}, "a.b", {"key": "A"})
    assert receipt is not None
    assert chain_ok(log)[-1]["id"] == receipt.id


def test_configure_again_closes_the_one_before(tmp_path: Path) -> None:
    first = configure(jsonl=tmp_path / "1.jsonl", stdout=False)
    emit(None, "a.b")
    second = configure(jsonl=tmp_path / "2.jsonl", stdout=False)
    emit(None, "a.b")
    assert first is not second
    assert first.store is not None
    assert store_of(first).segment.descriptor == -1
    assert second.store is not None
    assert store_of(second).segment.descriptor >= 0
    assert len(records(tmp_path / "1.jsonl")) == len(records(tmp_path / "2.jsonl")) == 2


def test_setting_the_same_emitter_again_leaves_it_open(log: Path) -> None:
    emitter = configure(jsonl=log, stdout=False)
    emit(None, "a.b")
    assert _process.set_emitter(emitter) is emitter
    assert emitter.store is not None
    assert store_of(emitter).segment.descriptor >= 0


def test_nothing_is_configured_by_asking_to_flush() -> None:
    assert flush(PATIENCE)
    assert _process._current is None


def test_the_first_use_configures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_EMIT_STDOUT", "0")
    made_by: list[Any] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(PATIENCE)
        emit(None, "a.b")
        made_by.append(_process.get_emitter())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(made_by) == 8
    assert len(set(map(id, made_by))) == 1
    assert flush(PATIENCE)
    path = made().settings.jsonl
    assert path is not None
    assert len(chain_ok(path)) == 9


def test_strict_flush_and_health_are_those_of_the_emitter(log: Path) -> None:
    configure(service="tests", jsonl=log, stdout=False)
    receipt = emit_strict(None, "a.b")
    assert flush(PATIENCE)
    assert health()["sinks"]["jsonl"]["seq"] == receipt.seq
    assert health()["service"] == "tests"


def test_health_configures_when_nobody_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIT_EMIT_STDOUT", "0")
    found = health()["sinks"]["jsonl"]
    assert found["path"] == str(tmp_path / "default" / "audit.jsonl")
    assert found["path_source"] == "environment"


def test_emit_survives_an_emitter_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError("secret")

    monkeypatch.setattr(_process, "Emitter", fail)
    assert emit(None, "a.b") is None
    assert audit_emit.hash_value_prefix("x") == ""
    assert capfd.readouterr().err.splitlines() == [
        "audit_emit: no emitter could be made: MemoryError"
    ]


# hash_value_prefix


def test_the_hash_prefix_is_that_of_sha256(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    assert audit_emit.hash_value_prefix("abc") == "ba7816bf"
    assert audit_emit.hash_value_prefix(b"abc", 64) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_the_hash_prefix_is_keyed_when_there_is_a_key(log: Path) -> None:
    configure(jsonl=log, stdout=False, hash_key=KEY)
    keyed = audit_emit.hash_value_prefix("abc", 64)
    assert len(keyed) == 64
    assert not keyed.startswith("ba7816bf")
    configure(jsonl=log, stdout=False, hash_key="j" * 32)
    assert audit_emit.hash_value_prefix("abc", 64) != keyed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_workers_of_one_preloaded_application_share_its_log(log: Path) -> None:
    """As gunicorn does with ``--preload``: configured, used, then forked."""
    code = (
        "import os, sys\n"
        "from audit_emit import configure, emit, flush\n"
        "configure(jsonl=sys.argv[1], stdout=False)\n"
        "emit(None, 'at.import')\n"
        "children = []\n"
        "for _ in range(4):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        [emit(None, 'in.worker') for _ in range(25)]\n"
        "        os._exit(0 if flush(20) else 1)\n"
        "    children.append(pid)\n"
        "sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(log)], check=True, timeout=PATIENCE)
    found = [one["event_type"] for one in chain_ok(log)]
    assert found.count("in.worker") == 100
    assert found.count("audit.started") == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_of_multiprocessing_share_the_log(tmp_path: Path, log: Path, method: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "from audit_emit import configure, emit, flush\n"
        "def work(path):\n"
        "    configure(jsonl=path, stdout=False)\n"
        "    emit(None, 'in.worker')\n"
        "    if not flush(10): raise SystemExit(1)\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context(sys.argv[2])\n"
        "    emitter = configure(jsonl=sys.argv[1], stdout=False)\n"
        "    emit(None, 'in.main')\n"
        "    jobs = [context.Process(target=work, args=(sys.argv[1],)) for _ in range(2)]\n"
        "    [job.start() for job in jobs]; [job.join() for job in jobs]\n"
        "    sys.exit(any(job.exitcode for job in jobs))\n"
    )
    here = str(Path(audit_emit.__file__).parents[1])
    subprocess.run(
        [sys.executable, script, log, method],
        check=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": here},
    )
    assert [one["event_type"] for one in chain_ok(log)].count("in.worker") == 2


def test_the_rules_are_compiled_before_the_first_event(tmp_path: Path) -> None:
    code = (
        "import re, sys, audit_emit\n"
        "audit_emit.configure(jsonl=sys.argv[1], stdout=False)\n"
        "made, compile_ = [], re._compile\n"
        "re._compile = lambda *given: made.append(given) or compile_(*given)\n"
        "audit_emit.emit({'user_id': 'u-1'}, 'a.b', {'note': 'all is well'})\n"
        "print(sum(len(pattern) for pattern, _ in made if isinstance(pattern, str)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.jsonl")],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert int(done.stdout) < 1000
