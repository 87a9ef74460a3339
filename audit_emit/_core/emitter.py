"""The emitter: the pipeline, and the single guard that keeps every failure from the caller."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from math import isnan
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from audit_emit._core.announced import Told
from audit_emit._core.delivery import Delivery
from audit_emit._core.fast_path import Quick, quick_emit, unusual
from audit_emit._core.health import report
from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import Composer
from audit_emit._format.record import Receipt
from audit_emit._runtime import compiled as _compiled
from audit_emit._runtime import forks as _forks
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.failure import Complaints, Counters
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.forks import SAME, on_fork, renew
from audit_emit._runtime.interrupts import is_interrupt, let_through
from audit_emit._runtime.nonblocking_fd import BEGUN, Descriptor
from audit_emit._runtime.observer import Observer
from audit_emit._runtime.threads import weakly
from audit_emit._settings import settings as _config
from audit_emit._settings.arguments import Arguments
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl.store import LOCK_SECONDS, JsonlSink
from audit_emit._stores.stdout.mirror import open_stdout
from audit_emit._version import __version__
from audit_emit.context import VAR, AuditContext, GivenContext, LiveContext
from audit_emit.errors import AuditError, ConfigError, SinkError

if TYPE_CHECKING:
    from audit_emit._checkpoints.schedule import Schedule
    from audit_emit._shipping.thread import ShippingThread
    from audit_emit._stores.postgres.chains import Linked
    from audit_emit._stores.postgres.queue import QueuedChains

FLUSH_SECONDS = 2.0
_GRACE_SECONDS = 0.05
"""How long a sync is waited for when the time for a flush is over before it begins."""

_READER_SECONDS = 1.0
"""How long the thread of the direct store waits for a reader of standard output, for a batch."""

_LONGEST = 1e9
"""Seconds that a lock can be waited for on every platform, and for ever."""


class Emitter(Delivery):
    """Writes audit events to standard output and to a chained file.

    Args:
        settings: made by ``_config.settings``; without it they are made from the arguments.
        arguments: settings by name, as for ``configure``.

    Raises:
        ConfigError: a setting cannot be used.
    """

    unmade: int
    unshown: int
    lossy: deque[tuple[Any, type[Exception]]]
    pending: bool
    file_last_error: str | None

    _is_interrupt = staticmethod(is_interrupt)
    _NO_ROOM = (RecursionError, MemoryError)
    """Why nothing may be called; kept here, as there may be no memory to put them together."""

    def __init__(
        self, settings: _config.Settings | None = None, **arguments: Unpack[Arguments]
    ) -> None:
        if settings is not None and (arguments or not isinstance(settings, _config.Settings)):
            raise ConfigError("settings", "must be Settings, and alone, or settings by name")
        self.settings: _config.Settings = settings or _config.settings(arguments)
        self.counters: Counters = Counters()
        self._complaints = Complaints()
        self.observer: Observer = Observer(self.settings.on_error)
        self.misuse: Misuse = Misuse(self.counters, self._complaints.tell, self.observer)
        self._composer = Composer(
            self.settings, self.counters, self.misuse, self._complaints.tell, self.observer
        )
        self._clock = Clock()
        self.file: JsonlSink | None = self._make_file()
        self.direct: QueuedChains | None = self._make_direct()
        self.shipping: ShippingThread | None = self._make_shipping()
        self.stdout: Descriptor | None = (
            open_stdout(self.settings.stdout_max_bytes, self.settings.stdout)
            if self.settings.stdout and not self.settings.disabled
            else None
        )
        self._disabled = self.settings.disabled
        self._quick = self._make_quick()
        self.checkpoints: Schedule | None = self._make_schedule()
        self.reset()
        self.look_ahead()
        _emitters.add(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Emitter holds locks and descriptors: it cannot be pickled or copied; "
            "make one in each process, with the same settings"
        )

    def _make_file(self) -> JsonlSink | None:
        if self.settings.jsonl is None or self.settings.disabled:
            return None
        return JsonlSink(
            self.settings.jsonl,
            max_bytes=self.settings.max_bytes,
            durability=self.settings.durability,
            clock=self._clock,
            # Nothing of a file's holds the emitter: dropped without a close, both go at once.
            own=partial(_own_prefix, self._composer, self._clock),
            started=weakly(self._started),
            said=weakly(self._said),
            counters=self.counters,
        )

    def _make_direct(self) -> QueuedChains | None:
        settings = self.settings
        if settings.store is None or settings.jsonl is not None or settings.disabled:
            return None
        from audit_emit._stores.postgres.queue import QueuedChains  # noqa: PLC0415 - an extra

        own = partial(_own_prefix, self._composer, self._clock)
        return QueuedChains(
            settings.store,
            service=settings.service,
            durability=settings.durability,
            chain_by=settings.chain_by,
            own=lambda event_type, fields: own(event_type, fields)[0],
            started=weakly(self._begins),
            counters=self.counters,
            show=weakly(self._show_appended),
            tell=self._complaints.tell,
        )

    def _make_shipping(self) -> ShippingThread | None:
        settings = self.settings
        if settings.store is None or settings.jsonl is None or settings.disabled:
            return None
        from audit_emit._shipping.thread import ShippingThread  # noqa: PLC0415 - an extra

        return ShippingThread(settings.store, settings.jsonl, self._complaints.tell)

    def __del__(self) -> None:
        super().__del__()
        with suppress(Exception):
            if self.direct is not None:
                self.direct.close(FLUSH_SECONDS)
            if self.shipping is not None:
                self.shipping.stop(0.0)

    def _begins(self) -> dict[str, Any]:
        return {"pid": os.getpid(), **self._configuration()}

    def _show_appended(self, appended: Sequence[Linked]) -> None:
        """Show what the direct store has appended; called by its thread, which may wait a little.

        A batch comes at once: its reader is given time, once for all of it.
        """
        sink = self.stdout
        deadline = time.monotonic() + _READER_SECONDS
        for linked in appended if sink is not None else ():
            while sink is not None and not sink.write(linked.line):
                if sink.fault == BEGUN or time.monotonic() > deadline:
                    self._not_shown(linked.line)
                    break
                time.sleep(0.002)

    def _emit_unchained(self, part: str, end: str) -> None:
        direct = self.direct
        if direct is None:
            super()._emit_unchained(part, end)
            return
        prefix = self._clock.prefix(part, end)[0]
        if direct.fault is not None and self.stdout is not None:
            # Nobody knows how long it will wait: it is shown at once, without its place.
            self._show(f"{prefix}}}\n".encode())
        direct.put(prefix)

    def _make_quick(self) -> Quick | None:
        if self.file is None:
            return None
        return quick_emit(self._composer, self._clock, self.file, self.stdout)

    @property
    def way(self) -> str:
        """How a usual event is recorded: ``compiled``, or ``interpreted`` and why."""
        if self._quick is not None or _compiled.state != "compiled":
            return _compiled.state
        why = "no file" if self.file is None else unusual(self._composer, self._clock, self.file)
        return f"interpreted ({why})"

    def _make_schedule(self) -> Schedule | None:
        if not self.settings.checkpoint or self.file is None:
            return None
        from audit_emit._checkpoints.schedule import Schedule  # noqa: PLC0415 - only for those who sign

        return Schedule(self)

    def after_fork(self) -> None:
        """Begin a life of its own in a forked child: the backlog is the parent's to write."""
        self._clock.reseed()
        if _forks.PAGE is None:
            self._quick = self._make_quick()  # it has kept the process id
        self.counters.reset()
        self.reset()
        if self.checkpoints is not None:
            self.checkpoints.reset()
        self._complaints.leave_parent()
        if self.stdout is not None:
            self.stdout.leave_parent()
        if self.file is not None:
            self.file.leave_parent()
        if self.direct is not None:
            self.direct.after_fork()

    def _record(  # noqa: C901, PLR0912, PLR0915 - the hot path: a call costs as much as the hash
        self, ctx: Any, event_type: Any, fields: Any = None
    ) -> Receipt | None:
        """Record one event. Never raises an ``Exception``, never waits longer than 50 ms.

        Args:
            ctx: ``None`` (the bound context), an ``AuditContext``, a ``contextvars.Context``, or a
                mapping of members that is laid over the bound context; anything else means the
                bound context, and is said on stderr and counted.
            event_type: such as ``secret.set``; what is not well-formed is recorded as
                ``audit.invalid_event_type``, said on stderr and counted.
            fields: the event's own payload, of any kind; secrets are held back.

        Returns:
            The receipt when the record is in the file, ``None`` when it is not, or not yet.
        """
        receipt = unshown = None
        try:
            if self._disabled:
                return None
            if not SAME[0]:
                renew()
            if ctx is None:
                ctx = VAR.get()
            if type(ctx) is not AuditContext:
                ctx = ctx.context if type(ctx) is LiveContext else self.misuse.understand(ctx)
            part, end = self._composer.compose(ctx, event_type, fields)
            file = self.file
            if file is None:
                self._emit_unchained(part, end)
                return None
            # One deadline for all that this call waits for, and for all that others left to do.
            latest = time.monotonic() + LOCK_SECONDS
            waited = 0.0
            try:
                if self.pending:
                    waited = latest
                    if self._waits(latest):
                        raise SinkError("backlog")
                line, receipt = file.append(part, end, waited)
            except SinkError as error:
                self._defer(part, end, error.reason)
                return None
            unshown = line
            stdout = self.stdout
            if file.segment.unshown:
                # In the order of the chain, as far as there is time.
                file.segment.unshown.append(line)
                unshown = None
                self._show_unshown(latest)
            elif stdout is not None and not stdout.write(line):
                self._not_shown(line)
            unshown = None
            if self.pending:
                self.settle(deadline=latest)
            self.file_fault = None
            return receipt
        except Exception as error:  # noqa: BLE001 - the single guard; it lets interrupts through
            passes = False
            try:
                passes = self._is_interrupt(error)
            except self._NO_ROOM:
                pass
            if receipt is None and not passes:
                # At the recursion limit no method can be called here, but an operator works.
                try:
                    self.lossy += ((event_type, type(error)),)
                except MemoryError:
                    self.unmade += 1
                self.pending = True
            try:
                self._fail(error, unshown)
            except self._NO_ROOM:
                if passes or _observer.strict is not None:
                    raise
                if unshown is not None:
                    self.unshown += 1
                    self.pending = True
            return receipt
        except BaseException as error:
            self._fail(error, unshown)
            raise

    def _show_rest(self, line: bytes, receipt: Receipt) -> Receipt:
        """The rest of ``emit`` for a line that the compiled part has left to be shown."""
        unshown: bytes | None = line
        try:
            latest = time.monotonic() + LOCK_SECONDS
            self._show_unshown(latest)
            stdout = self.stdout
            if stdout is not None and stdout.owes and stdout.last is line:
                self._not_shown(line)  # it was taken in part
            elif self.file is not None and self.file.segment.unshown:
                self._owe_line(line)
            else:
                self._show(line)
            unshown = None
            if self.pending:
                self.settle(deadline=latest)
        except BaseException as error:  # noqa: BLE001 - the same guard
            self._fail(error, unshown)
        return receipt

    def emit_strict(self, ctx: GivenContext, event_type: str, fields: Any = None) -> Receipt:
        """Record one event, or say that it is not recorded: no audit, no action.

        The record is in the file, and synced unless the durability is ``os``, when this returns.
        An event that is refused is neither kept for later nor written to stdout; when only the
        sync failed, it may be in the file all the same.

        Raises:
            AuditError: the record is not in the file with the durability asked for; or the event
                type or the context is none (``invalid-event-type``, ``invalid-context``).
        """
        if self.file is None:
            return self._append_now(ctx, event_type, fields)
        try:
            renew()
            context = self.misuse.checked(ctx, usable_type=self._composer.takes(event_type))
            part, end = self._composer.compose(context, event_type, fields)
            if self.pending and self._waits(time.monotonic() + LOCK_SECONDS):
                raise SinkError("backlog")
            line, receipt = self.file.append(part, end)
            if self.settings.durability != "os" and not self.file.sync():
                raise SinkError(self.file.sync_trouble() or "fsync-failed")
        except SinkError as error:
            reason = error.reason
            if reason == "backlog":  # what it waits for is the reason
                reason = self.file_fault or self.file_last_error or reason
            elif reason != "re-entrant":
                self.file_fault = self.file_last_error = reason
            raise AuditError(
                reason,
                f"the audit record could not be written to {self.settings.jsonl}: {reason}",
            ) from error
        except BaseException as error:
            self._heal()
            let_through(error)
            if issubclass(type(error), AuditError):
                raise  # a wrong call says so itself
            reason = bare_name(type(error))
            raise AuditError(reason, f"the audit record could not be made: {reason}") from error
        try:
            self._show_unshown()
            if self.stdout is not None:
                self._show(line)
            if self.pending:
                self.settle()
        except BaseException as error:  # noqa: BLE001 - the record is in the file; the rest is late
            self._heal()
            let_through(error)
            self.complain("stdout", error)
        self.file_fault = None
        return receipt

    def _append_now(self, ctx: Any, event_type: Any, fields: Any) -> Receipt:
        """``emit_strict`` without a file: for the direct store, which shows the line itself.

        Raises:
            AuditError: see ``emit_strict``.
        """
        direct = self.direct
        if direct is None:
            reason = "disabled" if self._disabled else "no-file"
            raise AuditError(reason, f"emit_strict needs a file, and there is none ({reason})")
        try:
            renew()
            context = self.misuse.checked(ctx, usable_type=self._composer.takes(event_type))
            part, end = self._composer.compose(context, event_type, fields)
            prefix = self._clock.prefix(part, end)[0]
            linked = direct.append_now(prefix)
        except SinkError as error:
            where = direct.address.shown
            raise AuditError(
                error.reason, f"the audit record could not be appended in {where}: {error.reason}"
            ) from error
        except BaseException as error:
            let_through(error)
            if issubclass(type(error), AuditError):
                raise
            reason = bare_name(type(error))
            raise AuditError(reason, f"the audit record could not be made: {reason}") from error
        return Receipt(linked.id or "", linked.chain, linked.seq, linked.hash)

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Write what waits and sync the file.

        Args:
            timeout: seconds to keep trying; what is no number means the default.

        Returns:
            Whether everything is in the file, and durable unless the durability is ``os``.
        """
        deadline = time.monotonic() + _seconds(timeout)
        try:
            renew()
            # Not ``pending``: it is down for an instant while another thread settles.
            while owes := self._has_more():
                # What another thread has written it must also have shown.
                self.settle(at_end=True, patience=max(0.0, deadline - time.monotonic()))
                owes = self._owes()
                if not owes or time.monotonic() >= deadline or self._is_inside():
                    break
                time.sleep(0.01)
            synced = self.file is None or self.settings.durability == "os"
            if not synced and self.file is not None:
                synced = self.file.sync(max(deadline - time.monotonic(), _GRACE_SECONDS))
            self._show_unshown()
            if self.direct is not None:
                synced = self.direct.flush(max(deadline - time.monotonic(), 0.0))
            self._finish_line(deadline)
        except SinkError:
            return False
        except BaseException as error:  # noqa: BLE001 - called at exit and from handlers
            self._heal()
            let_through(error)
            self.complain("flush", error)
            return False
        return synced and not owes

    def finish(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, and sign what was written since the last checkpoint, all within ``timeout``.

        Returns:
            What ``flush`` says.
        """
        timeout = _seconds(timeout)
        deadline = time.monotonic() + timeout
        done = self.flush(timeout)
        if self._give_up_line():
            done = self.flush(max(0.0, deadline - time.monotonic())) and done
        if self.checkpoints is None:
            return done
        self.checkpoints.finish(max(0.0, deadline - time.monotonic()))
        return self.flush(max(0.0, deadline - time.monotonic())) and done

    def record_own(self, event_type: str, fields: dict[str, Any]) -> None:
        """Write a record about the log itself into its chain, for other parts of this library.

        Args:
            event_type: begins with ``audit.``.
            fields: recorded as they are: neither redacted nor limited.

        Raises:
            SinkError: it is not in the file.
        """
        if self.file is None:
            raise SinkError("no-file")
        renew()
        self.file.append_own(event_type, fields)
        self._show_unshown()

    def tell(self, kind: str, message: str) -> None:
        """Say something on stderr, at most once a minute for each ``kind``."""
        self._complaints.tell(kind, message)

    def health(self) -> dict[str, Any]:
        """What works and what does not; see ``_health.report``."""
        renew()
        return report(self)

    def close(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, then give every descriptor back. A later ``emit`` opens them again.

        Returns:
            Whether everything was written.
        """
        deadline = time.monotonic() + _seconds(timeout)
        done = self.finish(timeout)
        try:
            if self.file is not None:
                left = max(deadline - time.monotonic(), _GRACE_SECONDS)
                done = self.file.close(left) and done
            if self.shipping is not None:
                done = self.shipping.stop(max(deadline - time.monotonic(), _GRACE_SECONDS)) and done
            if self.direct is not None:
                done = self.direct.close(max(deadline - time.monotonic(), _GRACE_SECONDS)) and done
            if self.stdout is not None:
                self.stdout.close()
            self._complaints.close()
        except BaseException as error:  # noqa: BLE001 - closing is the end of the road
            self._heal()
            let_through(error)
            self.complain("close", error)
            return False
        return done

    def _settled(self) -> None:
        if self.checkpoints is not None and self.file is not None and self.file.segment.seq:
            self.checkpoints.start()

    def _started(self) -> dict[str, Any] | None:
        """The fields of ``audit.started``, unless this process or a relative has said the same."""
        if self.checkpoints is not None:
            self.pending = True  # so that ``settle`` starts them, without the lock
        if self._beginning() in _told and self.file is not None and self.file.segment.seq:
            return None
        return {"pid": os.getpid(), **self._configuration()}

    def _said(self) -> None:
        """That this process has begun is in the log."""
        _told.add(self._beginning())

    def _configuration(self) -> dict[str, Any]:
        return {
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "version": __version__,
            "config_hash": self.settings.fingerprint(),
            **(self.checkpoints.policy if self.checkpoints is not None else {}),
        }

    def _beginning(self) -> bytes:
        return sha256(repr(self._configuration()).encode("utf-8", "replace")).digest()


def _own_prefix(
    composer: Composer, clock: Clock, event_type: str, fields: dict[str, Any]
) -> tuple[str, int]:
    return clock.prefix(*composer.own(event_type, fields))


def _seconds(timeout: Any) -> float:
    try:
        seconds = float(timeout)
        return FLUSH_SECONDS if isnan(seconds) else min(max(0.0, seconds), _LONGEST)
    except Exception as error:  # noqa: BLE001 - anything may be given, and flush never raises
        let_through(error)
        return FLUSH_SECONDS


if _compiled.state != "compiled":
    # Else ``EmitterState`` has an ``emit`` that asks the compiled part before it calls ``_record``.
    Emitter.emit = Emitter._record  # type: ignore[assignment, method-assign] # noqa: SLF001

_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()
_told = Told()


def _before_fork() -> None:
    if _emitters:
        _told.share()


def _after_fork() -> None:
    _told.inherit()
    for emitter in list(_emitters):
        emitter.after_fork()


def _at_exit() -> None:
    deadline = time.monotonic() + FLUSH_SECONDS
    for emitter in list(_emitters):
        emitter.finish(max(deadline - time.monotonic(), _GRACE_SECONDS))
        emitter.give_up()
        if emitter.direct is not None:
            emitter.direct.give_up()


on_fork(_after_fork)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
atexit.register(_at_exit)
