"""The emitter: the pipeline, and the single guard that keeps every failure from the caller."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from audit_emit import _config
from audit_emit._backlog import Backlog, Gap
from audit_emit._clock import Clock
from audit_emit._compose import Composer
from audit_emit._failure import Complaints, Counters
from audit_emit._health import report
from audit_emit._version import __version__
from audit_emit.context import VAR, AuditContext, LiveContext, resolve
from audit_emit.errors import AuditError, ConfigError
from audit_emit.record import Receipt
from audit_emit.sinks.jsonl import JsonlSink, SinkError
from audit_emit.sinks.stdout import open_stdout

if TYPE_CHECKING:
    from audit_emit._schedule import Schedule

FLUSH_SECONDS = 2.0
_BATCH = 500
"""Records drained at a time, so that the lock is held for some milliseconds at most."""

_GAP_SECONDS = 1.0
"""Lost stdout lines are declared together, at most this often."""

_PATIENCE_SECONDS = 0.005
"""What an event costs while others drain: without it, busy threads fill the backlog faster than
it can be written, and a pause of the file once is a loss for ever."""

_TICK_SECONDS = 0.1
_GAP_TYPE = b'Z","event_type":"audit.gap"'


class Emitter:
    """Writes audit events to standard output and to a chained file.

    Args:
        settings: made by ``_config.settings``; without it they are made from the arguments.
        arguments: settings by name, as for ``configure``.

    Raises:
        ConfigError: a setting cannot be used.
    """

    raising = False
    """Whether failures leave ``emit``; only ``testing.strict`` sets it."""

    def __init__(self, settings: _config.Settings | None = None, **arguments: Any) -> None:
        if settings is not None and (arguments or not isinstance(settings, _config.Settings)):
            raise ConfigError("settings", "must be Settings, and alone, or settings by name")
        self.settings = _config.settings(arguments) if settings is None else settings
        self.counters = Counters()
        self._complaints = Complaints()
        self._composer = Composer(self.settings, self.counters)
        self._clock = Clock()
        self.file = self._make_file()
        self.stdout = (
            open_stdout(self.settings.stdout_max_bytes)
            if self.settings.stdout and not self.settings.disabled
            else None
        )
        self._disabled = self.settings.disabled
        self.checkpoints = self._make_schedule()
        self.reset()
        _emitters.add(self)

    def _make_file(self) -> JsonlSink | None:
        if self.settings.jsonl is None or self.settings.disabled:
            return None
        return JsonlSink(
            self.settings.jsonl,
            max_bytes=self.settings.max_bytes,
            durability=self.settings.durability,
            clock=self._clock,
            own=self._own_prefix,
            started=self._started,
            counters=self.counters,
        )

    def _make_schedule(self) -> Schedule | None:
        if not self.settings.checkpoint or self.file is None:
            return None
        from audit_emit._schedule import Schedule  # noqa: PLC0415 - only for those who sign

        return Schedule(self)

    def reset(self) -> None:
        """Forget what belongs to another process; called in a forked child."""
        self.backlog = Backlog()
        self.file_gap = Gap()
        self.stdout_gap = Gap()
        self._gap_lines_lost = 0
        self.file_fault: str | None = None
        self.file_last_error: str | None = None
        self.last_shown = b""
        self.lossy: deque[tuple[Any, type[Exception]]] = deque()
        """Events that could not be made: what the caller gave as their type, and why."""
        self.pending = False
        """Whether anything waits to be written or declared: the one thing a good emit looks at."""
        self._gap_declared = 0.0
        self._settling = threading.RLock()
        self._settles = False
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Begin a life of its own in a forked child: the backlog is the parent's to write."""
        self._clock.reseed()
        self.counters.reset()
        self.reset()
        if self.checkpoints is not None:
            self.checkpoints.reset()
        if self.file is not None:
            self.file.leave_parent()

    def emit(  # noqa: C901, PLR0912 - the hot path: a call costs as much as the hash
        self, ctx: Any, event_type: Any, fields: Any = None
    ) -> Receipt | None:
        """Record one event. Never raises an ``Exception``, never waits longer than 50 ms.

        Args:
            ctx: ``None`` (the bound context), an ``AuditContext``, a ``contextvars.Context`` or a
                mapping of its members; anything else means the bound context.
            event_type: such as ``secret.set``; what is not well-formed is recorded as
                ``audit.invalid_event_type``.
            fields: the event's own payload, of any kind; secrets are held back.

        Returns:
            The receipt when the record is in the file, ``None`` when it is not, or not yet.
        """
        receipt = None
        try:
            if self._disabled:
                return None
            if ctx is None:
                ctx = VAR.get()
            if type(ctx) is not AuditContext:
                ctx = ctx.context if type(ctx) is LiveContext else resolve(ctx)
            part, end = self._composer.compose(ctx, event_type, fields)
            if self.file is None:
                self._emit_unchained(part, end)
                return None
            try:
                if self.pending and self._waits():
                    raise SinkError("backlog")
                line, receipt = self.file.append(part, end)
            except SinkError as error:
                self._defer(part, end, error.reason)
                return None
            if self.file.segment.unshown:
                self._show_unshown()
            if self.stdout is not None:
                if self.stdout.write(line):
                    self.last_shown = line
                else:
                    self._not_shown(line)
            if self.pending:
                self.settle()
            self.file_fault = None
            return receipt
        except Exception as error:  # noqa: BLE001 - the single guard
            if receipt is None:
                # At the recursion limit nothing can be called here, but an operator works.
                self.lossy += ((event_type, error.__class__),)
                self.pending = True
            try:
                self._guard(error)
            except Exception:
                if self.raising:
                    raise
            return receipt
        except BaseException:
            self._heal()
            raise

    def emit_strict(self, ctx: Any, event_type: Any, fields: Any = None) -> Receipt:
        """Record one event, or say that it is not recorded: no audit, no action.

        The record is in the file, and synced unless the durability is ``os``, when this returns.
        An event that is refused is neither kept for later nor written to stdout; when only the
        sync failed, it may be in the file all the same.

        Raises:
            AuditError: the record is not in the file with the durability asked for.
        """
        if self._disabled or self.file is None:
            reason = "disabled" if self._disabled else "no-file"
            raise AuditError(reason, f"emit_strict needs a file, and there is none ({reason})")
        try:
            part, end = self._composer.compose(resolve(ctx), event_type, fields)
            if self.pending and self._waits():
                raise SinkError("backlog")
            line, receipt = self.file.append(part, end)
            if self.settings.durability != "os" and not self.file.sync():
                raise SinkError(self.file.sync_fault or "fsync-failed")
        except SinkError as error:
            self.file_fault = error.reason
            raise AuditError(
                error.reason,
                f"the audit record could not be written to {self.settings.jsonl}: {error.reason}",
            ) from error
        except BaseException as error:
            self.file.heal()
            if not isinstance(error, Exception):
                raise
            raise AuditError(
                type(error).__name__, f"the audit record could not be made: {type(error).__name__}"
            ) from error
        try:
            self._show_unshown()
            if self.stdout is not None:
                self._show(line)
            if self.pending:
                self.settle()
        except Exception as error:  # noqa: BLE001 - the record is in the file; the rest is late
            self.complain("stdout", error)
        self.file_fault = None
        return receipt

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Write what waits and sync the file.

        Args:
            timeout: seconds to keep trying.

        Returns:
            Whether everything is in the file, and durable unless the durability is ``os``.
        """
        deadline = time.monotonic() + timeout
        try:
            while self.pending:
                self.settle(at_end=True)
                if not self._owes() or time.monotonic() >= deadline:
                    break
                time.sleep(0.01)
            synced = self.file is None or self.settings.durability == "os" or self.file.sync()
            self._show_unshown()
        except Exception as error:  # noqa: BLE001 - called at exit and from handlers
            self.complain("flush", error)
            return False
        return synced and not self._owes()

    def finish(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, and sign what was written since the last checkpoint, all within ``timeout``.

        Returns:
            What ``flush`` says.
        """
        deadline = time.monotonic() + timeout
        done = self.flush(timeout)
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
        self.file.append_own(event_type, fields)
        self._show_unshown()

    def tell(self, kind: str, message: str) -> None:
        """Say something on stderr, at most once a minute for each ``kind``."""
        self._complaints.tell(kind, message)

    def health(self) -> dict[str, Any]:
        """What works and what does not; see ``_health.report``."""
        return report(self)

    def close(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Flush, then give every descriptor back. A later ``emit`` opens them again.

        Returns:
            Whether everything was written.
        """
        done = self.finish(timeout)
        try:
            if self.file is not None:
                self.file.close()
            if self.stdout is not None:
                self.stdout.close()
            self._complaints.close()
        except Exception as error:  # noqa: BLE001 - closing is the end of the road
            self.complain("close", error)
            return False
        return done

    def complain(self, what: str, error: Exception) -> None:
        """Tell of a failure that nobody expected, by its type only."""
        self.counters.internal_errors += 1
        self._complaints.tell(what, f"{what} failed: {type(error).__name__}")

    def _emit_unchained(self, part: str, end: str) -> None:
        prefix, _ = self._clock.prefix(part, end)
        if self.stdout is not None and self._show(_unchained(prefix)):
            self.counters.unchained += 1
        else:
            self.counters.lost += 1

    def _show(self, line: bytes) -> bool:
        """Write a line to stdout, or count it."""
        sink = self.stdout
        if sink is None:
            return False
        if sink.write(line):
            self.last_shown = line
            return True
        self._not_shown(line)
        return False

    def _not_shown(self, line: bytes) -> None:
        fault = self.stdout.fault if self.stdout is not None else None
        self.counters.stdout_lost += 1
        self.stdout_gap.add(line[7:37].decode(), fault or "unknown")
        self._gap_lines_lost += line.startswith(_GAP_TYPE, 36)
        self._complaints.tell(
            f"stdout {fault}",
            f"a line could not be written to stdout ({fault}); "
            + (
                "the event is lost, as no file is kept"
                if self.file is None
                else "the file has the record, and the loss is declared in it"
            ),
        )
        self.pending = True
        self._ensure_thread()

    def _defer(self, part: str, end: str, reason: str) -> None:
        """The file cannot be written: tell stdout at once, and keep the event for later."""
        prefix, _ = self._clock.prefix(part, end)
        if reason not in {"re-entrant", "backlog"}:
            self.file_fault = self.file_last_error = reason
            self._complaints.tell(
                f"file {reason}",
                f"{self.settings.jsonl} cannot be written ({reason}); "
                "events are kept in memory and written when it is back",
            )
        if self.stdout is not None and reason != "re-entrant":
            self._show(_unchained(prefix))
        self._keep(prefix, reason)

    def _keep(self, prefix: str, reason: str) -> None:
        if self.backlog.add(prefix):
            self.counters.backlogged += 1
        else:
            self.counters.lost += 1
            self.file_gap.add(prefix[7:37], reason)
            self._complaints.tell("overflow", "the backlog is full; events are being lost")
        self.pending = True
        self._ensure_thread()

    def _guard(self, error: Exception) -> None:
        """Tell of a failure inside ``emit``, and record what is in ``lossy`` without its fields."""
        self._heal()
        self.counters.internal_errors += 1
        self._complaints.tell(
            "internal", f"an event could not be recorded in full ({type(error).__name__})"
        )
        if not isinstance(error, RecursionError | MemoryError):
            self.settle()
        if self.pending:
            self._ensure_thread()

    def _heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if not self._settles and self._settling._is_owned():  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
            self._settling.release()
        if self.file is not None:
            self.file.heal()

    def _waits(self) -> bool:
        """Drain what came before; whether something of it still waits, and this one must too."""
        if self.backlog.waiting:
            self.settle(patience=_PATIENCE_SECONDS)
        return bool(self.backlog.waiting)

    def settle(self, *, at_end: bool = False, patience: float = 0.0) -> None:
        """Write what waits, oldest first, and declare what was lost.

        Args:
            at_end: declare lost stdout lines now, however recent the last declaration is.
            patience: seconds to wait for a thread that is at it.
        """
        if not self._settling.acquire(timeout=patience):
            return
        if self._settles:
            self._settling.release()
            return
        self._settles = True
        try:
            self._settle_lossy()
            if self.file is not None:
                self._settle_file(at_end=at_end)
            self._show_unshown()
            # In this order: another thread may keep an event meanwhile.
            self.pending = False
            self.pending = self._owes() or (self.stdout_gap.lost > 0 and self.file is not None)
            if self.checkpoints is not None and self.file is not None and self.file.segment.seq:
                self.checkpoints.start()
        except SinkError as error:
            if error.reason != "re-entrant":
                self.file_fault = error.reason
        finally:
            self._settles = False
            self._settling.release()

    def _owes(self) -> bool:
        """Whether something waits for the file.

        A line on stdout that declared a gap and was itself lost waits for stdout: declared at once,
        it would be lost again.
        """
        if self.file is None:
            return bool(self.lossy)
        return bool(
            self.lossy
            or self.backlog.waiting
            or self.file_gap.lost
            or self.stdout_gap.lost > self._gap_lines_lost
        )

    def _settle_lossy(self) -> None:
        while self.lossy:
            event_type, error = self.lossy[0]
            reason = error.__name__
            part, end = self._composer.lossy(event_type if type(event_type) is str else "", reason)
            prefix, _ = self._clock.prefix(part, end)
            self.lossy.popleft()
            if self.file is not None:
                self._keep(prefix, reason)
            elif self.stdout is not None:
                self._show(_unchained(prefix))

    def _settle_file(self, *, at_end: bool) -> None:
        file = self.file
        assert file is not None  # noqa: S101 - for the type checker
        if self.backlog.waiting:
            lines = file.append_waiting(self.backlog, _BATCH)
            self.counters.drained += len(lines)
            self.file_fault = None
            for line in lines:
                self._show(line)
        if self.file_gap.lost and not self.backlog.waiting:
            gap, self.file_gap = self.file_gap, Gap()
            self._declare(file, gap, "jsonl")
        due = at_end or time.monotonic() - self._gap_declared >= _GAP_SECONDS
        fault = self.stdout.fault if self.stdout is not None else "off"
        if due and self.stdout_gap.lost > (self._gap_lines_lost if fault else 0):
            gap, self.stdout_gap = self.stdout_gap, Gap()
            self._gap_lines_lost = 0
            self._gap_declared = time.monotonic()
            self._declare(file, gap, "stdout")

    def _declare(self, file: JsonlSink, gap: Gap, sink: str) -> None:
        try:
            file.append_own("audit.gap", gap.fields(sink))
        except SinkError:
            # Not told yet: the losses since then join it.
            newer = self.file_gap if sink == "jsonl" else self.stdout_gap
            newer.merge_before(gap)
            raise

    def _show_unshown(self) -> None:
        if self.file is None:
            return
        unshown = self.file.segment.unshown
        while unshown:
            line = unshown.pop(0)
            if self.stdout is not None:
                self._show(line)

    def _ensure_thread(self) -> None:
        """Start the thread that keeps trying while something waits."""
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(
            target=_keep_settling, args=(weakref.ref(self),), name="audit_emit-drain", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending, or has no threads left; the next emit or the exit drains.
            return
        self._thread = thread

    def _own_prefix(self, event_type: str, fields: dict[str, Any]) -> tuple[str, int]:
        return self._clock.prefix(*self._composer.own(event_type, fields))

    def _started(self) -> dict[str, Any]:
        if self.checkpoints is not None:
            self.pending = True  # so that ``settle`` starts them, without the lock
        return {
            "pid": os.getpid(),
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "version": __version__,
            "config_hash": self.settings.fingerprint(),
        }


_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()


def _keep_settling(reference: weakref.ref[Emitter]) -> None:
    """Try again until nothing waits; holds no emitter alive."""
    while True:
        time.sleep(_TICK_SECONDS)
        emitter = reference()
        if emitter is None or not emitter.pending:
            return
        try:
            emitter.settle()
        except Exception as error:  # noqa: BLE001 - the thread is the backlog's last hope
            emitter.complain("drain", error)
        del emitter


def _unchained(prefix: str) -> bytes:
    return f"{prefix}}}\n".encode()


def _after_fork_in_child() -> None:
    for emitter in list(_emitters):
        emitter.after_fork()


def _at_exit() -> None:
    for emitter in list(_emitters):
        emitter.finish()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
