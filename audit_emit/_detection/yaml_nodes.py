"""Files of rules in YAML, for which PyYAML is needed (``pip install 'audit-emit[anomalies]'``).

Of YAML only what a rule needs is read: mappings, lists, texts, numbers, booleans. Anchors and tags
are refused, as they let a few lines stand for millions (CWE-776) or for objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from audit_emit._detection.nodes import DEEPEST, Node, Refuse

_PLAIN = (
    (re.compile(r"-?(0|[1-9][0-9]{0,38})"), int),
    (re.compile(r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,30}"), float),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"null|Null|NULL|~|"), lambda _: None),
)
"""The core schema of YAML 1.2.2, 10.3.2, without octal and hexadecimal numbers and infinities."""


def yaml_nodes(text: str, refuse: Refuse) -> list[Node]:
    """The documents of a file of YAML.

    Raises:
        RuleError: it cannot be understood, or a mapping has one key twice.
        ModuleNotFoundError: PyYAML is missing.
    """
    import yaml  # noqa: PLC0415 - an extra

    found: list[Node] = []
    try:
        level = 0
        event: Any
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _refuse_what_stands_for_more(event, refuse)
            # What the parser takes for a bracket grows with how many are open before it.
            level += isinstance(event, yaml.CollectionStartEvent)
            level -= isinstance(event, yaml.CollectionEndEvent)
            if level > DEEPEST + 1:
                raise refuse(event.start_mark.line + 1, f"more than {DEEPEST} levels")
        found.extend(
            _node(document, refuse, 0)
            for document in yaml.compose_all(text, Loader=yaml.SafeLoader)
            if document is not None
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise refuse(line, f"this is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise refuse(1, f"this is not YAML: {type(error).__name__}") from None
    except RecursionError:
        raise refuse(1, f"more than {DEEPEST} levels") from None
    return found


def _refuse_what_stands_for_more(event: Any, refuse: Refuse) -> None:
    line = event.start_mark.line + 1
    if getattr(event, "anchor", None) is not None:
        raise refuse(line, "anchors and aliases are not read; write it out")
    if getattr(event, "tag", None) not in (None, "!"):
        raise refuse(line, "tags are not read; leave it out")


def _node(made: Any, refuse: Refuse, depth: int) -> Node:
    line = made.start_mark.line + 1
    if depth > DEEPEST:
        raise refuse(line, f"more than {DEEPEST} levels")
    if made.id == "mapping":
        return Node(dict(_members(made, refuse, depth)), line)
    if made.id == "sequence":
        return Node([_node(one, refuse, depth + 1) for one in made.value], line)
    if made.style is not None:  # in quotation marks, or a block
        return Node(made.value, line)
    for pattern, value in _PLAIN:
        if pattern.fullmatch(made.value):
            return Node(value(made.value), line)
    return Node(made.value, line)


def _members(made: Any, refuse: Refuse, depth: int) -> Iterator[tuple[str, Node]]:
    seen = set()
    for key, value in made.value:
        line = key.start_mark.line + 1
        if key.id != "scalar":
            raise refuse(line, "a key must be a text")
        if key.value in seen:
            raise refuse(line, f"the key {key.value!r} is there twice")
        seen.add(key.value)
        yield key.value, _node(value, refuse, depth + 1)
