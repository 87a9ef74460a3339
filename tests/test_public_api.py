"""What may be imported from where, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
import runpy
import subprocess
import sys
import tomllib
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from support.for_each import for_each
from support.waiting import PATIENCE

import audit_emit

PACKAGE = Path(audit_emit.__file__).parent
HEAVY = (
    "structlog",
    "pythonjsonlogger",
    "logging",
    "click",
    "rich",
    "flask",
    "fastapi",
    "boto3",
    "botocore",
    "starlette",
    "pydantic",
    "cryptography",
    "opentelemetry",
    "asyncio",
    "dataclasses",
    "inspect",
    "json",
    "uuid",
    "tempfile",
    "subprocess",
    "socket",
    "multiprocessing",
)

COMPUTING = {
    "_format": {"tail"},
    "_redaction": {"user_rules"},
    "_fields": set[str](),
    "_query": {"times"},
    "_repair": {"apply"},
    "_loki": {
        *("backfill", "client", "http", "journal", "log_index", "log_scan", "reader_scan"),
        *("plan", "reconcile", "shipped"),
    },
}
"""Folders that compute, each with its modules that read, write, or know the time."""

PURE_MAY_IMPORT = {
    "__future__",
    "array",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "contextlib",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "gc",
    "hashlib",
    "hmac",
    "io",
    "itertools",
    "json",
    "math",
    "msgspec",
    "operator",
    "re",
    "sys",
    "threading",
    "types",
    "typing",
    "unicodedata",
}
"""Values in, bytes out: no I/O, no clock, no randomness.

``io`` is for bytes in memory; ``sys`` for ``sys.modules``, as a type is recognised and never
imported; ``threading`` for what belongs to one thread.
"""

PURE_TIME = {"strftime", "gmtime"}
"""All that ``record`` may use of ``time``: formatting, no clock."""

OUTER = (
    "audit_emit.integrations",
    "audit_emit.cli",
    "audit_emit.testing",
    "audit_emit.__main__",
)
"""What applications and people use of the core, and the core never of them."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, which nobody changes."""
    return ast.parse(path.read_text("utf-8"))


FLOORS = (
    ("errors", "_version", "_speedups"),
    ("_runtime",),
    ("context", "_signing"),
    ("_format",),
    ("_subjects",),
    ("_redaction",),
    ("_fields",),
    ("_schemas",),
    ("_settings",),
    ("_objects",),
    ("_stores",),
    ("_readers",),
    ("_checkpoints",),
    ("_core", "_verify"),
    ("_loki",),
    ("_query",),
    ("_repair", "_retention", "_shipping", "_export", "_attestation", "_detection", "_declared"),
    ("_erasure",),
    ("_archive", "_report"),
    ("log", "outbox", "_facade"),
    ("",),
    ("testing", "integrations", "console"),
    ("__pyinstaller", "cli"),
    ("__main__",),
)
"""The folders and the modules at the top of the package, the lowest first."""

FLOOR = {name: number for number, row in enumerate(FLOORS) for name in row}


