"""The injector finds the same places whenever it looks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from faults.injector import Injector

SOURCE = """
def inner(n):
    return len(str(n)) + abs(n)

def outer(n):
    for i in range(2):
        n += inner(i)
    return inner(n)
"""
STARTS = 1 + 3
CALLS = 1 + 2 + 1 + 3 * 3
TURNS = 2
"""How often the loop goes round."""


def fresh(name: str) -> Callable[[int], Any]:
    """A function that nobody has traced yet, of a module of this name."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(SOURCE, "sample", "exec"), namespace)
    function: Callable[[int], Any] = namespace["outer"]
    return function


def places(function: Callable[[int], Any]) -> int:
    for at in range(100):
        try:
            Injector(KeyboardInterrupt, at).run(lambda: function(3))
        except KeyboardInterrupt:
            continue
        return at
    raise AssertionError("no end of places")


@pytest.mark.parametrize("before", [0, 1, 2])
def test_every_place_is_found_the_first_time_and_again(before: int) -> None:
    function = fresh("audit_emit.sample")
    for _ in range(before):
        injector = Injector(KeyboardInterrupt, 1000)
        injector.run(lambda: function(3))
        assert injector.passed == STARTS + CALLS + TURNS
    assert places(function) == STARTS + CALLS + TURNS


def test_only_the_library_is_interrupted() -> None:
    function = fresh("application")
    assert places(function) == 0


def test_only_the_thread_that_asked_is_interrupted() -> None:
    function = fresh("audit_emit.sample")
    done: list[int] = []

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: done.append(function(3)))
        thread.start()
        thread.join()

    Injector(KeyboardInterrupt, 0).run(elsewhere)
    assert done == [fresh("application")(3)]


def test_memory_runs_out_at_calls_only() -> None:
    injector = Injector(MemoryError, 1000)
    injector.run(lambda: fresh("audit_emit.sample")(3))
    assert injector.passed == CALLS
