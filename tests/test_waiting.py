"""How tests wait: the helper, and that none rests on a clock that a busy machine outruns."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import free_port
from support.waiting import until

TESTS = Path(__file__).parent
WAITS = {"communicate", "join", "result", "wait", "wait_for"}
"""Calls whose first number is how long they wait."""
ANSWERS = {"close", "finish", "flush", "sync"}
"""Calls that are told how long they may take, and say whether that was enough."""
LEAST = 30.0
"""What a wait of its own number has at least."""
IN_VAIN = 0.5
"""Who waits for less expects nothing to happen, and needs no patience."""


def test_what_is_waited_for_is_returned() -> None:
    answers = iter([None, 0, "there"])
    assert until(lambda: next(answers)) == "there"


def test_what_never_happens_is_a_failure_that_says_what() -> None:
    with pytest.raises(AssertionError, match="the answer has not happened"):
        until(lambda: False, "the answer", seconds=0.01)


def test_a_free_port_is_given_to_nobody_else_and_can_be_listened_on() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    others = {free_port() for _ in range(50)}
    assert port not in others
    with socket.create_server(("127.0.0.1", port)):
        socket.create_connection(("127.0.0.1", port)).close()


def _number(node: ast.AST | None) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    return None


def _called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _reads_a_clock(node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.Call) and _called(one).endswith(("monotonic", "perf_counter"))
        for one in ast.walk(node)
    )


def impatient(tree: ast.AST) -> Iterator[str]:
    """What in a module waits too short, or judges how long something took."""
    asserted = {id(node.test) for node in ast.walk(tree) if isinstance(node, ast.Assert)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _called(node)
            given = [one.value for one in node.keywords if one.arg == "timeout"]
            if name in WAITS or (name in ANSWERS and id(node) in asserted):
                given += node.args[:1]
            seconds = [number for number in map(_number, given) if number is not None]
            if any(IN_VAIN < number < LEAST for number in seconds):
                yield f"{node.lineno}: {ast.unparse(node)[:70]}"
        elif isinstance(node, ast.BinOp) and _reads_a_clock(node.left):
            if IN_VAIN < (_number(node.right) or 0) < LEAST:
                yield f"{node.lineno}: {ast.unparse(node)[:70]}"
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            judged = any(map(_reads_a_clock, sides)) and any(_number(side) for side in sides)
            if judged and isinstance(node.ops[-1], ast.Lt | ast.LtE):
                yield f"{node.lineno}: {ast.unparse(node)[:70]}"


@pytest.mark.parametrize(
    "bad",
    [
        "process.wait(20)",
        "run(command, timeout=10)",
        "assert emitter.flush(20)",
        "deadline = monotonic() + 20",
        "assert monotonic() - begun < 5",
        "assert 0.2 <= time.monotonic() - begun < 5",
    ],
)
def test_a_short_wait_is_found(bad: str) -> None:
    assert list(impatient(ast.parse(bad)))


@pytest.mark.thorough
def test_no_test_rests_on_a_clock_that_a_busy_machine_outruns() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{one}"
        for path in sorted(TESTS.rglob("*.py"))
        if "bench" not in path.parts
        for one in impatient(ast.parse(path.read_bytes()))
    ]
    assert found == []
