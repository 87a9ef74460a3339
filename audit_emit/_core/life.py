"""The emitters of this process, and what is done for all of them at a fork and at its end."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import TYPE_CHECKING

from audit_emit._core import ending
from audit_emit._core.beginning import ANNOUNCED
from audit_emit._runtime.forks import on_fork

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["GRACE_SECONDS", "begin"]

EXIT_SECONDS = 2.0
GRACE_SECONDS = 0.05
"""How long a sync is waited for when the time for a flush is over before it begins."""

_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()


def begin(emitter: Emitter) -> None:
    """Register an emitter, without keeping it alive."""
    _emitters.add(emitter)


def _before_fork() -> None:
    if _emitters:
        ANNOUNCED.share()


def _after_fork() -> None:
    ANNOUNCED.inherit()
    for emitter in list(_emitters):
        emitter.after_fork()


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for emitter in list(_emitters):
        emitter.finish(max(deadline - time.monotonic(), GRACE_SECONDS))
        ending.give_up(emitter.outbox)


on_fork(_after_fork)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
atexit.register(_at_exit)
