"""Starts the thread that archives a log within the service that writes it."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from importlib.util import find_spec
from typing import Any

from audit_emit._archive.daily import JITTER_SECONDS, hour_of
from audit_emit._archive.service import ArchiverThread
from audit_emit._checkpoints.checkpointer import Record
from audit_emit._core.emitter import Emitter
from audit_emit._core.health_sources import show_archiver, shown_archiver
from audit_emit._runtime.forks import on_fork, renew
from audit_emit._runtime.threads import weak_callback
from audit_emit._settings.archive import archive_settings
from audit_emit.errors import ConfigError, SinkError

_started: weakref.WeakSet[ArchiverThread] = weakref.WeakSet()
_lock = threading.RLock()
"""Held while the archiver of an emitter is looked up and replaced."""


def start(
    daily: str, archive: str, emitter: Emitter, *, jitter: float = JITTER_SECONDS
) -> ArchiverThread:
    """See ``audit_emit.start_archiver``.

    Args:
        jitter: seconds after the hour within which it begins.

    Raises:
        ConfigError, RuntimeError: see there.
    """
    try:
        hour = hour_of(daily)
    except ValueError as error:
        raise ConfigError("daily", str(error)) from None
    settings = archive_settings(os.environ, archive)
    path, ring = emitter.settings.jsonl, emitter.settings.signing_key
    if path is None:
        raise ConfigError("jsonl", "is off: only a log in a file is archived from its service")
    if ring is None or ring.signer is None:
        raise ConfigError("signing_key", "is needed: it signs the manifests of the archive")
    if find_spec("boto3") is None:
        raise ConfigError("archive", "needs boto3: pip install 'audit-emit[s3]'")
    renew()
    with _lock:
        before = shown_archiver(emitter)
        if not isinstance(before, ArchiverThread):
            before = None
        if before is not None and before.is_for(settings, hour):
            return before
        record, tell = _recorder(weakref.ref(emitter)), weak_callback(emitter.tell)
        thread = ArchiverThread(path, settings, ring, hour, record, tell, jitter=jitter)
        thread.start()
        show_archiver(emitter, thread)
        _started.add(thread)
    if before is not None:
        before.stop(0)
    return thread


def _recorder(reference: weakref.ref[Emitter]) -> Record:
    """A function that appends to the chain of an emitter, without keeping the emitter alive."""

    def record(event_type: str, fields: dict[str, Any]) -> None:
        found = reference()
        if found is None:
            raise SinkError("closed")
        found.record_own(event_type, fields)

    return record


def _at_exit() -> None:
    for thread in list(_started):
        thread.stop()


def _after_fork() -> None:
    """Begin with a free lock in a forked child: its holder may not exist there."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


atexit.register(_at_exit)
on_fork(_after_fork)
