"""Every exception that can reach a caller is in ``errors.py``, and in the tree of its docstring."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from audit_emit import errors

PACKAGE = Path(errors.__file__).parent

CONTROL_FLOW = {"RefusedError", "_NotLinearError", "_Full", "DemoFailed", "NoLog", "Difference"}
"""Caught in the package, or by its command line: no caller of the library sees them."""

CLASSES = {
    name: made
    for name, made in vars(errors).items()
    if inspect.isclass(made) and issubclass(made, Exception)
}


def exceptions_elsewhere() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                if any(re.search(r"(Error|Exception)$", base) for base in bases):
                    found.add(node.name)
                if bases & CLASSES.keys():
                    found.add(node.name)
    return found


def test_they_are_defined_in_one_module() -> None:
    assert exceptions_elsewhere() == CONTROL_FLOW


def test_the_tree_shows_them_all_below_what_they_inherit_from() -> None:
    shown: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:  |$)", line)
        if drawn:
            depth = len(drawn[1]) // 4
            above[depth:] = [drawn[2]]
            shown[drawn[2]] = above[depth - 1] if depth else ""
    assert shown.pop("Exception") == ""
    bases = {name: made.__bases__[0].__name__ for name, made in CLASSES.items()}
    assert shown == bases
