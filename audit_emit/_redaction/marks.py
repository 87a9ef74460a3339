"""Members that a dict itself marks as secret: plans and states of Terraform, Kubernetes."""

from __future__ import annotations

from typing import Any

from audit_emit._redaction.names import fold
from audit_emit._redaction.words import MARKED_SECRET, VALUE_NAMES

__all__ = ["MARK", "SENSITIVE", "held_by_mark", "marked_by"]

MARK = "sensitive_"
SENSITIVE = "_sensitive"
"""``{"after": {…}, "after_sensitive": {"x": true}}``, as in a plan of Terraform."""
_NONE: frozenset[str] = frozenset()
_OF_MANIFEST = frozenset(("data", "stringdata"))
_MAX_MARKED = 256
_MAX_DEPTH = 3
_MOST = 16


def marked_by(name: str, value: Any) -> dict[str, frozenset[str]] | None:
    """What a member says of others beside it: by their names, which members of them are secret.

    ``None`` where it says nothing.
    """
    kind = type(value)
    if name.endswith(SENSITIVE) and kind is dict:
        beside, marked = name.removesuffix(SENSITIVE), _marked(value)
    elif name.startswith(MARK) and (kind is dict or kind is list):
        beside, marked = name.removeprefix(MARK), _marked(value)
    elif name == "objectRef" and kind is dict and value.get("resource") == "secrets":
        return dict.fromkeys(("requestObject", "responseObject"), _OF_MANIFEST)
    elif name == "kind" and kind is str and value == "SecretList":
        return {"items": _OF_MANIFEST}
    else:
        return None
    return {beside: marked} if marked else None


def held_by_mark(name: str) -> frozenset[str]:
    """What is held back by ``"sensitive": true``, and ``"after_sensitive": true`` of Terraform."""
    if name in MARKED_SECRET:
        return VALUE_NAMES
    return frozenset((name.removesuffix("sensitive"),)) if name.endswith("sensitive") else _NONE


def _marked(value: Any) -> frozenset[str]:
    """The members that are marked as sensitive, folded: in a plan, or in the state of Terraform."""
    if type(value) is dict:
        return frozenset(
            fold(name)
            for name in list(value)[:_MAX_MARKED]
            if type(name) is str and _has_mark(value.get(name))
        )
    steps = [step for path in value[:_MAX_MARKED] if type(path) is list for step in path[:1]]
    return frozenset(
        fold(step["value"])
        for step in steps
        if type(step) is dict and type(step.get("value")) is str
    )


def _has_mark(value: Any, depth: int = 0) -> bool:
    """Whether something within is marked."""
    if type(value) is dict and depth < _MAX_DEPTH:
        return any(_has_mark(inner, depth + 1) for inner in list(value.values())[:_MOST])
    if type(value) is list and depth < _MAX_DEPTH:
        return any(_has_mark(inner, depth + 1) for inner in value[:_MOST])
    return bool(value)
