"""``Emitter.flush``, ``finish`` and ``close``: everything is written, within a given time."""

from __future__ import annotations

import time
from math import isnan
from time import monotonic
from typing import TYPE_CHECKING, Any

from audit_emit._core import ending, owed
from audit_emit._core.complaints import trouble
from audit_emit._core.life import GRACE_SECONDS
from audit_emit._runtime.forks import renew
from audit_emit._runtime.interrupts import let_through
from audit_emit.errors import SinkError

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["FLUSH_SECONDS", "close", "finish", "flush"]

FLUSH_SECONDS = 2.0

_LONGEST = 1e9
"""Seconds, for longer timeouts: some platforms accept no longer wait for a lock."""


def flush(emitter: Emitter, timeout: float) -> bool:
    """See ``Emitter.flush``."""
    deadline = monotonic() + _seconds(timeout)
    outbox, store = emitter.outbox, emitter.store
    try:
        renew()
        # Not ``pending``: it is false for an instant while another thread drains.
        while owes := owed.has_more(outbox):
            # This waits for another thread that drains, which then has also shown what it wrote.
            outbox.drain(at_end=True, timeout=max(0.0, deadline - monotonic()))
            owes = owed.owes(outbox)
            if not owes or monotonic() >= deadline or outbox.is_inside():
                break
            time.sleep(0.01)
        synced = store is None or emitter.settings.durability == "os"
        if not synced and store is not None:
            synced = store.sync(max(deadline - monotonic(), GRACE_SECONDS))
        outbox.show_rest(deadline)
    except SinkError:
        return False
    except BaseException as error:  # noqa: BLE001 - called at exit and from handlers
        outbox.heal()
        let_through(error)
        trouble(outbox, "flush", error)
        return False
    return synced and not owes


def finish(emitter: Emitter, timeout: float) -> bool:
    """See ``Emitter.finish``."""
    timeout = _seconds(timeout)
    deadline = monotonic() + timeout
    done = emitter.flush(timeout)
    if ending.give_up_line(emitter.outbox):
        done = emitter.flush(max(0.0, deadline - monotonic())) and done
    if emitter.checkpoints is None:
        return done
    emitter.checkpoints.finish(max(0.0, deadline - monotonic()))
    return emitter.flush(max(0.0, deadline - monotonic())) and done


def close(emitter: Emitter, timeout: float) -> bool:
    """See ``Emitter.close``."""
    deadline = monotonic() + _seconds(timeout)
    done = emitter.finish(timeout)
    try:
        if emitter.store is not None:
            done = emitter.store.close(max(deadline - monotonic(), GRACE_SECONDS)) and done
        if emitter.shipping is not None:
            done = emitter.shipping.stop(max(deadline - monotonic(), GRACE_SECONDS)) and done
        if emitter.mirror is not None:
            emitter.mirror.close()
        emitter.builder.close()
        emitter.outbox.stderr_log.close()
    except BaseException as error:  # noqa: BLE001 - nothing comes after closing
        emitter.outbox.heal()
        let_through(error)
        trouble(emitter.outbox, "close", error)
        return False
    return done


def _seconds(timeout: Any) -> float:
    try:
        seconds = float(timeout)
        return FLUSH_SECONDS if isnan(seconds) else min(max(0.0, seconds), _LONGEST)
    except Exception as error:  # noqa: BLE001 - anything may be given, and flush never raises
        let_through(error)
        return FLUSH_SECONDS
