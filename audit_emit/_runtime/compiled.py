"""The compiled part of the emit path, where it was built: without it, Python does the same, slower.

``Quick`` does it (``_core/fast_path.py``), and ``EmitterState.emit`` asks it first. The other
types hold the attributes that it shares with the Python classes which derive from them.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit_emit._speedups import (
        ClockState,
        DescriptorState,
        EmitterState,
        Mutex,
        Quick,
        SegmentState,
        SinkState,
        Table,
        linked,
    )
else:
    Mutex = Quick = Table = linked = None
    ClockState = DescriptorState = EmitterState = SegmentState = SinkState = object

__all__ = [
    "SWITCH",
    "ClockState",
    "DescriptorState",
    "EmitterState",
    "Mutex",
    "SegmentState",
    "SinkState",
    "Table",
    "linked",
    "make",
    "make_mutex",
    "state",
    "threads_are_greenlets",
]

SWITCH = "AUDIT_EMIT_SPEEDUPS"
"""``0`` in the environment, when this is imported, keeps the compiled part out."""

state = "compiled"
"""``compiled``, or why it is not used."""

if os.environ.get(SWITCH, "1").strip().lower() in {"0", "false", "no", "off"}:
    state = f"interpreted ({SWITCH} is off)"
else:
    try:
        from audit_emit._speedups import (
            ClockState,
            DescriptorState,
            EmitterState,
            Mutex,
            Quick,
            SegmentState,
            SinkState,
            Table,
            linked,
        )
    except ModuleNotFoundError:
        state = "interpreted (the compiled part was not built)"
    except ImportError as error:
        state = f"interpreted (the compiled part cannot be loaded: {error})"


def make(**needed: Any) -> Quick | None:
    """What ``Quick`` makes of its arguments; ``None`` where there is no compiled part for them."""
    global state  # noqa: PLW0603
    if Quick is None or threads_are_greenlets():
        return None
    try:
        return Quick(**needed)
    except TypeError:
        state = "interpreted (the compiled part is of another version: install again)"
        return None


def make_mutex() -> Mutex:
    """A re-entrant lock: the one that the compiled part can take, where it may be used."""
    if Quick is None or threads_are_greenlets():
        return threading.RLock()  # type: ignore[return-value] # the same methods
    return Mutex()


def threads_are_greenlets() -> bool:
    """Whether gevent has made threads its own: the compiled part knows those of the system only."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
