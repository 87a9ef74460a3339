"""Emitters that take the way in Python also where there is a compiled part.

For tests that reach into that way: they put an ``os`` of their own in its place, or interrupt it
between two instructions.
"""

from __future__ import annotations

from audit_emit import Emitter
from audit_emit._stores.base import nothing_done
from audit_emit._stores.jsonl.store import JsonlStore


def interpreted(emitter: Emitter) -> Emitter:
    """The same emitter, without the compiled part."""
    if isinstance(emitter.store, JsonlStore):
        emitter.store.record = nothing_done
    return emitter
