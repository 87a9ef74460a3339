"""Who wants to know of every record that is in the chain of a file: middlewares that hand it on."""

from __future__ import annotations

from collections.abc import Callable

from audit_emit._format.record import Receipt

__all__ = ["NOTED"]

NOTED: list[Callable[[Receipt], object]] = []
"""Empty, or the one function that is called with each receipt, in the context of the caller.

It never raises, and takes no time: ``emit`` calls it. Nothing is asked while this is empty.
"""
