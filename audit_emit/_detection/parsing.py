"""Rules out of documents: what is not understood is refused, with its line. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from audit_emit._detection.alert import LEVELS, OWN
from audit_emit._detection.conditions import condition
from audit_emit._detection.correlations import correlation
from audit_emit._detection.expressions import And, Keywords, Or, Tree
from audit_emit._detection.members import Members
from audit_emit._detection.modifiers import item
from audit_emit._detection.nodes import Node, Refuse
from audit_emit._detection.rule import Rule
from audit_emit._detection.texts import Pattern
from audit_emit._detection.values import text_of

STATUSES = ("stable", "test", "experimental", "deprecated", "unsupported")
_PASSED_OVER = ("related", "taxonomy", "date", "modified", "license", "fields", "scope")
"""Members of Sigma that say nothing about what is looked for."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PRODUCT = "audit_emit"


def rule_of(node: Node, refuse: Refuse) -> Rule:
    """One rule.

    Raises:
        RuleError: something in it is not understood.
    """
    found = Members(node, "a rule", refuse)
    title = found.text("title")
    about = {
        "title": title,
        "id": found.text("id", ""),
        "level": found.one_of("level", LEVELS, "medium"),
        "status": found.one_of("status", STATUSES, "experimental"),
        "description": found.text("description", ""),
        "author": found.text("author", ""),
        "tags": found.texts("tags"),
        "falsepositives": found.texts("falsepositives", one=True),
        "references": found.texts("references"),
    }
    if about["id"] and not _UUID.fullmatch(str(about["id"])):
        raise refuse(node.line, f"the id {about['id']!r} is no UUID")
    name = found.text("name", "") or str(about["id"])
    if not _NAME.fullmatch(name):
        raise refuse(node.line, "a rule needs a 'name' of letters, digits, _, . and -, or an 'id'")
    if name in OWN:
        raise refuse(node.line, f"{name!r} is the name of a finding about the log")
    for one in _PASSED_OVER:
        found.take(one)
    own = found.take(_PRODUCT)
    ours = None if own is None else Members(own, repr(_PRODUCT), refuse)
    for one in ("reason", "evasion"):
        about[one] = ours.text(one, "") if ours is not None else ""
    correlating = found.take("correlation")
    if correlating is not None:
        _refuse_both(found, refuse)
        logic: dict[str, Any] = correlation(correlating, ours, str(about["status"]), refuse)
    else:
        _check_source(found, refuse)
        logic = {"tree": _detection(found.need("detection"), refuse)}
    if ours is not None:
        ours.done()
    found.done()
    return Rule(name=name, file=refuse.file, line=node.line, **about, **logic)  # type: ignore[arg-type]


def _refuse_both(found: Members, refuse: Refuse) -> None:
    for one in ("detection", "logsource"):
        if one in found:
            raise refuse(found.line, f"a rule with 'correlation' has no {one!r}")


def _check_source(found: Members, refuse: Refuse) -> None:
    """A rule for another product would be without effect, or mean something else."""
    node = found.take("logsource")
    if node is None:
        return
    source = Members(node, "'logsource'", refuse)
    product = source.text("product", "")
    if product and product != _PRODUCT:
        raise refuse(node.line, f"the rule is for {product!r}, and not for {_PRODUCT!r}")
    for one in ("category", "service", "definition"):
        source.take(one)
    source.done()


def _detection(node: Node, refuse: Refuse) -> Tree:
    found = Members(node, "'detection'", refuse)
    how = found.need("condition")
    if found.take("timeframe") is not None:
        raise refuse(node.line, "'timeframe' is no longer Sigma; write a correlation")
    selections = {name: _selection(one, name, refuse) for name, one in found.rest().items()}
    if not selections:
        raise refuse(node.line, "'detection' has no selection")
    return condition(how, selections, refuse)


def _selection(node: Node, name: str, refuse: Refuse) -> Tree:
    if isinstance(node.value, dict):
        return _mapping(node, refuse)
    values: Sequence[Node] = node.value if isinstance(node.value, list) else [node]
    if not values:
        raise refuse(node.line, f"the selection {name!r} is empty")
    if any(isinstance(one.value, dict) for one in values):
        parts = []
        for one in values:
            if not isinstance(one.value, dict):
                raise refuse(one.line, f"{name!r} mixes mappings and keywords")
            parts.append(_mapping(one, refuse))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))
    return _keywords(values, refuse, every=False)


def _mapping(node: Node, refuse: Refuse) -> Tree:
    parts: list[Tree] = []
    for key, one in node.value.items():
        if key == "|all" and isinstance(one.value, list):
            parts.append(_keywords(one.value, refuse, every=True))
        else:
            parts.append(item(key, one, refuse))
    if not parts:
        raise refuse(node.line, "a selection is empty")
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _keywords(values: Sequence[Node], refuse: Refuse, *, every: bool) -> Tree:
    tests = []
    for one in values:
        text = text_of(one.value)
        if not text:
            raise refuse(one.line, "a keyword must be a text")
        pattern = Pattern.of(text).within(before=True, after=True)
        tests.append(pattern.test(cased=False))
    return Keywords(tuple(tests), every=every)
