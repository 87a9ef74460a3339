"""A program's source against declared events: which calls name what nobody has declared."""

from __future__ import annotations

import ast
import difflib
import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from audit_emit._declared.calls import Call, Imports, calls
from audit_emit._declared.classes import Shape, of_classes, of_schemas
from audit_emit._format.record import RESERVED
from audit_emit._runtime.interrupts import let_through
from audit_emit._schemas.schema import Schemas

__all__ = ["Mistake", "SourceCheck", "check_source"]

_LEFT_OUT = ("__pycache__", "node_modules", "site-packages")
_MAX_BYTES = 4 * 1024 * 1024
_OF_THE_RECORD = frozenset({"workspace_id"})
"""A field that becomes a member of the record, whatever the event."""


class Mistake(NamedTuple):
    """One call that names what is not declared.

    Attributes:
        file, line: where.
        event_type: of the call.
        what: ``undeclared`` (the type), ``unknown`` or ``missing`` (a field).
        name: of the field; empty for ``undeclared``.
        meant: a declared name like it, if there is one.
    """

    file: str
    line: int
    event_type: str
    what: str
    name: str
    meant: str


class SourceCheck(NamedTuple):
    """What was found.

    Attributes:
        files: how many know audit_emit.
        calls: how many emit an event by its type.
        declared: how many event types there are to compare with.
        mistakes: by file and line.
        computed: file and line of calls whose type is computed, and is not compared.
        unread: files that cannot be read as Python.
    """

    files: int
    calls: int
    declared: int
    mistakes: list[Mistake]
    computed: list[tuple[str, int]]
    unread: list[str]


def check_source(directories: Iterable[str], schemas: Schemas) -> SourceCheck:
    """Look at the files of Python in directories, or at single files.

    Besides the schemas that are given, the event classes in these files are what is declared.

    Raises:
        FileNotFoundError: one is not there.
    """
    unread: list[str] = []
    parsed: list[tuple[str, ast.Module, Imports]] = []
    for path in _files(directories):
        tree = _tree(path)
        if tree is None:
            unread.append(path)
        elif (imports := Imports(tree)).any:
            parsed.append((path, tree, imports))
    shapes = of_classes((tree, imports) for _, tree, imports in parsed) | of_schemas(schemas)
    mistakes: list[Mistake] = []
    computed: list[tuple[str, int]] = []
    count = 0
    for path, tree, imports in parsed:
        for call in sorted(calls(tree, imports), key=attrgetter("line")):
            count += 1
            if call.event_type is None:
                computed.append((path, call.line))
            elif not call.event_type.startswith(RESERVED):
                mistakes += _mistakes(path, call, call.event_type, shapes)
    return SourceCheck(len(parsed), count, len(shapes), mistakes, computed, unread)


def _files(directories: Iterable[str]) -> Iterator[str]:
    for directory in directories:
        if os.path.isfile(directory):
            yield directory
            continue
        if not os.path.isdir(directory):
            raise FileNotFoundError(2, "there is no such directory", directory)
        for where, inside, names in os.walk(directory):
            inside[:] = sorted(one for one in inside if one[0] != "." and one not in _LEFT_OUT)
            yield from (f"{where}/{one}" for one in sorted(names) if one.endswith(".py"))


def _tree(path: str) -> ast.Module | None:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        return ast.parse(content) if len(content) <= _MAX_BYTES else None
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        let_through(error)
        return None


def _mistakes(
    path: str, call: Call, event_type: str, shapes: dict[str, Shape]
) -> Iterator[Mistake]:
    shape = shapes.get(event_type)
    if shape is None:
        yield Mistake(path, call.line, event_type, "undeclared", "", _like(event_type, shapes))
        return
    unknown = [name for name in call.fields if name not in shape.names | _OF_THE_RECORD]
    for name in unknown if shape.closed else ():
        meant = _like(name, shape.names - {*call.fields})
        yield Mistake(path, call.line, event_type, "unknown", name, meant)
    for name in sorted(shape.required - {*call.fields} - _OF_THE_RECORD) if call.whole else ():
        yield Mistake(path, call.line, event_type, "missing", name, "")


def _like(name: str, names: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), "")
