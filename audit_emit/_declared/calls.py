"""The calls in a file of Python that emit an event, by its syntax tree. No code of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Call", "Imports", "calls"]

_PLACES = {"emit": 1, "emit_strict": 1, "emit_in": 2, "aemit_in": 2, "audited": 0}
"""Functions that emit, each with the place of the event type among its arguments."""
_OF_EMITTERS = ("emit", "emit_strict")
_BY_AUDITED = ("outcome", "duration_ms")
"""Fields that ``audited`` adds to every event."""


class Call(NamedTuple):
    """One call.

    Attributes:
        line: where it is, from 1.
        event_type: what it emits; ``None`` where that is computed.
        fields: the names of its fields that can be read.
        whole: whether there are no others.
    """

    line: int
    event_type: str | None
    fields: tuple[str, ...]
    whole: bool


class Imports(ast.NodeVisitor):
    """What a file has of audit_emit, and its constants of text."""

    def __init__(self, tree: ast.Module) -> None:
        self.modules: set[str] = set()
        self.names: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.visit(tree)
        for node in tree.body:
            if isinstance(node, ast.Assign):
                self._keep(node.targets, node.value)
            elif isinstance(node, ast.AnnAssign):
                self._keep([node.target], node.value)

    def _keep(self, targets: list[ast.expr], value: ast.expr | None) -> None:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            for target in targets:
                if isinstance(target, ast.Name):
                    self.constants[target.id] = value.value

    def visit_Import(self, node: ast.Import) -> None:
        """``import audit_emit``."""
        for alias in node.names:
            if alias.name.partition(".")[0] == "audit_emit":
                self.modules.add(alias.asname or "audit_emit")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """``from audit_emit import …``."""
        if not node.level and (node.module or "").partition(".")[0] == "audit_emit":
            for alias in node.names:
                self.names[alias.asname or alias.name] = alias.name

    @property
    def any(self) -> bool:
        """Whether the file knows audit_emit at all."""
        return bool(self.modules or self.names)

    def original(self, node: ast.expr) -> str:
        """What of audit_emit an expression names; empty for all else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute) and _root(node) in self.modules:
            return node.attr
        return ""


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.Module, imports: Imports) -> Iterator[Call]:
    """The calls of a file that emit an event by its type; those of event classes do not."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = imports.original(node.func)
        if not name and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_EMITTERS:
            name = node.func.attr  # of an emitter, if it has what that takes
        if name not in _PLACES:
            continue
        given = _argument(node, _PLACES[name], "event_type")
        if given is None:
            continue
        if name == "audited":
            named, whole = tuple(one.arg for one in node.keywords if one.arg), False
            named += _BY_AUDITED
        else:
            named, whole = _fields(_argument(node, _PLACES[name] + 1, "fields"))
        yield Call(node.lineno, _text(given, imports), named, whole)


def _argument(node: ast.Call, place: int, name: str) -> ast.expr | None:
    if any(isinstance(one, ast.Starred) for one in node.args[: place + 1]):
        return None
    if len(node.args) > place:
        return node.args[place]
    return next((one.value for one in node.keywords if one.arg == name), None)


def _text(node: ast.expr, imports: Imports) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return imports.constants.get(node.id)
    return None


def _fields(node: ast.expr | None) -> tuple[tuple[str, ...], bool]:
    """The names in what a call gives as fields, and whether these are all."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return (), True
    if isinstance(node, ast.Dict):
        keys = [
            key.value
            for key in node.keys
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        ]
        return tuple(keys), len(keys) == len(node.keys)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        named = [one.arg for one in node.keywords if one.arg]
        return tuple(named), not node.args and len(named) == len(node.keywords)
    return (), False
