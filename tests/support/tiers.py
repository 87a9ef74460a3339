"""Which tests start a server, and which are quick: found out, not listed by hand.

The marker ``server`` is set on every test that uses something decorated with ``starts_a_server``,
as a fixture or by its name. With ``--fast`` a test is left out as soon as it is about to start a
process or to open a socket of the network: the interpreter tells its audit hooks of both (PEP 578).

By hand is marked only what takes long without either (``@pytest.mark.thorough``). The run with
``--fast`` names the tests that are to be marked, too.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])

SERVER = "server"
THOROUGH = "thorough"
SECONDS = 1.0
"""Of the processor: a test that takes longer is to be marked as thorough."""
WHOLE_PROGRAMS = {"apps", "faults"}
"""Folders of tests that all run whole programs: the quickest tier does not even import them."""
SLOW_EVENTS = {
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "subprocess.Popen",
}
_starters: set[CodeType] = set()
_running = False
_event = ""


def starts_a_server(function: F) -> F:
    """Decorate a function, or the function of a fixture, that starts a server."""
    _starters.add(function.__code__)
    return function


def _named(function: Any) -> Iterator[CodeType]:
    """The code of ``function`` and of the functions that it names."""
    function = getattr(function, "__wrapped__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    yield code
    for name in code.co_names:
        used = function.__globals__.get(name)
        used = getattr(used, "__wrapped__", used)
        if isinstance(getattr(used, "__code__", None), CodeType):
            yield used.__code__


@cache
def _starts(function: Any) -> bool:
    return any(code in _starters for code in _named(function))


def uses_a_server(item: pytest.Item) -> bool:
    """Whether a test or one of its fixtures starts one."""
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return any(map(_starts, [item.function, *(one.func for each in fixtures for one in each)]))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of the quickest tier."""
    parser.addoption(
        "--fast", action="store_true", help="leave out what starts a process or opens a socket"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and what watches the tests of the quickest tier."""
    config.addinivalue_line(
        "markers", f"{SERVER}: starts a database, an object store or a Loki; set by itself"
    )
    config.addinivalue_line(
        "markers", f"{THOROUGH}: takes a second of the processor or more; not in the quickest tier"
    )
    if config.getoption("--fast"):
        sys.addaudithook(_refuse)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are cores: a quarter of the time the tests wait for other processes.

    ``PYTEST_XDIST_AUTO_NUM_WORKERS`` says another number (pytest-xdist).
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else None


@pytest.hookimpl
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a folder is left out as a whole."""
    return (config.getoption("--fast") and collection_path.name in WHOLE_PROGRAMS) or None


def _refuse(event: str, given: tuple[Any, ...]) -> None:
    global _event  # noqa: PLW0603 - the hooks of an interpreter stay; there is one at a time
    if not _running:
        return
    # Before there is a socket, so that none is left open; pairs of them, as asyncio has, are none.
    network = event == "socket.__new__" and given[1] in {socket.AF_INET, socket.AF_INET6}
    if network or event in SLOW_EVENTS:
        _event = event
        raise pytest.skip.Exception(f"not --fast: {event}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set the marker, before ``-m`` is looked at."""
    for item in items:
        if uses_a_server(item):
            item.add_marker(SERVER)
    if config.getoption("--fast"):
        left_out = [i for i in items if any(map(i.get_closest_marker, (SERVER, THOROUGH)))]
        config.hook.pytest_deselected(items=left_out)
        without = set(left_out)
        items[:] = [item for item in items if item not in without]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch one test with its fixtures."""
    global _running, _event  # noqa: PLW0603
    _running, _event = item.config.getoption("--fast"), ""
    try:
        return (yield)
    finally:
        _running = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note what is too slow for the quickest tier."""
    begun = time.process_time()
    try:
        return (yield)
    finally:
        taken = time.process_time() - begun
        if taken > SECONDS and item.config.getoption("--fast"):
            item.user_properties.append((THOROUGH, f"{taken:.1f} s"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was too slow."""
    for report in terminalreporter.stats.get("passed", ()):
        taken = dict(report.user_properties).get(THOROUGH)
        if taken and report.when == "call":
            terminalreporter.write_line(f"to be marked as {THOROUGH}: {report.nodeid} ({taken})")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that met the refusal is left out, whatever it has made of that."""
    report = yield
    if _event and report.failed:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), None, f"Skipped: not --fast: {_event}")
    return report
