"""The compiled leaf, where it was built: without it, Python does the same, slower.

It has functions that take values and return values (docs/compiled.md): ``encode_plain``, which
``encoder`` makes from the rules; ``append``; ``linked`` and ``copied``, for those who verify.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit_emit._speedups import copied, encoder, linked
else:
    copied = encoder = linked = None

__all__ = ["SWITCH", "append", "copied", "encoder", "linked", "state"]

SWITCH = "AUDIT_EMIT_SPEEDUPS"
"""``0`` in the environment, when this is imported, keeps the compiled part out."""

state = "compiled"
"""``compiled``, or why it is not used."""

append: Callable[..., tuple[Any, bytes, int, int, int, int, bool] | None] | None = None

if os.environ.get(SWITCH, "1").strip().lower() in {"0", "false", "no", "off"}:
    state = f"interpreted ({SWITCH} is off)"
else:
    try:
        from audit_emit._speedups import append, copied, encoder, linked
    except ModuleNotFoundError:
        state = "interpreted (the compiled part was not built)"
    except ImportError as error:
        state = f"interpreted (the compiled part cannot be loaded: {error})"
