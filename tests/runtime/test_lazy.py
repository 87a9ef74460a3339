"""Patterns that are compiled when first used, and what no pattern of the package may be made of."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.for_each import for_each
from support.waiting import PATIENCE

import audit_emit
from audit_emit._runtime.lazy import Pattern, lazy_attribute

PACKAGE = Path(audit_emit.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
BY_NAME = {str(path.relative_to(PACKAGE)): path for path in SOURCES}
PARSER: Any = importlib.import_module("re._parser")

NEVER_GIVES_BACK = re.compile(r"[*+?}]\+|\(\?>")
"""A possessive quantifier, or an atomic group, in a pattern without its classes and escapes."""

COLLECT = """
import gc, importlib, json, pkgutil, re, sys
import audit_emit
from audit_emit._runtime.lazy import Pattern

seen, compile_ = [], re._compile

def _compile(pattern, flags):
    asks = sys._getframe(2).f_globals["__name__"]
    if asks.partition(".")[0] == "audit_emit":
        text = pattern if isinstance(pattern, str) else getattr(pattern, "decode", str)("latin-1")
        seen.append([asks, text, int(flags)])
    return compile_(pattern, flags)

re._compile = _compile
for name in list(sys.modules):
    if name.partition(".")[0] == "audit_emit":
        del sys.modules[name]
import audit_emit
for module in pkgutil.walk_packages(audit_emit.__path__, "audit_emit."):
    importlib.import_module(module.name)
from audit_emit._runtime.lazy import Pattern
for each in gc.get_objects():
    if type(each) is Pattern:
        each.match
print(json.dumps(seen))
"""


def gives_nothing_back(parsed: Any) -> bool:
    """Whether a parsed pattern, or a part of it, is possessive or atomic."""
    if isinstance(parsed, PARSER.SubPattern):
        return any(map(gives_nothing_back, parsed))
    if isinstance(parsed, (tuple, list)):
        return any(map(gives_nothing_back, parsed))
    return str(parsed) in {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}


def literals(path: Path) -> Iterator[str]:
    """The texts in a source that are not documentation, as they are without escapes and classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in prose:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str):
                yield re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", text, flags=re.DOTALL)


@pytest.mark.parametrize("pattern", ["a++", "(?:ab)*+", "a{2,}+", "a?+", "(?>a)", "(?=[b](a|b?+))"])
def test_what_gives_nothing_back_is_seen(pattern: str) -> None:
    assert gives_nothing_back(PARSER.parse(pattern))
    assert NEVER_GIVES_BACK.search(pattern)


def test_no_pattern_that_is_compiled_relies_on_what_python_3_11_2_does_wrong() -> None:
    # Issues 100061, 106052 and 101955 of CPython: such a pattern may match less than it should,
    # or raise SystemError. A secret would then stand in clear.
    told = subprocess.run(
        [sys.executable, "-c", COLLECT],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    seen = json.loads(told.stdout)
    assert len(seen) > 150
    assert {
        "audit_emit._format.record",
        "audit_emit._runtime.lazy",
        "audit_emit._query.question",
    } <= {s[0] for s in seen}
    assert [one for one in seen if gives_nothing_back(PARSER.parse(one[1], one[2]))] == []


@pytest.mark.thorough
@for_each("name", BY_NAME)
def test_no_part_of_a_pattern_does_that_is_put_together_later(name: str) -> None:
    assert [text for text in literals(BY_NAME[name]) if NEVER_GIVES_BACK.search(text)] == []


def test_a_pattern_is_compiled_when_it_is_first_used() -> None:
    pattern = Pattern("(", re.IGNORECASE)
    with pytest.raises(re.error):
        pattern.search("a")
    right = Pattern("A", re.IGNORECASE)
    assert right.search("xa") is not None


def test_what_a_compiled_pattern_has_not_a_lazy_one_has_not_either() -> None:
    with pytest.raises(AttributeError):
        Pattern("a").unknown  # noqa: B018


class Made:
    """Counts how often its value is made."""

    times = 0

    @lazy_attribute
    def value(self) -> list[int]:
        """What is made."""
        self.times += 1
        return [self.times]


def test_a_lazy_attribute_is_made_once_and_kept() -> None:
    made = Made()
    assert made.value is made.value
    assert made.times == 1
    assert Made.value.__doc__ == "What is made."


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_while_a_value_is_made_makes_its_own() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        @lazy_attribute
        def value(self) -> int:
            if threading.current_thread() is not threading.main_thread():
                entered.set()
                leave.wait(PATIENCE)
            return 7

    slow = Slow()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    try:
        assert entered.wait(PATIENCE)
        child = os.fork()
        if not child:
            signal.alarm(10)  # ends a child that waits
            os._exit(slow.value)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        leave.set()
        thread.join()


@pytest.mark.thorough
def test_nothing_is_made_lazily_under_a_lock_that_a_forked_child_would_wait_for() -> None:
    locking = {"cached_property", "singledispatchmethod"}
    found = {
        f"{name}: {node.names[0].name}"
        for name, path in BY_NAME.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "functools"
        if locking & {alias.name for alias in node.names}
    }
    assert found == set()
