"""Rules out of files: the twelve of this package, or those of a directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from audit_emit._detection.nodes import LONGEST, Node, Refuse, json_node
from audit_emit._detection.parsing import rule_of
from audit_emit._detection.rule import Rule
from audit_emit._detection.ruleset import MOST, RuleSet
from audit_emit._detection.yaml_nodes import yaml_nodes
from audit_emit._version import __version__
from audit_emit.errors import RuleError

BUILT_IN = Path(__file__).with_name("rules")
_YAML = (".yml", ".yaml")


@cache
def built_in() -> RuleSet:
    """The rules of this package."""
    return rules_in(BUILT_IN)


def rules_in(directory: str | os.PathLike[str] | None) -> RuleSet:
    """The rules of a directory, whatever is below it, or of one file; without one, the package's.

    Files end in ``.json`` (one rule, or a list), ``.yml`` or ``.yaml`` (one or several documents);
    others, and what begins with a dot, are passed over.

    Raises:
        RuleError: one of them is not understood.
        ModuleNotFoundError: PyYAML is needed, and missing.
        OSError: a file cannot be read.
    """
    if directory is None:
        return built_in()
    root = Path(directory)
    rules: list[Rule] = []
    digest = hashlib.sha256(__version__.encode())
    for path in _files(root):
        name = path.name if path == root else str(path.relative_to(root))
        text = text_in(path, name)
        digest.update(hashlib.sha256(text.encode()).digest())
        rules += rules_of(text, name)
    if not rules:
        raise RuleError(str(directory), 1, "there is no rule (.json, .yml, .yaml)")
    return RuleSet(rules, digest.hexdigest())


def rules_of(text: str, name: str) -> list[Rule]:
    """The rules in a text.

    Args:
        name: of its file; by its ending it is JSON or YAML.

    Raises:
        RuleError: one of them is not understood.
        ModuleNotFoundError: PyYAML is needed, and missing.
    """
    refuse = Refuse(name)
    return [rule_of(node, refuse) for node in documents(text, refuse)]


def documents(text: str, refuse: Refuse) -> Sequence[Node]:
    """What a file holds: the documents of YAML, the items of a list of JSON."""
    if refuse.file.lower().endswith(_YAML):
        return yaml_nodes(text, refuse)
    node = json_node(text, refuse)
    return node.value if isinstance(node.value, list) else [node]


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return
    count = 0
    for directory, names, files in os.walk(root):
        names[:] = sorted(one for one in names if not one.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or not name.lower().endswith((".json", *_YAML)):
                continue
            count += 1
            if count > MOST:
                raise RuleError(str(root), 1, f"more than {MOST} files")
            yield Path(directory, name)


def text_in(path: Path, name: str) -> str:
    """The text of a file.

    Raises:
        RuleError: it is too long, or not UTF-8.
        OSError: it cannot be read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # of a pipe nothing is waited for
    with open(os.open(path, flags), "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise RuleError(name, 1, f"a file of more than {LONGEST} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RuleError(name, line, "this is not UTF-8") from None
