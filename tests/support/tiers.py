"""Which tests start a server, and which are quick: found out, not listed by hand.

The marker ``server`` is set on every test that uses something decorated with ``starts_a_server``,
as a fixture or by its name. With ``--fast`` a test is left out as soon as it is about to start a
process or to open a socket of the network: the interpreter tells its audit hooks of both (PEP 578).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from types import CodeType
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])

SERVER = "server"
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
    if config.getoption("--fast"):
        sys.addaudithook(_refuse)


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
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker(SERVER)])
        items[:] = [item for item in items if item.get_closest_marker(SERVER) is None]


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
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that met the refusal is left out, whatever it has made of that."""
    report = yield
    if _event and report.failed:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), None, f"Skipped: not --fast: {_event}")
    return report
