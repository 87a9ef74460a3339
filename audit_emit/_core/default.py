"""The process-wide emitter behind ``audit_emit.emit`` and its siblings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from audit_emit import context
from audit_emit._core.emitter import Emitter
from audit_emit._core.flushing import FLUSH_SECONDS
from audit_emit._format.record import Receipt
from audit_emit._redaction import redactor as redact
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.failure import StderrLog
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.forks import on_fork, renew
from audit_emit._runtime.interrupts import Acquisition, let_through
from audit_emit._settings import settings as _config
from audit_emit._settings.arguments import Arguments
from audit_emit.context import GivenContext
from audit_emit.errors import ConfigError

if TYPE_CHECKING:
    from audit_emit._archive.service import ArchiverThread
    from audit_emit.log import AuditLog
else:
    ArchiverThread = AuditLog = Any
    """A name for annotations that are resolved at run time; nothing is imported for it."""

_lock = threading.RLock()
_LOCK_SECONDS = 0.045
_current: Emitter | None = None
_stderr_log: StderrLog | None = None
_unmade = 0
"""Number of events that could not be made, for lack of memory or stack, before the emitter was."""
redirect: Callable[[Emitter], Emitter] | None = None
"""Called in place of ``set_emitter`` while ``audit_emit.testing.capture`` collects the events."""


def configure(**settings: Unpack[Arguments]) -> Emitter:
    """Make the process-wide emitter, from arguments first and the environment second.

    Args:
        settings: ``service``, ``jsonl`` (a path, or ``"off"``), ``stdout``, ``stdout_max_bytes``,
            ``store``, ``store_file``, ``chain_by``, ``durability`` (``os``,
            ``group``, ``always``), ``max_bytes``, ``hash_key``, ``hash_key_file``, ``disabled``,
            ``processors``, ``on_error``, ``secret_keys``, ``safe_keys``, ``redaction_rules``,
            ``redaction_file``,
            ``hide_access_key_ids``, ``redaction_report``, ``checkpoint``, ``signing_key``,
            ``signing_key_file``, ``origin``, ``checkpoint_state``, ``schemas``,
            ``subject_keys``, ``subject_actors``; see ``docs/configuration.md``.

    Returns:
        The new emitter. One that was there before is flushed and closed.

    Raises:
        ConfigError: a setting cannot be used; the emitter from before stays in place.
    """
    emitter = Emitter(**settings)
    if not emitter.settings.disabled:
        emitter.builder.prepare()
    return set_emitter(emitter)


def set_emitter(emitter: Emitter) -> Emitter:
    """Make ``emitter`` the process-wide one, close the one before, and return ``emitter``."""
    if redirect is not None:
        return redirect(emitter)
    old = swap_emitter(emitter)
    if old is not None and old is not emitter:
        old.close()
    return emitter


def swap_emitter(emitter: Emitter | None) -> Emitter | None:
    """Make ``emitter`` the process-wide one and return the one before, which stays open."""
    global _current, _unmade  # noqa: PLW0603
    if emitter is not None and _unmade:
        emitter.outbox.unmade += _unmade
        emitter.outbox.pending = True
        _unmade = 0
    old, _current = _current, emitter
    return old


def current_emitter() -> Emitter | None:
    """The process-wide emitter; ``None`` where nobody has configured one or emitted yet."""
    return _current


def get_emitter() -> Emitter:
    """The process-wide emitter; made from the environment if there is none yet.

    A bad value in the environment is reported on stderr, and its default is used.
    """
    found = _current
    if found is not None:
        return found
    renew()
    # Re-entrant and bounded: a signal handler may emit while the first emit configures.
    lock, acquisition = _lock, Acquisition()
    try:
        acquisition.acquire(lock, _LOCK_SECONDS)
        return _current or set_emitter(Emitter(_config.settings({}, on_error=_tell)))
    finally:
        if True in acquisition:
            lock.release()


def _after_fork() -> None:
    """Begin with a free lock in a forked child: its holder may not exist there."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    if _stderr_log is not None:
        _stderr_log.leave_parent()


