"""The emitter: the pipeline, and the single guard that keeps every failure from the caller."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from audit_emit._core import ending, flushing, life, own_records, strict
from audit_emit._core.appender import Appender
from audit_emit._core.background import Worker
from audit_emit._core.beginning import Beginning
from audit_emit._core.builders import builder_of
from audit_emit._core.complaints import complain
from audit_emit._core.database import shipping_of
from audit_emit._core.failing import fail
from audit_emit._core.flushing import FLUSH_SECONDS
from audit_emit._core.health import report
from audit_emit._core.misuse import Misuse
from audit_emit._core.noted import NOTED
from audit_emit._core.outbox import LOCK_SECONDS, Outbox
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._format.record import Receipt
from audit_emit._runtime import compiled
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.failure import Counters, StderrLog
from audit_emit._runtime.forks import SAME, renew
from audit_emit._runtime.interrupts import is_interrupt
from audit_emit._runtime.observer import Observer
from audit_emit._runtime.threads import weak_callback
from audit_emit._settings import settings as _config
from audit_emit._settings.arguments import Arguments
from audit_emit._stores.base import ChainStore, Draft, Lent, Mirror
from audit_emit._stores.clock import Clock
from audit_emit._stores.factory import open_mirror, open_store
from audit_emit.context import GivenContext
from audit_emit.errors import ConfigError

if TYPE_CHECKING:
    from audit_emit._checkpoints.schedule import Schedule
    from audit_emit._shipping.thread import ShippingThread


class Emitter:
    """Writes audit events to a chained store, and mirrors its lines to standard output.

    Args:
        settings: made by ``_config.settings``; without it they are made from the arguments.
        arguments: settings by name, as for ``configure``.

    Raises:
        ConfigError: a setting cannot be used.
    """

    announces: bool = True
    """Whether the log says that this process writes to it (``audit.started``)."""

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
        self._stderr_log = StderrLog()
        self.observer: Observer = Observer(self.settings.on_error)
        self.misuse: Misuse = Misuse(self.counters, self._stderr_log.report, self.observer)
        self.clock: Clock = Clock()
        self.builder: RecordBuilder = builder_of(self, self._stderr_log.report)
        self._disabled = self.settings.disabled
        self._beginning = Beginning(self.settings, announces=self.announces)
        # The store has no reference to the emitter: dropped unclosed, both are freed at once.
        lent = Lent(
            own=partial(_own, self.builder, self.clock),
            started=self._beginning.started,
            said=self._beginning.said,
            clock=self.clock,
            counters=self.counters,
        )
        self.store: ChainStore | None = open_store(self.settings, lent)
        self.shipping: ShippingThread | None = shipping_of(self.settings, self._stderr_log)
        at_once = self.store is None or self.store.traits.immediate
        self.outbox: Outbox = Outbox(
            self.store,
            open_mirror(self.settings),
            builder=self.builder,
            clock=self.clock,
            counters=self.counters,
            stderr_log=self._stderr_log,
            observer=self.observer,
            place=_place_of(self.store, self.settings),
            worker=Worker(self) if at_once else Appender(self),
            drained=weak_callback(self._sign),
        )
        self.checkpoints: Schedule | None = _schedule_of(self)
        self._beginning.serve(self.outbox, self.checkpoints)
        self.look_ahead()
        life.begin(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Emitter holds locks and descriptors: it cannot be pickled or copied; "
            "make one in each process, with the same settings"
        )

    def __del__(self) -> None:
        # An emitter that nobody closed: what waits is written now or never.
        try:
            ending.end(self.outbox)
            # A context that outlives it may keep its builder alive, and with that this descriptor.
            self._stderr_log.close()
            if self.shipping is not None:
                self.shipping.stop(0.0)
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    @property
    def mirror(self) -> Mirror | None:
        """Shows every line of the chain; ``None`` when nothing is shown."""
        return self.outbox.mirrored.mirror

    def look_ahead(self) -> None:
        """Report now, and not at the first event, if the store cannot be written to."""
        fault = self.store.health().fault if self.store is not None else None
        if fault is not None:
            complain(self.outbox, fault)

    @property
    def way(self) -> str:
        """How a usual event is recorded: ``compiled``, or ``interpreted`` and why."""
        return compiled.state

    def after_fork(self) -> None:
        """Start anew in a forked child: the parent writes its own backlog."""
        self.clock.reseed()
        self.builder.after_fork()
        self.counters.reset()
        self.outbox.reset()
        if self.checkpoints is not None:
            self.checkpoints.reset()
        self._stderr_log.leave_parent()
        if self.mirror is not None:
            self.mirror.after_fork()
        if self.store is not None:
            self.store.after_fork()

    def emit(  # noqa: C901, PLR0912 - the hot path, and its guard, which may call nothing
        self, ctx: GivenContext, event_type: str, fields: Any = None
    ) -> Receipt | None:
        """Record one event. Never raises an ``Exception``, never waits longer than 50 ms.

        Args:
            ctx: ``None`` (the bound context), an ``AuditContext``, a ``contextvars.Context``, or a
                mapping of members that is laid over the bound context; anything else means the
                bound context, and is reported on stderr and counted.
            event_type: such as ``secret.set``; what is not well-formed is recorded as
                ``audit.invalid_event_type``, reported on stderr and counted.
            fields: the event's own payload, of any kind; secrets are held back.

        Returns:
            The receipt when the record is in its store, ``None`` when it is not, or not yet.
        """
        line = receipt = None
        try:
            if self._disabled:
                return None
            if not SAME[0]:
                renew()
            part, closing = self.builder.compose(ctx, event_type, fields)
            outbox = self.outbox
            recorded = outbox.record(part, closing)
            # One deadline for all that this call waits for, with what other calls left to do.
            if recorded is not None:
                receipt, line, shown = recorded
                if NOTED and self.settings.jsonl is not None:
                    NOTED[0](receipt)
                if shown:
                    return receipt
                latest = 0.0
            else:
                latest = monotonic() + LOCK_SECONDS - self.builder.waited()
                linked = outbox.link(self.clock.draft(part, closing), latest)
                if linked is None:
                    return None
                line = linked.line
                receipt = Receipt(linked.id, linked.chain, linked.seq, linked.hash)
                if NOTED and self.settings.jsonl is not None:
                    NOTED[0](receipt)
            outbox.show(line, latest or monotonic() + LOCK_SECONDS - self.builder.waited())
            return receipt
        except Exception as error:  # noqa: BLE001 - the single guard; it lets interrupts through
            passes = False
            try:
                passes = self._is_interrupt(error)
            except self._NO_ROOM:
                pass
            outbox = self.outbox
            if line is None and not passes:
                # At the recursion limit no method can be called here, but an operator works.
                try:
                    outbox.lossy += ((event_type, type(error)),)
                except MemoryError:
                    outbox.unmade += 1
                outbox.pending = True
            try:
                fail(self, error, line)
            except self._NO_ROOM:
                if passes or _observer.strict is not None:
                    raise
                if line is not None:
                    outbox.mirrored.forgotten += 1
                    outbox.pending = True
            return receipt
        except BaseException as error:
            fail(self, error, line)
            raise

    def emit_strict(self, ctx: GivenContext, event_type: str, fields: Any = None) -> Receipt:
        """Record one event, or raise if it is not recorded: no audit, no action.

        The record is in the store, and synced unless the durability is ``os``, when this returns.
        An event that is refused is neither kept for later nor written to stdout; when only the
        sync failed, it may be in the store all the same.

        Raises:
            AuditError: the record is not in the store with the configured durability; or the call
                is wrong (reasons ``invalid-event-type``, ``invalid-context``).
        """
        return strict.emit(self, ctx, event_type, fields)

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Append what waits and sync the store.

        Args:
            timeout: seconds to keep trying; anything but a number means the default.

        Returns:
            Whether everything is in the store, and durable unless the durability is ``os``.
        """
        return flushing.flush(self, timeout)

    def finish(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, and sign what was written since the last checkpoint, all within ``timeout``.

        Returns:
            As ``flush``.
        """
        return flushing.finish(self, timeout)

    def record_own(
        self, event_type: str, fields: dict[str, Any], by: tuple[str, str] = ("", "service")
    ) -> None:
        """Write a record about the log itself into its chain, for other parts of this library.

        Args:
            event_type: begins with ``audit.``.
            fields: recorded as they are, neither redacted nor limited.
            by: ``user_id`` and ``actor_kind`` of the record.

        Raises:
            SinkError: it is not in the store.
        """
        renew()
        own_records.append(self.outbox, event_type, fields, by=by)
        self.outbox.show_rest()

    def tell(self, kind: str, message: str) -> None:
        """Write a message to stderr, at most once a minute for each ``kind``."""
        self._stderr_log.report(kind, message)

    def health(self) -> dict[str, Any]:
        """What works and what does not; see ``docs/operations.md``."""
        renew()
        return report(self)

    def close(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, then close every descriptor. A later ``emit`` opens them again.

        Returns:
            Whether everything was written.
        """
        return flushing.close(self, timeout)

    def _sign(self) -> None:
        """Start the thread of checkpoints once there is something to sign."""
        if self.checkpoints is not None and self.store is not None and self.store.head():
            self.checkpoints.start()


def _own(builder: RecordBuilder, clock: Clock, event_type: str, fields: dict[str, Any]) -> Draft:
    return clock.draft(*builder.own(event_type, fields), own=True)


def _place_of(store: ChainStore | None, settings: _config.Settings) -> str:
    """The place of a store for messages; with a hint where the default could not be used."""
    if store is None:
        return ""
    place = store.health().place
    system = _config.passed_over(settings)
    if not system:
        return place
    return f"{place} (there, as {system} cannot be written; {_config.PREFIX}JSONL names a place)"


def _schedule_of(emitter: Emitter) -> Schedule | None:
    if not emitter.settings.checkpoint or emitter.store is None or emitter.settings.jsonl is None:
        return None
    from audit_emit._checkpoints.schedule import Schedule  # noqa: PLC0415 - only for those who sign

    return Schedule(emitter)
