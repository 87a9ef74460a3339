"""The thread that appends to a store that is not immediate, and the callers who wait for it.

``emit`` leaves its event in the backlog and returns. The events that arrive while one batch is
appended make up the next one. While no caller waits for an answer, batches begin at least five
milliseconds apart, unless a whole one waits; after failures the pauses grow, as long as nothing at
all is appended. A caller who waits for an answer, in ``emit_strict`` or in ``flush``, ends or
shortens each of these pauses.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic, sleep
from typing import TYPE_CHECKING

from audit_emit._core.background import Worker
from audit_emit._core.draining import BATCH
from audit_emit._core.owed import has_more, has_work
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background
from audit_emit._stores.base import Draft, Linked
from audit_emit.errors import SinkError

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["IDLE_SECONDS", "STRICT_SECONDS", "Appender", "Requests"]

STRICT_SECONDS = 10.0
"""How long ``emit_strict`` waits for the store."""

IDLE_SECONDS = 30.0
"""Seconds without work after which the thread ends; the next event starts another one."""

_PACE_SECONDS = 0.005
"""Seconds from the beginning of an append to that of the next. In a service that emits 2,000 events
a second, an append for each would keep a processor busy, and ``emit`` out of its caches."""

_LONGEST_SECONDS = 5.0
"""The longest pause after a failure; each pause is twice as long as the one before."""

_SHORTEST_SECONDS = 0.05
"""Half of the first of those pauses: after n failures, this is doubled n times."""

_HURRIED_SECONDS = 0.05
"""The longest pause after a failure while a caller waits for an answer."""

_TICK_SECONDS = 0.1
"""Seconds between two tries of work that is not due yet, such as the declaration of a gap."""

_STEP_SECONDS = 0.005

_LOOK_SECONDS = 0.5
"""Seconds after which a caller looks for its answer itself, as an interrupt may have kept the
caller before from waking it."""


class _Request:
    """One event of ``emit_strict``, and where its caller waits.

    Attributes:
        draft: the event.
        answer: its record, or why it is not in the store; ``None`` until one of them is known.
        following: the request whose caller is woken after this one.
        free: a lock that is released to wake the caller.
        is_over: whether the caller waits no longer.
    """

    __slots__ = ("answer", "draft", "following", "free", "is_over")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.is_over = False
        self.answer: Linked | SinkError | None = None
        self.following: _Request | None = None
        self.free = threading.Lock()
        self.free.acquire()

    def wait(self, wake: Callable[[], object]) -> Linked | SinkError | None:
        """The answer; ``None`` when none came in time.

        Args:
            wake: wakes the thread that appends, or starts one if there is none.
        """
        deadline = monotonic() + STRICT_SECONDS
        try:
            while self.answer is None and (left := deadline - monotonic()) > 0.0:
                wake()
                self.free.acquire(timeout=min(left, _LOOK_SECONDS))
        finally:
            # In this order: a thread that wakes this caller meanwhile wakes the next one as well.
            self.is_over = True
            _wake(self.following)
        return self.answer


def _wake(request: _Request | None) -> None:
    """Wake a caller whose answer is there; that caller wakes the next one.

    If all of them were woken at once, each would wait a second time, for the interpreter's lock,
    which takes more time of the processor than all the rest of an event.
    """
    while request is not None:
        with suppress(RuntimeError):  # it was woken already
            request.free.release()
        if not request.is_over:
            return
        request = request.following


def _answer(answers: Sequence[tuple[_Request, Linked | SinkError]]) -> None:
    """Tell callers what became of their events."""
    following: _Request | None = None
    for request, answer in reversed(answers):
        request.following = following
        request.answer = answer
        following = request
    _wake(following)


class Requests:
    """Events whose callers wait until they are appended. They are not kept for later."""

    def __init__(self) -> None:
        self._asked: deque[_Request] = deque()
        self._sent: list[_Request] = []

    def __bool__(self) -> bool:
        """Whether a caller waits."""
        return bool(self._asked)

    def ask(self, draft: Draft, wake: Callable[[], object], fault: Callable[[], str]) -> Linked:
        """Have an event appended by the thread, and wait for it.

        Args:
            draft: the event.
            wake: wakes the thread, or starts it.
            fault: returns why the store takes no records, or an empty text where that is not known.

        Raises:
            SinkError: the event is not in the store; or no answer came within ``STRICT_SECONDS``,
                and it may be there all the same.
        """
        request = _Request(draft)
        self._asked.append(request)
        answer = request.wait(wake)
        if answer is None:
            raise SinkError(fault() or "timeout")
        if isinstance(answer, SinkError):
            raise SinkError(answer.reason, detail=answer.detail) from answer
        return answer

    def next(self, most: int) -> list[Draft]:
        """Take the events that came first, at most ``most``, to be appended now."""
        first = list(islice(self._asked, most))
        sent = [request for request in first if not request.is_over]
        drafts = [request.draft for request in sent]
        # Removed only now: above, the memory may run out. Others may be added meanwhile.
        self._sent = sent
        for _ in first:
            self._asked.popleft()
        return drafts

    def appended(self, records: Sequence[Linked]) -> None:
        """Tell those whose events are among these records."""
        found = {record.id: record for record in records}
        _answer([(one, found[one.draft.id]) for one in self._sent if one.draft.id in found])
        self._sent = [one for one in self._sent if one.draft.id not in found]

    def refuse(self, error: SinkError) -> None:
        """Tell all callers that wait that their events are not in the store."""
        _answer([(request, error) for request in [*self._sent, *self._asked]])
        self._sent = []
        # Removed only now, as above.
        while self._asked and self._asked[0].answer is not None:
            self._asked.popleft()


class Appender(Worker):
    """Appends events in a thread of its own, which ends after ``IDLE_SECONDS`` without work.

    Args:
        emitter: kept alive while something waits, and no longer.
    """

    def reset(self) -> None:
        """Start without a thread: at the beginning, and in a forked child."""
        self.wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waited_for: int = 0
        """How many callers wait for what is appended."""
        self._starting = threading.Lock()
        self._is_awake = False
        self._pauses = False
        self._runs_in = 0
        super().reset()

    def start(self) -> None:
        """Start or wake the thread; safe for signal handlers."""
        if not self._is_awake:
            self._rouse()

    def start_at_once(self) -> None:
        """Start or wake the thread, and end its pause if it is in one."""
        if self._pauses or not self._is_awake:
            self._rouse()

    def pause(self, until: float, *, hurried: bool) -> None:
        """Wait until a point in time or the first request for an answer; called by the thread.

        Args:
            until: in seconds, as of ``time.monotonic()``.
            hurried: whether a caller waited for an answer when that time was chosen.
        """
        self._pauses = True
        try:
            emitter = self._emitter()
            # In this order: a caller who asks now is seen here, or sees ``_pauses`` and wakes this.
            is_due = emitter is None or self.is_hurried(emitter) is not hurried
            del emitter
            if not is_due:
                _wait(self.wake, until - monotonic())
        finally:
            self._pauses = False

    def _rouse(self) -> bool:
        """Start or wake the thread, whatever it is doing; returns whether there is one."""
        self._is_awake = True
        emitter = self._emitter()
        if emitter is None:
            return False
        self.keep(emitter)
        starting = self._starting  # a signal handler may fork: the child has another one
        if not self.is_alive() and starting.acquire(blocking=False):
            try:
                if not self.is_alive():
                    self._thread = thread = Background()
                    thread.start(_append_until_idle, self._emitter, self, thread)
            except RuntimeError as error:
                let_through(error)  # no threads any more: the process ends
                self._is_awake = False
            finally:
                starting.release()
        self.wake.put(None)
        return self.is_alive()

    def hurry(self, seconds: float) -> bool:
        """Have everything appended that waits now, and wait for that.

        Args:
            seconds: how long to wait; what is not appended by then still waits.

        Returns:
            Whether there is a thread that does it.
        """
        if self._runs_in == threading.get_ident():
            return True  # called by the application's code, which the thread has called
        deadline = monotonic() + seconds
        self.waited_for += 1
        try:
            while True:
                emitter = self._emitter()
                if emitter is None or not has_work(emitter.outbox, at_end=True):
                    return True
                del emitter
                if not self._rouse():
                    return False
                if monotonic() >= deadline:
                    return True
                sleep(_STEP_SECONDS)
        finally:
            self.waited_for -= 1

    def belongs_to(self, thread: Background) -> bool:
        """Whether this is the thread that appends now; called by it."""
        self._runs_in = threading.get_ident()
        return self._thread is thread

    def may_end(self, emitter: Emitter, idle: float) -> bool:
        """Whether the thread may end now, after ``idle`` seconds without work."""
        self._is_awake = False
        outbox = emitter.outbox
        if has_more(outbox):
            return False
        self.let_go()
        if idle < IDLE_SECONDS and not outbox.ends:
            return False
        if emitter.store is not None:
            emitter.store.close(0.0)
        self._thread = None
        if has_more(outbox):
            self._rouse()  # something came just before, and found the thread alive
        return True

    def has_ended(self, thread: Background) -> None:
        """Let the next event start a thread if this one has failed."""
        if self._thread is thread:
            self._thread = None
            self._is_awake = False

    def is_hurried(self, emitter: Emitter) -> bool:
        """Whether a caller waits for an answer."""
        return bool(self.waited_for or emitter.outbox.requests)


def _append_until_idle(
    reference: weakref.ref[Emitter], appender: Appender, thread: Background
) -> None:
    """Append what comes, until nothing comes for a while."""
    try:
        _keep_appending(reference, appender, thread)
    finally:
        appender.has_ended(thread)


def _keep_appending(
    reference: weakref.ref[Emitter], appender: Appender, thread: Background
) -> None:
    """See ``_append_until_idle``."""
    failures, began, tried, busy = 0, float("-inf"), 0.0, monotonic()
    while True:
        emitter = reference()
        if emitter is None or not appender.belongs_to(thread):
            return
        now = monotonic()
        if not has_work(emitter.outbox, at_end=appender.waited_for > 0):
            if appender.may_end(emitter, now - busy):
                return
            waits = has_more(emitter.outbox)
            if waits:  # something is not due yet
                emitter.outbox.try_again()
            del emitter
            _wait(appender.wake, _TICK_SECONDS if waits else 1.0)
            continue
        busy = now
        hurried = appender.is_hurried(emitter)
        if failures:
            pause = min(_LONGEST_SECONDS, _SHORTEST_SECONDS * 2**failures)
            due = tried + (min(pause, _HURRIED_SECONDS) if hurried else pause)
        else:
            at_once = hurried or len(emitter.outbox.backlog) >= BATCH
            due = 0.0 if at_once else began + _PACE_SECONDS
        if now < due:
            del emitter
            appender.pause(due, hurried=hurried)
            continue
        began = now
        counters = emitter.outbox.counters
        before = counters.drained
        if emitter.outbox.try_again():
            failures = 0
        else:  # of several chains one may take nothing while others go on
            failures = failures + 1 if counters.drained == before else 1
        tried = monotonic()
        del emitter, counters


def _wait(wake: queue.SimpleQueue[None], seconds: float) -> None:
    """Wait until the thread is woken, or for ``seconds``; takes all wake-ups so far as one."""
    try:
        wake.get(timeout=max(0.0, seconds))  # the time may be over by now
        while True:
            wake.get_nowait()
    except queue.Empty:
        return
