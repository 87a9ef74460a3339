"""The compiled part, where it was built; without it, code in Python does the same, slower.

It has functions that take values and return values (docs/compiled.md): ``encode_plain``, which
``encoder`` makes from the rules; ``append``; and ``linked``, ``parents`` and ``copied``, with which
logs are verified.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from audit_emit._runtime import native_sources

if TYPE_CHECKING:
    from audit_emit._speedups import copied, encoder, linked, parents
else:
    copied = encoder = linked = parents = None

__all__ = ["STALE", "SWITCH", "append", "copied", "encoder", "linked", "parents", "state"]

SWITCH = "AUDIT_EMIT_SPEEDUPS"
"""``0`` in this variable of the environment, at import, has Python used in its place."""

state = "compiled"
"""``compiled``, or why it is not used."""

append: Callable[..., tuple[Any, bytes, int, int, int, int, bool] | None] | None = None

STALE = "interpreted (the compiled part is of other sources; `pip install --editable .` renews it)"
"""A source tree has changed since the compiled part was built: the two may not fit any more."""


def _is_stale(made_of: str) -> bool:
    """Whether the sources in this package are not those that the compiled part was built from."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        return native_sources.digest(os.path.join(package, "_native")) not in {"", made_of}
    except OSError:  # one of them cannot be read, and Python needs none of them
        return True


if os.environ.get(SWITCH, "1").strip().lower() in {"0", "false", "no", "off"}:
    state = f"interpreted ({SWITCH} is off)"
else:
    try:
        _part = import_module("audit_emit._speedups")
    except ModuleNotFoundError:
        state = "interpreted (the compiled part was not built)"
    except ImportError as error:
        state = f"interpreted (the compiled part cannot be loaded: {error})"
    else:
        # A build that is too old has no ``SOURCES``, and may lack one of the functions.
        if _is_stale(getattr(_part, "SOURCES", "")):
            state = STALE
        else:
            from audit_emit._speedups import append, copied, encoder, linked, parents
