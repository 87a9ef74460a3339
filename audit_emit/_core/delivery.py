"""Bringing records to their sinks, and what is owed to them: waiting events, undeclared losses.

The emitter writes an event at once. What cannot be done at once is kept here, in order and within
bounds, and done by the next event, a lazily started thread, or ``flush``.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any

from audit_emit._core.gap_pace import Pace
from audit_emit._core.record_builder import Composer
from audit_emit._format.record import ts_of
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.compiled import EmitterState
from audit_emit._runtime.failure import Complaints, Counters
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import is_interrupt, let_through
from audit_emit._runtime.nonblocking_fd import BEGUN, CLOSED, REPLACED, Descriptor
from audit_emit._runtime.observer import Observer, id_in
from audit_emit._runtime.threads import Background
from audit_emit._settings.settings import Settings
from audit_emit._stores.backlog import Backlog, Gap
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl.obstacle import obstacle
from audit_emit._stores.jsonl.store import JsonlSink
from audit_emit._stores.jsonl.undeclared import Owed
from audit_emit.errors import AuditError, SinkError

_BATCH = 500
"""Records drained at a time; see ``BATCH_SECONDS``, too."""

_PATIENCE_SECONDS = 0.005
"""What an event costs while others drain: without it, busy threads fill the backlog faster than
it can be written, and a pause of the file once is a loss for ever."""

_TICK_SECONDS = 0.1

_owing: set[Delivery] = set()
"""Those to whom something is left to do: dropped by everybody else, they go on until it is done."""

_GAP_TYPE = b'Z","event_type":"audit.gap"'


class Delivery(EmitterState):
    """The sinks of one emitter, and what waits for them.

    Attributes:
        file, stdout: the sinks; ``None`` where there is none.
        backlog: events that wait for the file.
        file_gap, stdout_gap: losses that are not yet declared in the chain.
        file_fault, file_last_error: why the file cannot be written now, and why it could not last.
    """

    _ends: bool
    pending: bool
    unmade: int
    unshown: int

    settings: Settings
    counters: Counters
    file: JsonlSink | None
    stdout: Descriptor | None
    observer: Observer
    _complaints: Complaints
    _composer: Composer
    _clock: Clock

    def __del__(self) -> None:
        # An emitter that nobody closed: what waits is written now or never.
        with suppress(Exception):
            self._ends: bool = True
            if self._has_more():
                self.settle(at_end=True)
            if self._give_up_line():
                self.settle(at_end=True)
            self.give_up()
            # A context that outlives it remembers what was composed from it, and so its composer.
            self._complaints.close()

    def reset(self) -> None:
        """Owe nothing: at the beginning, and in a forked child, whose parent pays."""
        _owing.discard(self)
        self._ends = False
        self.backlog: Backlog = Backlog()
        self.file_gap: Gap = Gap()
        self.stdout_gap: Gap = Gap()
        self._gap_lines_lost = 0
        self.file_fault = None
        self.file_last_error: str | None = None
        self.lossy: deque[tuple[Any, type[Exception]]] = deque()
        """Events that could not be made: what the caller gave as their type, and why."""
        self.unmade = 0
        """Events for which there was not even the memory to remember their type."""
        self.unshown = 0
        """Lines in the file for which there was no memory to remember that they are to be shown."""
        self.pending = False
        """Whether the next emit has something to do beside its own event."""
        self._pace = Pace()
        self._process = os.urandom(8).hex()
        self._numbers = count(1)
        self.last_loss: str | None = None
        self.last_lost_line: str | None = None
        """The ``ts`` of the last event, and of the last line on stdout, that was lost."""
        self._settling = threading.RLock()
        self._settles = False
        self._thread: Background | None = None

    def look_ahead(self) -> None:
        """Say now, not at the first event, that the file could not be written."""
        word = obstacle(self.file.layout) if self.file is not None else None
        if word is not None:
            self.complain_of_file(word)

    def complain(self, what: str, error: BaseException) -> None:
        """Tell of a failure that nobody expected, by its type only."""
        self.counters.internal_errors += 1
        self._complaints.tell(what, f"{what} failed: {bare_name(type(error))}")
        self.observer.notify(error, what)

    def _emit_unchained(self, part: str, end: str) -> None:
        self.show_only(self._clock.prefix(part, end)[0])

    def show_only(self, prefix: str) -> None:
        """Tell stdout of an event where no file is kept."""
        if self.stdout is not None and self._show(self._numbered(prefix)):
            self.counters.unchained += 1
        else:
            self.lose(prefix[7:37])

    def _numbered(self, prefix: str) -> bytes:
        """The line of an event of a process that keeps no file (docs/wire-format.md, member 16)."""
        number = next(self._numbers)
        return f'{prefix},"process":"{self._process}","number":{number}}}\n'.encode()

    def lose(self, ts: str) -> None:
        """Count an event that will be nowhere, or not in the file that is kept."""
        self.counters.lost += 1
        self.last_loss = ts

    def _show(self, line: bytes) -> bool:
        """Write a line to stdout, or count it; whether it is there, or on its way."""
        sink = self.stdout
        if sink is None:
            return False
        return sink.write(line) or self._not_shown(line)

    def _not_shown(self, line: bytes) -> bool:
        """Count a line that stdout did not take; whether it took a part, and gets the rest."""
        fault = self.stdout.fault if self.stdout is not None else None
        if fault == BEGUN:
            self._ensure_thread()
            return True
        self._lose_line(line, fault)
        return False

    def _lose_line(self, line: bytes, fault: str | None) -> None:
        self.counters.stdout_lost += 1
        self.last_lost_line = line[7:37].decode()
        self._pace.lost(fault)
        self.stdout_gap.add(line[7:37].decode(), fault or "unknown")
        self._gap_lines_lost += line.startswith(_GAP_TYPE, 36)
        self._complaints.tell(
            f"stdout {fault}",
            "a line could not be written to stdout (%s); %s",
            fault,
            "the event is lost, as no file is kept"
            if self.file is None
            else "the file has the record, and the loss is declared in it",
        )
        self._ensure_thread()
        # Until it is due again, there is nothing that the next emit could do about it.
        self.pending |= self._pace.is_due() or self._waits_for_emit()

    def _line_begun(self) -> bool:
        return self.stdout is not None and self.stdout.owes

    def _finish_line(self, deadline: float = 0.0) -> None:
        """End a line that stdout took in part, if its reader makes room in time."""
        while self.stdout is not None and self.stdout.owes and not self.stdout.finish():
            if time.monotonic() >= deadline:
                return
            time.sleep(0.01)

    def _give_up_line(self) -> bool:
        """Count a line as lost that stdout took in part; whether there was one."""
        stdout = self.stdout
        if stdout is None or not stdout.give_up():
            return False
        if self.file is None:
            self.counters.unchained -= 1
            self.lose(stdout.last[7:37].decode())
        self._lose_line(stdout.last, stdout.fault)
        return True

    def _defer(self, part: str, end: str, reason: str) -> None:
        """The file cannot be written: tell stdout at once, and keep the event for later."""
        prefix, _ = self._clock.prefix(part, end)
        if reason not in {"re-entrant", "backlog"}:
            self.file_fault = self.file_last_error = reason
            self.complain_of_file(reason)
        self._say_not_written(prefix, reason)
        if self.stdout is not None and reason != "re-entrant":
            self._show(unchained(prefix))
        self._keep(prefix, reason)

    def _say_not_written(self, prefix: str, reason: str) -> None:
        event_id = id_in(prefix)
        said = f"the audit record could not be written to {self.settings.jsonl}: {reason}"
        self.observer.notify(AuditError(reason, said, event_id=event_id), "file", event_id)

    def complain_of_file(self, reason: str) -> None:
        """Say on stderr that the file cannot be written."""
        self._complaints.tell(
            f"file {reason}",
            f"{self.settings.jsonl} cannot be written ({reason}); "
            "events are kept in memory and written when it is back",
        )

    def _keep(self, prefix: str, reason: str) -> None:
        if self.backlog.add(prefix):
            self.counters.backlogged += 1
        else:
            self.lose(prefix[7:37])
            # Why it could not be kept is known to all; a reader wants to know why it had to be.
            cause = self.file_fault if reason == "backlog" else None
            self.file_gap.add(prefix[7:37], cause or reason)
            self._complaints.tell("overflow", "the backlog is full; events are being lost")
        self.pending = True
        self._ensure_thread()
        if self._ends:
            # Nobody comes after this to try again.
            self.settle(at_end=True, patience=_PATIENCE_SECONDS)
            self.give_up()

    def give_up(self) -> None:
        """Count what still waits as lost, say so, and leave word of it; the process ends.

        What is emitted after this is written at once, or given up at once, too.
        """
        self._ends = True
        if self.file is None:
            if self.counters.lost:
                what = "no file is kept, and standard output did not take them"
                self._complaints.tell(
                    "end", f"events lost by this process: {self.counters.lost}; {what}"
                )
            return
        waiting = self.backlog.waiting
        reason = self.file_fault or self.file_last_error or "unknown"
        while waiting:
            ts = self.backlog.first()[7:37]
            self.backlog.pop()
            self.counters.backlogged -= 1
            self.lose(ts)
            self.file_gap.add(ts, reason)
        self._leave_word(self.file)

    def _leave_word(self, file: JsonlSink) -> None:
        """Say what is lost and not declared, and note it in the lock file."""
        losses = []
        if self.file_gap.lost:
            losses.append(Owed(**self.file_gap.fields("jsonl")))
        if self.stdout_gap.lost > self._gap_lines_lost:
            losses.append(Owed(**self.stdout_gap.fields("stdout")))
        if not losses:
            return
        try:
            noted = file.owe(losses)
        except SinkError as error:
            let_through(error)
            noted = False
        if noted:
            self.file_gap, self.stdout_gap, self._gap_lines_lost = Gap(), Gap(), 0
        names = {"jsonl": "event", "stdout": "line"}
        counts = " and ".join(
            f"{one.lost} {names[one.sink]}{'s' if one.lost > 1 else ''}" for one in losses
        )
        then = (
            "whoever opens the log next declares it"
            if noted
            else "not even its lock file could be written, so nothing in the log will tell"
        )
        self._complaints.tell(
            "end",
            f"{counts} lost at the end of the process: {self.settings.jsonl} cannot be written "
            f"({losses[0].reason}); {then}",
        )

    def _guard(self, error: Exception, line: bytes | None = None) -> None:
        """Tell of a failure inside ``emit``, and record what is in ``lossy`` without its fields.

        Args:
            error: the failure.
            line: of the event, when it is in the file.
        """
        self._heal()
        self.observer.tell(error, "emit", None if line is None else id_in(line))
        self.counters.internal_errors += 1
        self._complaints.tell(
            "internal", f"an event could not be recorded in full ({bare_name(type(error))})"
        )
        if not issubclass(type(error), (RecursionError, MemoryError)):
            self.settle()
        if self.pending:
            self._ensure_thread()

    def _is_inside(self) -> bool:
        """Whether a signal handler calls, in the middle of what it would have to wait for."""
        settles = self._settles and self._settling._is_owned()  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
        return bool(settles or (self.file is not None and self.file.is_inside()))

    def _fail(self, error: BaseException, line: bytes | None) -> None:
        """Leave nothing half done after an exception out of ``emit``, and tell of it.

        Args:
            error: the exception.
            line: it is in the file, and not yet shown.

        Raises:
            BaseException: the exception, if it is an interrupt.
        """
        if line is not None and self.stdout is not None and self.stdout.last is not line:
            self._owe_line(line)
        if is_interrupt(error):
            self._heal()
            raise  # noqa: PLE0704 - called where it is handled
        try:
            self._guard(error, line)  # type: ignore[arg-type] # no Exception is an interrupt
        except Exception as failed:
            if _observer.strict is not None:
                raise
            let_through(failed)

    def _owe_line(self, line: bytes) -> None:
        """Let whoever comes next show a line, as it does what the log says about itself."""
        if self.file is not None:
            self.file.segment.unshown.append(line)
            self.pending = True

    def _heal(self) -> None:
        """Give back the locks that an interrupt left behind between taking and using them."""
        if not self._settles and self._settling._is_owned():  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells
            self._settling.release()
        if self.file is not None:
            self.file.heal()

    def _waits(self, deadline: float) -> bool:
        """Drain what came before; whether something of it still waits, and this one must too."""
        if self.backlog.waiting:
            self.settle(patience=_PATIENCE_SECONDS, deadline=deadline)
        return bool(self.backlog.waiting)

    def settle(self, *, at_end: bool = False, patience: float = 0.0, deadline: float = 0.0) -> None:
        """Write what waits, oldest first, and declare what was lost.

        Args:
            at_end: declare lost stdout lines now, however recent the last declaration is.
            patience: seconds to wait for a thread that is at it.
            deadline: nothing is begun after it (``time.monotonic()``); 0 for none.
        """
        settling = self._settling
        if not settling.acquire(timeout=patience):
            return
        # A signal handler may have forked, here or below; what is the child's now is not held.
        if self._settles or self._settling is not settling:
            settling.release()
            return
        self._settles = True
        try:
            if _in_time(deadline):
                self._finish_line()
            self._settle_lossy()
            self._settle_forgotten()
            if self.file is not None:
                self._settle_file(deadline, at_end=at_end)
            self._show_unshown(deadline)
            self._complaints.tell_untold()
            # In this order: another thread may keep an event meanwhile.
            self.pending = False
            self.pending = self._waits_for_emit()
            if not self._has_more():
                _owing.discard(self)
            self._settled()
        except SinkError as error:
            if error.reason != "re-entrant":
                self.file_fault = error.reason
        finally:
            if self._settling is settling:
                self._settles = False
            settling.release()

    def _settled(self) -> None:
        """Called after everything was done that could be, without a lock."""

    def _owes(self) -> bool:
        """Whether something waits for the file.

        A line on stdout that declared a gap and was itself lost waits for stdout: declared at once,
        it would be lost again.
        """
        if self.lossy or self.unmade or self.unshown:
            return True
        if self.file is None:
            return False
        return bool(
            self.backlog.waiting
            or self.file_gap.lost
            or self.stdout_gap.lost > self._gap_lines_lost
        )

    def _waits_for_emit(self) -> bool:
        """Whether what is left to do is left to the next emit, too.

        Lost lines on stdout are declared together after a while: the thread sees to it, and while
        a reader is behind, events need not.
        """
        if self.lossy or self.unmade or self.unshown:
            return True
        if self.file is None:
            return False
        if self.backlog.waiting or self.file_gap.lost or self.file.segment.unshown:
            return True
        return self.stdout_gap.lost > 0 and not self._has_thread()

    def _settle_lossy(self) -> None:
        while self.lossy:
            event_type, error = self.lossy[0]
            # Its name is at hand where there may still be no memory to make it.
            reason = "MemoryError" if error is MemoryError else bare_name(error)
            part, end = self._composer.lossy(event_type if type(event_type) is str else "", reason)
            prefix, _ = self._clock.prefix(part, end)
            self.lossy.popleft()
            if self.file is not None:
                self._keep(prefix, reason)
            else:
                self.show_only(prefix)

    def _settle_forgotten(self) -> None:
        """Account for what there was no memory to remember."""
        while self.unmade:
            self.unmade -= 1
            self.lossy.append(("", MemoryError))
            self._settle_lossy()
        while self.unshown:
            self.unshown -= 1
            self.counters.stdout_lost += 1
            self.stdout_gap.add(ts_of(self._clock.now_ns()), "MemoryError")

    def _settle_file(self, deadline: float, *, at_end: bool) -> None:
        file = self.file
        assert file is not None  # noqa: S101 - for the type checker
        if self.backlog.waiting:
            lines = file.append_waiting(self.backlog, _BATCH, deadline)
            self.counters.drained += len(lines)
            self.file_fault = None
            self._show_drained(lines, deadline)
        if self.file_gap.lost and not self.backlog.waiting and _in_time(deadline):
            self._declare(file, self.file_gap, "jsonl", deadline)
        if _in_time(deadline):
            self._settle_stdout_gap(file, deadline, at_end=at_end)

    def _settle_stdout_gap(self, file: JsonlSink, deadline: float, *, at_end: bool) -> None:
        """Declare lost lines: soon where stdout works, ever more rarely while it does not."""
        if self.stdout is not None and self.stdout.fault in {CLOSED, REPLACED}:
            self.stdout.look()
        fault = self.stdout.fault if self.stdout is not None else "off"
        if not fault:
            self._pace.works()
        due = at_end or self._pace.is_due()
        if due and self.stdout_gap.lost > (self._gap_lines_lost if fault else 0):
            self._pace.declared(fault)
            gap_lines = self._gap_lines_lost
            self._declare(file, self.stdout_gap, "stdout", deadline)
            self._gap_lines_lost -= gap_lines

    def _declare(self, file: JsonlSink, gap: Gap, sink: str, deadline: float) -> None:
        declared = gap.copy()
        file.append_own("audit.gap", declared.fields(sink), deadline)
        gap.forget(declared)

    def _show_drained(self, lines: list[bytes], deadline: float) -> None:
        for number, line in enumerate(lines):
            if not _in_time(deadline):
                if self.file is not None and self.stdout is not None:
                    self.file.segment.unshown += lines[number:]
                return  # ``pending`` says so once this is over
            self._show(line)

    def _show_unshown(self, deadline: float = 0.0) -> None:
        """Show what the log says about itself, and what there was no time to show before."""
        if self.file is None:
            return
        unshown = self.file.segment.unshown
        while unshown and _in_time(deadline):
            line = unshown.pop(0)
            if self.stdout is not None:
                self._show(line)
        if unshown:
            self.pending = True
            self._ensure_thread()

    def _has_thread(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _rests(self) -> bool:
        """Whether nothing waits, so that the thread may end; what comes later starts another."""
        if self._has_more():
            return False
        _owing.discard(self)
        self._thread = None
        # Something that came just before found the thread alive.
        if self._has_more():
            self._ensure_thread()
        return True

    def _has_more(self) -> bool:
        undeclared = self.stdout_gap.lost > 0 and self.file is not None
        return self.pending or self._owes() or undeclared or self._line_begun()

    def _ensure_thread(self) -> None:
        """Start the thread that keeps trying while something waits."""
        if self._ends:
            return
        _owing.add(self)
        if self._has_thread():
            return
        thread = Background()
        try:
            thread.start(_keep_settling, weakref.ref(self))
        except RuntimeError as error:
            let_through(error)
            # The interpreter is ending, or has no threads left; the next emit or the exit drains.
            return
        self._thread = thread


def _keep_settling(reference: weakref.ref[Delivery]) -> None:
    """Try again until nothing waits; holds nothing alive."""
    while True:
        time.sleep(_TICK_SECONDS)
        delivery = reference()
        if delivery is None or delivery._rests():  # noqa: SLF001
            if delivery is not None:
                delivery._complaints.tell_untold()  # noqa: SLF001
            return
        try:
            delivery.settle()
        except Exception as error:  # noqa: BLE001 - the thread is the backlog's last hope
            delivery.complain("drain", error)
        del delivery


def _in_time(deadline: float) -> bool:
    return not deadline or time.monotonic() < deadline


def unchained(prefix: str) -> bytes:
    return f"{prefix}}}\n".encode()
