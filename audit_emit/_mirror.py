"""Copies of bound ids in structlog's context variables, where structlog is loaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["mirror", "unmirror"]


def mirror(ids: Mapping[str, Any]) -> Any:
    """Bind ``ids`` there too; what this returns is for ``unmirror``."""
    module = sys.modules.get("structlog.contextvars")
    return module.bind_contextvars(**ids) if module is not None else None


def unmirror(tokens: Any) -> None:
    """Restore what was bound before ``mirror``."""
    if tokens:
        module = sys.modules["structlog.contextvars"]
        try:
            module.reset_contextvars(**tokens)
        except ValueError:
            pass  # left in another context: nothing was bound in it