@cache
def imported(path: Path, *, nested: bool = True) -> tuple[str, ...]:
    """Names of the modules that a file imports, but for those only the type checker sees."""
    found: list[str] = []
    todo: list[ast.AST] = [parsed(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not nested and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append(whole if whole in MODULES else node.module)
        todo += ast.iter_child_nodes(node)
    return tuple(found)


@cache
def used_by(name: str) -> set[str]:
    """The modules that one imports when it is imported itself."""
    return {one for one in imported(MODULES[name], nested=False) if one in MODULES}


@cache
def reachable(name: str) -> set[str]:
    seen: set[str] = set()
    todo = [name]
    while todo:
        for one in used_by(todo.pop()) - seen:
            seen.add(one)
            todo.append(one)
    return seen


# Names


def test_all_is_sorted_and_complete() -> None:
    public = {
        name
        for name, value in vars(audit_emit).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert audit_emit.__all__ == sorted(public)


def test_the_names_of_the_documentation_are_there() -> None:
    names = """
        emit emit_strict flush health configure Emitter Settings AuditContext current_context bind
        with_user_id with_actor_kind with_correlation_id with_workspace_id hash_value_prefix Secret
        audited AuditError ConfigError Receipt Rule open_log start_archiver Event Field Subject
    """
    assert set(names.split()) == set(audit_emit.__all__)


@for_each("name", audit_emit.__all__)
def test_every_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(audit_emit, name))


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert audit_emit.__version__ == version("audit_emit")


def test_emit_takes_what_it_always_took() -> None:
    for call in (audit_emit.emit, audit_emit.emit_strict, audit_emit.Emitter.emit):
        parameters = [
            one for one in inspect.signature(call).parameters.values() if one.name != "self"
        ]
        assert [one.name for one in parameters] == ["ctx", "event_type", "fields"]
        assert parameters[2].default is None


PUBLIC = [name for name in MODULES if "._" not in name and not name.startswith("audit_emit.cli")]


def public_callables(module: Any) -> Iterator[Any]:
    """Every class, method and function that a module gives to others."""
    for name in getattr(module, "__all__", [n for n in vars(module) if n[0] != "_"]):
        made = getattr(module, name)
        if not getattr(made, "__module__", "").startswith("audit_emit"):
            continue
        if inspect.isclass(made):
            yield made
            for method, function in inspect.getmembers(made, inspect.isroutine):
                own = str(getattr(function, "__module__", "")).startswith("audit_emit")
                if method[0] != "_" and own:  # not what a class inherits from its framework
                    yield function
        elif inspect.isfunction(made):
            yield made


@for_each("name", PUBLIC)
def test_the_annotations_of_what_is_public_can_be_resolved(name: str) -> None:
    for made in public_callables(importlib.import_module(name)):
        typing.get_type_hints(made)
        constructor = getattr(made, "__init__", None) if isinstance(made, type) else None
        if getattr(constructor, "__module__", "").startswith("rq."):
            continue  # RQ's own constructors name what is there for type checkers only
        try:
            inspect.signature(made, eval_str=True)
        except ValueError as error:  # of a class whose signature Python does not know
            assert "signature" in str(error)  # noqa: PT017 - it need not be raised


def unannotated(tree: ast.AST) -> Iterator[str]:
    """Attributes whose first value does not say of which type all values are."""
    for made in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        declared = {ast.unparse(node.target) for node in ast.walk(made) if is_annotation(node)}
        first: dict[str, ast.Assign] = {}
        for node in [node for node in ast.walk(made) if isinstance(node, ast.Assign)]:
            for target in [name for one in node.targets for name in ast.walk(one)]:
                written = ast.unparse(target) if isinstance(target, ast.Attribute) else ""
                if written.startswith("self.") and not written.startswith("self._"):
                    earlier = first.get(written, node)
                    first[written] = node if node.lineno < earlier.lineno else earlier
        for name, node in first.items():
            parameter = isinstance(node.value, ast.Name)
            if not parameter and not {name, name.removeprefix("self.")} & declared:
                yield f"{made.name}: annotate {name}"


def is_annotation(node: ast.AST) -> TypeGuard[ast.AnnAssign]:
    return isinstance(node, ast.AnnAssign)


@for_each("name", PUBLIC)
def test_the_attributes_of_what_is_public_say_their_types(name: str) -> None:
    """What a type checker has to infer, others infer differently: ``pyright --verifytypes``."""
    assert list(unannotated(parsed(MODULES[name]))) == []


def test_help_is_shown() -> None:
    text = pydoc.render_doc(audit_emit, renderer=pydoc.TextDoc())
    assert "signing_key" in text
    assert "emit_strict" in text


# Packed programs


def test_every_command_is_an_import_that_can_be_seen() -> None:
    """PyInstaller and its like follow imports, not names in strings."""
    from audit_emit.cli._group import COMMANDS

    wanted = {f"audit_emit.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert wanted <= set(imported(MODULES["audit_emit.cli._group"]))


def test_the_hook_of_pyinstaller_is_found_and_names_modules_that_are_there() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    (directory,) = getattr(importlib.import_module(module), name)()
    hook = runpy.run_path(f"{directory}/hook-audit_emit.py")
    assert "audit_emit.integrations.stdlib" in hook["hiddenimports"]
    assert set(hook["hiddenimports"]) <= set(MODULES)


# Cost


def loaded(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout.split()
    )


USE = (
    "audit_emit.configure(stdout=False)\n"
    "assert audit_emit.emit({'user_id': 'u'}, 'secret.set', {'key': 'A', 'n': 1})\n"
    "audit_emit.flush()"
)


@pytest.mark.parametrize("use", ["", USE])
def test_importing_and_using_it_loads_nothing_heavy(use: str) -> None:
    found = loaded(f"import audit_emit\n{use}")
    assert "audit_emit._core.emitter" in found
    # msgspec loads uuid, and inspect where typing_extensions is installed.
    assert (found - loaded("import msgspec")) & set(HEAVY) == set()


def test_importing_it_loads_no_other_distribution_than_msgspec() -> None:
    new = loaded("import audit_emit") - loaded("import msgspec")
    tops = {name.partition(".")[0] for name in new}
    assert tops - set(sys.stdlib_module_names) == {"audit_emit"}


# Structure


def test_importing_it_has_no_effect() -> None:
    code = (
        "import os, sys, logging, contextvars\n"
        "owned = lambda: [len(os.listdir(f'/proc/self/{what}')) for what in ('fd', 'task')]\n"
        "before = owned()\n"
        "import audit_emit\n"
        "assert owned() == before\n"
        "assert not logging.root.handlers and 'audit_emit' not in logging.root.manager.loggerDict\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert (done.stdout, done.stderr) == ("", "")


def folder(name: str) -> str:
    """The folder of the package that a module is in, or its own name at the package's top."""
    return name.removeprefix("audit_emit").lstrip(".").partition(".")[0]


def module(name: str) -> str:
    """The name of a module within its folder."""
    return name.removeprefix(f"audit_emit.{folder(name)}").lstrip(".").partition(".")[0]


ACTING = [name for name in MODULES if module(name) in COMPUTING.get(folder(name), ())]
PURE = [name for name in MODULES if folder(name) in COMPUTING and name not in ACTING]


@for_each("name", PURE)
def test_a_module_of_a_folder_that_computes_imports_nothing_that_acts(name: str) -> None:
    foreign = {
        one.partition(".")[0] for one in imported(MODULES[name]) if not one.startswith("audit_emit")
    }
    time = {"time"} if name == "audit_emit._format.record" else set()
    assert foreign - PURE_MAY_IMPORT <= time


@for_each("name", ACTING)
def test_a_module_that_acts_needs_what_the_others_may_not_import(name: str) -> None:
    """Else it is no exception any more."""
    foreign = {one.partition(".")[0] for one in imported(MODULES[name])}
    assert foreign - PURE_MAY_IMPORT - {"audit_emit"} or used_by(name) & set(ACTING)


@for_each("name", PURE)
def test_a_module_that_computes_uses_none_of_its_folder_that_acts(name: str) -> None:
    assert not used_by(name) & set(ACTING)


def test_the_record_uses_time_to_format_only() -> None:
    tree = ast.parse((PACKAGE / "_format" / "record.py").read_text("utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    }
    assert used <= PURE_TIME


@pytest.mark.thorough
@for_each("name", MODULES)
def test_dependencies_point_downward(name: str) -> None:
    assert name not in reachable(name), "a cycle"
    if not name.startswith(OUTER):
        assert not {one for one in reachable(name) if one.startswith(OUTER)}


@pytest.mark.thorough
@for_each("name", MODULES)
def test_a_folder_uses_only_folders_below_it(name: str) -> None:
    """``FLOORS`` is the order; what is in one row may not use each other."""
    mine = FLOOR[folder(name)]
    above = {
        one
        for one in imported(MODULES[name], nested=False)
        if one in MODULES and folder(one) != folder(name) and FLOOR[folder(one)] >= mine
    }
    assert above == set()


OUTSIDE = [
    name
    for name in MODULES
    if name.startswith(("audit_emit.cli", "audit_emit.console", "audit_emit.integrations."))
]
"""What uses public names, what is in its own folder, and ``_facade``."""


def private_parts(name: str) -> set[str]:
    """The folders of the package, and its private names, that a module imports past ``_facade``."""
    own, found = folder(name), set()
    for node in ast.walk(parsed(MODULES[name])):
        if isinstance(node, ast.Import):
            taken = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            taken = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for one in (one for one in taken if one.startswith("audit_emit.")):
            where = folder(one)
            if where not in {own, "_facade"} and re.search(r"\._(?!_)", one):
                found.add(where)
    return found


@for_each("name", OUTSIDE)
def test_commands_and_adapters_import_nothing_private_but_the_facade(name: str) -> None:
    """What they need besides is added to a module of ``_facade``, or made public."""
    assert private_parts(name) == set()


@cache
def taken_by_those_outside() -> set[tuple[str | None, str]]:
    """Each name that a command, a page or an adapter imports, with the module it is taken from."""
    return {
        (node.module, alias.name)
        for one in OUTSIDE
        for node in ast.walk(parsed(MODULES[one]))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@for_each("name", [one for one in MODULES if folder(one) == "_facade"])
def test_a_facade_only_passes_names_on_which_somebody_uses(name: str) -> None:
    tree = parsed(MODULES[name])
    made = [node for node in tree.body if not isinstance(node, ast.ImportFrom | ast.Expr)]
    assert [ast.unparse(node).partition(" = ")[0] for node in made] in ([], ["__all__"])
    given = set(getattr(importlib.import_module(name), "__all__", ()))
    assert given == {taken for module, taken in taken_by_those_outside() if module == name}


CUTS = {"split", "rsplit", "partition", "rpartition", "find", "rfind", "index", "rindex"}


def cuts_lines(path: Path) -> bool:
    """Whether a module cuts bytes at newlines by itself."""
    text = path.read_text("utf-8")
    return any(word in text for word in ("splitlines", "readlines", 'b"\\n"')) and any(
        node.func.attr in {"splitlines", "readlines"}
        or (node.func.attr in CUTS and any(ast.unparse(one) == "b'\\n'" for one in node.args))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )


@pytest.mark.thorough
def test_only_the_format_knows_where_a_line_ends() -> None:
    """Bytes are cut by a function of ``_format/line_splitter.py``, and text with ``split``.

    The file of a secret is another format: its first line counts.
    """
    cutting = [
        name for name, path in MODULES.items() if folder(name) != "_format" and cuts_lines(path)
    ]
    assert cutting == ["audit_emit._signing.secret_files"]


def test_examples_and_pages_use_public_names_only() -> None:
    root = PACKAGE.parent
    shown = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("integrations/**/*.py")]
    private = re.compile(
        r"audit_emit(\.\w+)*\._(?!version)\w+|from audit_emit(\.\w+)* import _(?!_)"
    )
    assert len(shown) > 20
    assert [path for path in shown if private.search(path.read_text("utf-8"))] == []


@for_each("name", [name for name in MODULES if name.startswith("audit_emit.integrations.")])
def test_an_adapter_does_not_know_the_command_line_nor_the_tests(name: str) -> None:
    assert not {one for one in reachable(name) if one.startswith(OUTER[1:])}


@pytest.mark.thorough
@for_each("name", MODULES)
def test_a_module_says_what_it_is_for(name: str) -> None:
    tree = parsed(MODULES[name])
    assert ast.get_docstring(tree) or not tree.body or name.endswith("._version")


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()


def used_as_an_application_would() -> None:
    """Never called: the type checker reads it, and fails when a signature changes."""
    receipt: audit_emit.Receipt | None = audit_emit.emit(None, "a.b", {"n": 1})
    if receipt is not None:
        _: tuple[str, str, int, str] = (receipt.id, receipt.chain, receipt.seq, receipt.hash)
    strict: audit_emit.Receipt = audit_emit.emit_strict(audit_emit.current_context(), "a.b")
    assert strict

    @audit_emit.audited("secret.rotate", scope="global")
    def rotate(name: str, *, force: bool = False) -> int:
        return len(name) if force else 0

    @audit_emit.bind(user_id="u")
    async def later(name: str) -> bytes:
        return name.encode()

    length: int = rotate("a", force=True)
    with audit_emit.bind(user_id="u") as bound, audit_emit.audited("a.b") as event:
        context: audit_emit.AuditContext = bound
        event.fields["length"] = length
    other: audit_emit.AuditContext = audit_emit.with_user_id(context, "v").replace(user_id="w")
    state: dict[str, Any] = audit_emit.health()
    emitter: audit_emit.Emitter = audit_emit.configure(service="x", processors=[])
    done: bool = emitter.flush(1.0) and audit_emit.flush()
    settings: audit_emit.Settings = emitter.settings
    prefix: str = audit_emit.hash_value_prefix(audit_emit.Secret("x"), 12)
    del other, state, done, settings, prefix, later
