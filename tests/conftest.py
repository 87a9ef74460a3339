"""What every test gets: an environment in which nothing outside ``tmp_path`` is written."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import tiers
from support.audit_log import AuditLog
from support.fake_loki import each_loki, fake_loki
from support.loki_program import loki, loki_server
from support.object_store import ministack, seaweed, small_store, store
from support.postgres_server import _audited_template, audited, database, postgres_server
from support.process_log import records
from support.tiers import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_xdist_auto_num_workers,
)

from audit_emit import Emitter
from audit_emit._core import default as _process
from audit_emit._core import emitter as emitter_module
from audit_emit._core import keyring, life, outbox, strict
from audit_emit._runtime.compiled import SWITCH
from audit_emit._settings import settings as _config
from audit_emit._stores import memory
from audit_emit._stores.jsonl import critical, segment_index
from audit_emit._stores.jsonl import store as store_module
from audit_emit.context import EMPTY, VAR

__all__ = [
    "_audited_template",
    "audited",
    "database",
    "each_loki",
    "fake_loki",
    "loki",
    "loki_server",
    "ministack",
    "postgres_server",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_ignore_collect",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_xdist_auto_num_workers",
    "records",
    "seaweed",
    "small_store",
    "store",
]
"""Fixtures and hooks from elsewhere."""

settings.register_profile(
    "everywhere",
    # A busy machine is no finding, and what is tried today is tried tomorrow. For new examples:
    # pytest --hypothesis-profile=default
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
settings.load_profile("everywhere")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep the collector from the modules and the tests, which stay until the process ends.

    There are millions of objects. Each full collection would look at all of them: while they are
    made, in tests that make many objects, and in those that call ``gc.collect`` themselves.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl
def pytest_sessionfinish() -> None:
    """Wait for none of the emitters that tests have left with a log that cannot be written."""
    life.EXIT_SECONDS = 0.0


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line for each reason how many tests did not run, and of which modules they are."""
    not_run: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            not_run.setdefault(reason, []).append(report.nodeid.partition("::")[0])
    for reason, modules in sorted(not_run.items(), key=lambda each: -len(each[1])):
        named = ", ".join(sorted(set(modules)))
        terminalreporter.write_line(f"not tested: {reason}: {len(modules)} of {named}")
    tiers.pytest_terminal_summary(terminalreporter)


_numbers = count()


@pytest.fixture
def _place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tmp_path``; for a test that does not ask for that, a directory that is not made yet.

    Most tests write nothing, and making a directory for each takes a tenth of their time.
    """
    if "tmp_path" in request.fixturenames:
        made: Path = request.getfixturevalue("tmp_path")
        return made
    return tmp_path_factory.getbasetemp() / f"unasked-{next(_numbers)}"


@pytest.fixture(autouse=True)
def _contained(_place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings, state or emitter of the machine reaches a test, or of another test."""
    for name in [n for n in os.environ if n.startswith(_config.PREFIX) and n != SWITCH]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(_place / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(_place / "state"))
    # A child process knows nothing of the next line, so it gets a path of its own.
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(_place / "default" / "audit.jsonl"))
    monkeypatch.setattr(_config, "_SYSTEM_DIRECTORY", str(_place / "system"))
    before = _process.swap_emitter(None)
    bound = VAR.set(EMPTY)
    yield
    VAR.reset(bound)
    made = _process.swap_emitter(before)
    if made is not None:
        made.close()


_LIMITS = [
    *((module, "LOCK_SECONDS") for module in (critical, emitter_module, outbox, strict)),
    (_process, "_LOCK_SECONDS"),
    (keyring, "KEY_SECONDS"),
    (memory, "_WAIT_SECONDS"),
    (segment_index, "_SEARCH_SECONDS"),
    (store_module, "BATCH_SECONDS"),
]
"""How long an event may take at each of its steps before it leaves the rest for later."""

_SHORT = [getattr(module, name) for module, name in _LIMITS]


@pytest.fixture(autouse=True)
def _patient() -> Iterator[None]:
    """An event waits for seconds, so that no pause of a busy machine leaves it for later."""
    with pytest.MonkeyPatch.context() as patch:  # a test may undo what it did, and not this
        for module, name in _LIMITS:
            patch.setattr(module, name, 3.0)
        yield


@pytest.fixture
def hurried(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event waits as long as it does outside of the tests: for those of just that."""
    for (module, name), short in zip(_LIMITS, _SHORT, strict=True):
        monkeypatch.setattr(module, name, short)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where ``emitter`` writes."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def emitter(log: Path) -> Iterator[Emitter]:
    """Writes to a file of its own, and nothing to stdout."""
    made = Emitter(service="tests", jsonl=log, stdout=False)
    yield made
    made.close()


@pytest.fixture
def audit_log(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit.jsonl")
    yield log
    log.emitter.close()
