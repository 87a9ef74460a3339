"""Copies of bound ids in structlog's context variables, where structlog is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from audit_emit._runtime.interrupts import let_through

__all__ = ["mirror", "unmirror"]


def mirror(ids: Mapping[str, Any], others: Iterable[str] = ()) -> Any:
    """Bind ``ids`` there too.

    Args:
        ids: by name; ``...`` is unbound.
        others: names that stay as they are, and are restored as well if they change meanwhile.

    Returns:
        What ``unmirror`` takes.
    """
    module = sys.modules.get("structlog.contextvars")
    if module is None:
        return None
    if others:
        bound = module.get_contextvars()
        ids = {**{name: bound.get(name, ...) for name in others}, **ids}
    return module.bind_contextvars(**ids)


def unmirror(tokens: Any) -> None:
    """Restore what was bound before ``mirror``."""
    if tokens:
        module = sys.modules["structlog.contextvars"]
        try:
            module.reset_contextvars(**tokens)
        except ValueError as error:
            let_through(error)
            # left in another context: nothing was bound in it
