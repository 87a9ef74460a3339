"""Emitters that take the way in Python also where there is a compiled part.

For tests that reach into that way: they put an ``os`` of their own in its place, or interrupt it
between two instructions.
"""

from __future__ import annotations

from audit_emit import Emitter


def interpreted(emitter: Emitter) -> Emitter:
    """The same emitter, without the compiled part."""
    emitter._quick = None
    return emitter