def emit(ctx: GivenContext, event_type: str, fields: Any = None) -> Receipt | None:
    """Record one event; see ``Emitter.emit``. Never raises an ``Exception`` of its own."""
    global _unmade  # noqa: PLW0603
    emitter = _current
    try:
        if emitter is None:
            emitter = get_emitter()
        return emitter.emit(ctx, event_type, fields)
    except Exception as error:
        no_room = error.__class__ is RecursionError or error.__class__ is MemoryError
        if emitter is None:
            if no_room:
                _unmade += 1
            elif _tell is not None:  # at its very end the interpreter takes the globals away
                let_through(error)
                _tell(error)
            return None
        if _observer.strict is not None or not no_room:
            raise  # an interrupt: the emitter stops everything else
        # No function can be called here, but an operator works.
        try:
            emitter.outbox.lossy += ((event_type, error.__class__),)
        except MemoryError:
            emitter.outbox.unmade += 1
        emitter.outbox.pending = True
        return None


def emit_strict(ctx: GivenContext, event_type: str, fields: Any = None) -> Receipt:
    """Record one event or raise ``AuditError``; see ``Emitter.emit_strict``."""
    return get_emitter().emit_strict(ctx, event_type, fields)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Append what waits and sync the store, for at most ``timeout`` seconds. Never raises.

    Returns:
        As ``Emitter.flush``; true where there is no emitter.
    """
    return _current is None or _current.flush(timeout)


def health() -> dict[str, Any]:
    """The state of the process-wide emitter; see ``docs/operations.md``."""
    return get_emitter().health()


def hash_value_prefix(value: Any, n: int = 8) -> str:
    """The first ``n`` hex digits (1 to 64) of the SHA-256 of a value, to tell values apart.

    Keyed (HMAC-SHA256) when a hash key is configured, so that nobody can guess short values.
    Never raises.
    """
    try:
        key = get_emitter().settings.hash_key
    except Exception as error:  # noqa: BLE001 - called in handlers, as emit is
        let_through(error)
        _tell(error)
        return ""
    return redact.hash_value_prefix(value, n, key=key)


def open_log(
    where: str | os.PathLike[str] | None = None, *, keys: Sequence[str] = (), archive: str = ""
) -> AuditLog:
    """Open an existing log to read, query and verify it.

    Args, returned object and errors are those of ``audit_emit.log.open_log``.
    """
    from audit_emit import log  # noqa: PLC0415 - not needed to emit

    return log.open_log(where, keys=keys, archive=archive)


def start_archiver(
    daily: str = "03:00", *, archive: str = "", emitter: Emitter | None = None
) -> ArchiverThread:
    """Archive the log of this service once a day, in a thread of this process.

    Any number of processes of a service may call this: one of them archives each day. The thread
    does nothing unless ``AUDIT_EMIT_ARCHIVE_ENABLED`` is 1, and it never deletes anything.
    ``health()["archive"]`` shows its state. Needs the extra ``s3``; see ``docs/archive.md``.

    An emitter has one archiver. The same call again returns it; a call with another hour or archive
    replaces it, and the one before ends after the part that it is archiving.

    Args:
        daily: hour and minute in UTC, such as ``03:00``; it begins within a quarter of an hour.
        archive: ``s3://bucket/prefix``; by default ``AUDIT_EMIT_ARCHIVE_URL``.
        emitter: of the log; the process-wide one by default.

    Returns:
        The thread. ``stop(seconds)`` ends it after the part that it is archiving, waits at most
        that long, and returns whether it has ended.

    Raises:
        ConfigError: the emitter has no file or no key that signs, a setting of the archive cannot
            be used, or boto3 is missing.
        RuntimeError: the system starts no further thread; an archiver from before continues.
    """
    from audit_emit._archive import starting  # noqa: PLC0415 - not needed to emit

    return starting.start(daily, archive, emitter or get_emitter())


def _mistaken(mistake: str) -> None:
    try:
        misuse = get_emitter().misuse
    except Exception as error:  # noqa: BLE001 - called where emit is
        let_through(error)
        _tell(error)
        return
    misuse.context(mistake)


context.on_mistake = _mistaken


def _tell(error: Exception) -> None:
    if isinstance(error, ConfigError):
        message = f"{error}; the default is used"
    else:
        message = f"no emitter could be made: {bare_name(type(error))}"
    global _stderr_log  # noqa: PLW0603
    if _stderr_log is None:
        _stderr_log = StderrLog()
    _stderr_log.report(message, message)


on_fork(_after_fork)
