"""Receipts of all records in the chain of a file, for a middleware that returns them to clients."""

from __future__ import annotations

from collections.abc import Callable

from audit_emit._format.record import Receipt

__all__ = ["NOTED"]

NOTED: list[Callable[[Receipt], object]] = []
"""Empty, or the one function that is called with each receipt, in the context of the caller.

The function must be fast and must not raise, as ``emit`` calls it.
"""
