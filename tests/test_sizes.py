"""No module, class or function of the package is longer than what can be read at one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.for_each import for_each

import audit_emit

PACKAGE = Path(audit_emit.__file__).parent

MODULE, CLASS, FUNCTION = 400, 250, 50
"""Lines, with docstrings and comments, without decorators."""

STILL_LONGER = {
    "_core/emitter.py:Emitter.emit",
}
"""What is longer than that. What fits by now must be taken out.

``emit`` stays in one piece: at the recursion limit its guard may call nothing (architecture.md),
and on the usual way each further call would take 50 ns of the 4 µs that an event has.
"""


def measured(path: Path) -> Iterator[tuple[str, int, int]]:
    """Each module, class and function of a file: its name, its lines, and how many it may have."""
    text, name = path.read_text("utf-8"), str(path.relative_to(PACKAGE))
    yield name, text.count("\n"), MODULE
    todo: list[tuple[str, ast.AST]] = [(name, ast.parse(text))]
    while todo:
        where, node = todo.pop()
        for child in ast.iter_child_nodes(node):
            inside = where
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inside = f"{where}:{child.name}" if ":" not in where else f"{where}.{child.name}"
                most = CLASS if isinstance(child, ast.ClassDef) else FUNCTION
                yield inside, (child.end_lineno or child.lineno) - child.lineno + 1, most
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                todo.append((inside, child))  # no expression holds a function with a name


@cache
def found() -> list[tuple[str, int, int]]:
    """That of the whole package; not when the tests are collected, which each worker does."""
    return [one for path in sorted(PACKAGE.rglob("*.py")) for one in measured(path)]


def test_nothing_is_longer_than_it_may_be() -> None:
    longer = {name: lines for name, lines, most in found() if lines > most}
    assert {name: lines for name, lines in longer.items() if name not in STILL_LONGER} == {}


@for_each("name", sorted(STILL_LONGER))
def test_an_exception_is_still_needed(name: str) -> None:
    assert [one for one, lines, most in found() if one == name and lines > most]


def test_few_modules_are_at_the_top_of_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8
