"""The thread that appends to a store that is not immediate, and the callers who wait for it.

``emit`` leaves its event in the backlog and returns. Batches form by themselves: what comes while
one is on its way makes up the next, and while nobody waits for an answer, so does what comes within
five milliseconds. After a failure the pauses grow. Whoever waits for an answer, in ``emit_strict``
or in ``flush``, ends them all.
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
"""How long ``emit_strict`` waits."""

IDLE_SECONDS = 30.0
"""After which the thread ends, until there is something to do again."""

_PACE_SECONDS = 0.005
"""From the beginning of an append to that of the next. An append for each event of a service that
emits 2,000 a second would take a whole processor, of which ``emit`` then finds the caches empty."""

_LONGEST_SECONDS = 5.0
"""Of the pauses after failures, each twice as long as the one before."""

_SHORTEST_SECONDS = 0.05
"""Of those pauses."""

_HURRIED_SECONDS = 0.05
"""The pause when somebody waits for an answer."""

_TICK_SECONDS = 0.1
"""Between looks at what is not due yet."""

_STEP_SECONDS = 0.005

_LOOK_SECONDS = 0.5
"""How late an answer is noticed if an interrupt kept a caller from waking the next one."""


class _Request:
    """One event of ``emit_strict``, and where its caller waits.

    Attributes:
        answer: what became of it; ``None`` before that is known.
        following: who is answered after it.
        is_over: whether nobody waits here any more.
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
            wake: makes the thread look, or another one where that has failed meanwhile.
        """
        deadline = monotonic() + STRICT_SECONDS
        try:
            while self.answer is None and (left := deadline - monotonic()) > 0.0:
                wake()
                self.free.acquire(timeout=min(left, _LOOK_SECONDS))
        finally:
            # In this order: who wakes this one meanwhile goes on to the next one himself.
            self.is_over = True
            _wake(self.following)
        return self.answer


def _wake(request: _Request | None) -> None:
    """Wake a caller who has his answer, who wakes the next one.

    Were all of them woken at once, each would wait a second time, for the interpreter's lock, which
    takes the processor longer than everything else about an event.
    """
    while request is not None:
        with suppress(RuntimeError):  # he was woken already
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
        """Whether somebody waits."""
        return bool(self._asked)

    def ask(self, draft: Draft, wake: Callable[[], object], fault: Callable[[], str]) -> Linked:
        """Have an event appended by the thread, and wait for it.

        Args:
            draft: the event.
            wake: makes the thread look.
            fault: what keeps the store from taking records, if that is known.

        Raises:
            SinkError: it is not in the store, as far as is known. When no answer came in time, it
                may be there all the same.
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
        """The events that came first, to be appended now."""
        first = list(islice(self._asked, most))
        sent = [request for request in first if not request.is_over]
        drafts = [request.draft for request in sent]
        # Not before: there may be no memory for all that. Others ask meanwhile.
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
        """Tell everybody who waits that their events are not in the store."""
        _answer([(request, error) for request in [*self._sent, *self._asked]])
        self._sent = []
        # Not before, as above.
        while self._asked and self._asked[0].answer is not None:
            self._asked.popleft()


class Appender(Worker):
    """Appends whatever waits, at once. Holds nothing alive while there is nothing to do.

    Args:
        emitter: is kept alive while something waits, and no longer.
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
        """The same, and have it look now, should it be in a pause."""
        if self._pauses or not self._is_awake:
            self._rouse()

    def pause(self, until: float, *, hurried: bool) -> None:
        """Wait for a point in time, or for the first one who asks; called by the thread.

        Args:
            until: as of ``time.monotonic()``.
            hurried: whether somebody waited for an answer when that time was chosen.
        """
        self._pauses = True
        try:
            emitter = self._emitter()
            # In this order: who asks now either is seen here, or sees that he has to wake.
            is_due = emitter is None or self.is_hurried(emitter) is not hurried
            del emitter
            if not is_due:
                _wait(self.wake, until - monotonic())
        finally:
            self._pauses = False

    def _rouse(self) -> bool:
        """Start or wake the thread, whatever it does now; whether there is one."""
        self._is_awake = True
        emitter = self._emitter()
        if emitter is None:
            return False
        self.keep(emitter)
        starting = self._starting  # a signal handler may fork: the child's is another one
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
        """Whether the thread may end, as there was nothing to do for so many seconds."""
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
        """Let the next event start a thread, should this one have failed."""
        if self._thread is thread:
            self._thread = None
            self._is_awake = False

    def is_hurried(self, emitter: Emitter) -> bool:
        """Whether somebody waits for an answer."""
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
            if waits:  # for what is not due yet
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
        failures = 0 if emitter.outbox.try_again() else failures + 1
        tried = monotonic()
        del emitter


def _wait(wake: queue.SimpleQueue[None], seconds: float) -> None:
    """Until somebody wakes the thread, and once for all who have done so."""
    try:
        wake.get(timeout=max(0.0, seconds))  # the time may have come meanwhile
        while True:
            wake.get_nowait()
    except queue.Empty:
        return
