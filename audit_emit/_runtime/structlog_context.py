"""Copies bound ids into structlog's context variables, if the application has loaded structlog."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from audit_emit._runtime.interrupts import let_through

__all__ = ["is_mirrored", "mirror", "unmirror"]


def is_mirrored() -> bool:
    """Whether the application has loaded structlog's context variables."""
    return "structlog.contextvars" in sys.modules


def mirror(ids: Mapping[str, Any], others: Iterable[str] = ()) -> Any:
    """Bind ids in structlog's context variables.

    Args:
        ids: the values by name; ``...`` unbinds a name.
        others: further names, which are not changed now, but are restored by ``unmirror``, too.

    Returns:
        The argument for ``unmirror``.
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
            # Called in another context than ``mirror``: nothing was bound in this one.
            let_through(error)
