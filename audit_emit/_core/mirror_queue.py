"""The lines of the chain on their way to the mirror, and the count of those it did not take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from audit_emit._core.gap_pace import Pace
from audit_emit._format.record import ts_of
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import BEGUN, CLOSED, REPLACED
from audit_emit._stores.backlog import Gap
from audit_emit._stores.base import Mirror

__all__ = ["MirrorQueue", "in_time"]

_STEP_SECONDS = 0.002

_GAP_TYPE = b'Z","event_type":"audit.gap"'


def in_time(deadline: float) -> bool:
    """Whether a deadline (``time.monotonic()``) is in the future; 0 means no deadline."""
    return not deadline or time.monotonic() < deadline


class MirrorQueue:
    """The lines that wait for the mirror, in the order of the chain.

    Args:
        mirror: shows lines; ``None`` where none are shown.
        counters: where lost lines are counted.
        tell: writes a sentence to stderr, at most once a minute for each kind
            (``StderrLog.report``).
        chained: whether there is a store, which has the records of lines that are lost here.

    Attributes:
        waiting: lines that are in the chain and not yet shown, the oldest first.
        forgotten: how many more could not be kept, for lack of memory.
        gap: lines that were lost, and are not yet declared in the chain.
        last_lost: the ``ts`` of the last of them.
    """

    def __init__(
        self,
        mirror: Mirror | None,
        counters: Counters,
        tell: Callable[..., None],
        *,
        chained: bool,
    ) -> None:
        self.mirror: Mirror | None = mirror
        self._counters = counters
        self._tell = tell
        self._chained = chained
        self.reset()

    def reset(self) -> None:
        """Start with nothing to show: at the beginning, and in a forked child."""
        self.waiting: deque[bytes] = deque()
        self.forgotten: int = 0
        self.gap: Gap = Gap()
        self.last_lost: str | None = None
        self._gaps_lost = 0
        """How many lost lines were ``audit.gap``: if these were declared, the next would be lost.
        """
        self._pace = Pace()

    def switch_off(self) -> None:
        """Show no more lines: standard output turned out to serve another purpose."""
        self.mirror = None
        self.waiting.clear()

    def show(self, line: bytes, until: float = 0.0) -> bool:
        """Show a line now; whether it was shown. If not, it is counted as lost, or it is begun.

        Args:
            line: of the chain.
            until: when to stop waiting for its reader to make room (``time.monotonic()``).
        """
        mirror = self.mirror
        while mirror is not None and not mirror.show(line):
            if mirror.fault != "full" or time.monotonic() >= until:
                return self.missed(line)
            time.sleep(_STEP_SECONDS)
        return True

    def missed(self, line: bytes) -> bool:
        """Count a line that the mirror did not take, unless it is begun; always false."""
        mirror = self.mirror
        if mirror is not None and mirror.fault != BEGUN:
            self._lose(line, mirror.fault)
        return False

    def show_waiting(self, deadline: float = 0.0, *, timeout: float = 0.0) -> bool:
        """Show what waits as far as there is time; whether every line was shown.

        Args:
            deadline: nothing is shown after it (``time.monotonic()``); 0 for none.
            timeout: seconds to wait for a slow reader, for all lines together.
        """
        shown = True
        until = time.monotonic() + timeout if timeout else 0.0
        while self.waiting and in_time(deadline):
            taken: list[bytes] = []
            try:
                # One call in C moves the line: an interrupt comes before or after it.
                taken.extend(map(deque.popleft, (self.waiting,)))
                shown = self.show(taken[0], until) and shown
            except IndexError as error:  # another thread was faster
                let_through(error)
            except BaseException:
                if taken and self.mirror is not None and self.mirror.last is not taken[0]:
                    self.waiting.appendleft(taken[0])
                raise
        return shown and not self.waiting

    def owe(self, line: bytes) -> None:
        """Queue a line that an interrupt, or a lack of memory, has kept from being shown."""
        mirror = self.mirror
        if mirror is not None and mirror.last is not line and line not in self.waiting:
            try:
                self.waiting.append(line)
            except MemoryError as error:
                self.forgotten += 1
                let_through(error)

    def is_begun(self) -> bool:
        """Whether the mirror took a part of a line."""
        return self.mirror is not None and self.mirror.is_unfinished

    def finish(self, deadline: float = 0.0) -> None:
        """End a line that was begun, if its reader makes room in time."""
        while self.mirror is not None and self.mirror.is_unfinished and not self.mirror.finish():
            if time.monotonic() >= deadline:
                return
            time.sleep(0.01)

    def give_up(self) -> str | None:
        """Count a line that was begun as lost; returns its ``ts``, or ``None`` without one."""
        mirror = self.mirror
        if mirror is None or not mirror.is_unfinished:
            return None
        ts = mirror.last[7:37].decode()
        self._lose(mirror.last, mirror.fault)  # first: there may be no memory for it
        mirror.give_up()
        return ts

    def is_due(self) -> bool:
        """Whether what was lost may be declared now."""
        return self._pace.is_due()

    def owes_gap(self) -> bool:
        """Whether any line was lost that was not itself an ``audit.gap``."""
        return self.gap.lost > self._gaps_lost

    def declare(self, write: Callable[[Gap], None], *, at_end: bool) -> None:
        """Declare lost lines: soon where the mirror works, ever more rarely while it does not.

        Args:
            write: writes the gap into the chain.
            at_end: declare them however recent the last declaration is.
        """
        mirror = self.mirror
        if mirror is not None and mirror.fault in {CLOSED, REPLACED}:
            mirror.look()
        fault = mirror.fault if mirror is not None else "off"
        if not fault:
            self._pace.works()
        due = at_end or self._pace.is_due()
        if due and self.gap.lost > (self._gaps_lost if fault else 0):
            self._pace.declared(fault)
            before = self._gaps_lost
            write(self.gap)
            self._gaps_lost -= before

    def forget_gap(self) -> None:
        """Forget the losses: they are declared elsewhere."""
        self.gap, self._gaps_lost = Gap(), 0

    def count_forgotten(self, now_ns: int) -> None:
        """Account for the lines that there was no memory to remember.

        A signal handler may fork at every call and at every turn of a loop: a child has none then.
        """
        ts = ts_of(now_ns) if self.forgotten else ""
        while True:
            gap = self.gap
            if self.forgotten < 1:
                return
            gap.add(ts, "MemoryError")  # first: there may be no memory for it
            if self.gap is gap:
                self.forgotten -= 1
                self._counters.stdout_lost += 1

    def _lose(self, line: bytes, fault: str | None) -> None:
        ts = line[7:37].decode()
        self._pace.lost(fault)
        self.gap.add(ts, fault or "unknown")
        self._gaps_lost += line.startswith(_GAP_TYPE, 36)
        self._counters.stdout_lost += 1
        self.last_lost = ts
        self._tell(
            f"stdout {fault}",
            "a line could not be written to stdout (%s); %s",
            fault,
            "the chain has the record, and the loss is declared in it"
            if self._chained
            else "the event is lost, as no chain is kept",
        )
