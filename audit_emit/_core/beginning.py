"""``audit.started``: the record in which a process describes itself when it begins to write."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from audit_emit._core.announced import SharedDigests
from audit_emit._settings.settings import Settings
from audit_emit._version import __version__

if TYPE_CHECKING:
    from audit_emit._checkpoints.schedule import Schedule
    from audit_emit._core.outbox import Outbox

__all__ = ["ANNOUNCED", "Beginning"]

ANNOUNCED = SharedDigests()
"""Digests of the ``audit.started`` that this process, its parent and its siblings have written."""


def _nothing() -> None:
    return None


class Beginning:
    """The first record of one emitter in each process.

    Args:
        settings: of the emitter.
        announces: whether the record is written.
    """

    def __init__(self, settings: Settings, *, announces: bool) -> None:
        self._settings = settings
        self._announces = announces
        self._outbox: Callable[[], Outbox | None] = _nothing
        self._checkpoints: Schedule | None = None

    def serve(self, outbox: Outbox, checkpoints: Schedule | None) -> None:
        """Take weak references to parts of the emitter; called once."""
        self._outbox, self._checkpoints = weakref.ref(outbox), checkpoints

    def started(self) -> dict[str, Any] | None:
        """The fields of the record; ``None`` if a parent or sibling has written the same."""
        outbox = self._outbox()
        if self._checkpoints is not None and outbox is not None:
            outbox.pending = True  # so that a drain starts the checkpoints, without a lock
        if not self._announces:
            return None
        store = outbox.store if outbox is not None else None
        if self._digest() in ANNOUNCED and store is not None and store.head() is not None:
            return None
        return {"pid": os.getpid(), **self.configuration()}

    def said(self) -> None:
        """Remember that the record is in the store."""
        ANNOUNCED.add(self._digest())

    def configuration(self) -> dict[str, Any]:
        """The fields of the record besides ``pid``: the same for all processes of a service."""
        return {
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "version": __version__,
            "config_hash": self._settings.fingerprint(),
            **(self._checkpoints.policy if self._checkpoints is not None else {}),
        }

    def _digest(self) -> bytes:
        return sha256(repr(self.configuration()).encode("utf-8", "replace")).digest()
