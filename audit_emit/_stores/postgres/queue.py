"""The direct store: events wait in memory, and one thread appends whatever has come meanwhile.

``emit`` never waits for the network: it puts its event here. Batches form by themselves, as what
comes while one is on its way makes up the next. What the database does not take stays, in order and
within the bounds of the file's backlog; what does not fit is declared in the chain.

A process that is killed loses what waits here: acknowledged is what ``append_now`` or ``flush``
has returned for.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background
from audit_emit._settings.address import Address
from audit_emit._stores.backlog import BYTES, RECORDS, Backlog, Gap
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.chains import SINK, Chains, Linked, OwnRecord
from audit_emit._stores.postgres.rows import BATCH, Draft
from audit_emit.errors import DatabaseError, SinkError

STRICT_SECONDS = 10.0
"""How long ``append_now`` waits."""

IDLE_SECONDS = 30.0
"""After which the thread ends, until there is something to do again."""

_LONGEST_SECONDS = 5.0
"""Of the pauses after failures, each twice as long as the one before."""

_STEP_SECONDS = 0.005


class _Request:
    """One event of ``append_now``, and where its caller waits."""

    __slots__ = ("answer", "draft", "given_up", "tenant")

    def __init__(self, draft: Draft, tenant: str) -> None:
        self.draft = draft
        self.tenant = tenant
        self.given_up = False
        self.answer: queue.SimpleQueue[Linked | DatabaseError] = queue.SimpleQueue()


class QueuedChains:
    """The chains of a service, appended to by a thread that is started when there is work.

    Args:
        address, service, durability, own, started: see ``Chains``.
        chain_by: ``workspace_id`` for a chain for each workspace; empty for one.
        counters: where what is lost, and what had to wait, is counted.
        show: called with what was appended, in its order.
        tell: says a sentence, at most once a minute for each kind (``StderrLog.report``).

    Attributes:
        fault: why nothing can be appended now, as one word; ``None`` while all is well.
        last_error: the last fault there was.
        gap: events that did not fit, and are not declared yet.
        newest: what was appended last; ``None`` before that.
    """

    def __init__(
        self,
        address: Address,
        *,
        service: str,
        durability: str,
        own: OwnRecord,
        started: Callable[[], dict[str, Any] | None],
        counters: Counters,
        show: Callable[[Sequence[Linked]], object],
        tell: Callable[[str, str], object],
        chain_by: str = "",
    ) -> None:
        driver.load()
        self.address = address
        self._chains = Chains(
            address, service=service, durability=durability, own=own, started=started
        )
        self._own = own
        self._chain_by = chain_by
        self._counters = counters
        self._show = show
        self._tell = tell
        self.reset()

    def reset(self) -> None:
        """Have nothing waiting: at the beginning, and in a forked child, whose parent appends."""
        self._pid = os.getpid()
        self.backlog: Backlog = Backlog(RECORDS, BYTES)
        self.gap: Gap = Gap()
        self.fault: str | None = None
        self.last_error: str | None = None
        self.last_loss: str | None = None
        self.newest: Linked | None = None
        self.written: int = 0
        self._taken: list[Draft] = []
        """Left the backlog, and not appended yet."""
        self._requests: deque[_Request] = deque()
        self._thread: Background | None = None
        self.wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._is_awake = False
        self._ends = False

    def __len__(self) -> int:
        """Events that wait."""
        return len(self.backlog) + len(self._taken)

    def put(self, prefix: str) -> bool:
        """Have an event wait for its turn; whether there was room for it."""
        room = self.backlog.add(prefix)
        if not room:
            ts = prefix[7:37]
            self.gap.add(ts, self.fault or "backlog-full")
            self._counters.lost += 1
            self.last_loss = ts
            self._tell("overflow", "the backlog is full; events are being lost")
        if not self._is_awake:
            self._awake()
        return room

    def append_now(self, prefix: str, seconds: float = STRICT_SECONDS) -> Linked:
        """Append one event before this returns, with the durability asked for.

        Raises:
            SinkError: it is not there, as far as is known. When the answer did not come in time
                (``database-timeout``), it may be there all the same.
        """
        draft = Draft.of(prefix)
        request = _Request(draft, self._tenant(draft))
        self._requests.append(request)
        self._awake()
        try:
            answer = request.answer.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            request.given_up = True
            raise SinkError(self.fault or "database-timeout") from None
        if isinstance(answer, DatabaseError):
            raise SinkError(answer.reason)
        return answer

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits any more; whether that is so, and as durable as asked for."""
        deadline = time.monotonic() + seconds
        self._awake()
        while len(self) or self.gap.lost:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_STEP_SECONDS)
            self._awake()
        return True

    def give_up(self) -> int:
        """Count what waits as lost: the process ends; how many there are."""
        waiting = len(self)
        self._ends = True
        if waiting:
            self._counters.lost += waiting
            self._tell(
                "end",
                f"{waiting} event{'s' if waiting > 1 else ''} lost at the end of the process: "
                f"{self.address.shown} takes none "
                f"({self.fault or 'no time left'})",
            )
        return waiting

    def close(self, seconds: float) -> bool:
        """Flush and give the connection back; a later event makes another one."""
        done = self.flush(seconds)
        thread = self._thread
        if thread is not None:
            self._ends = True
            self.wake.put(None)
            thread.join(seconds)
            self._ends = thread.is_alive()
        return done

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        self._chains.after_fork()
        self.reset()

    # The thread.

    def _awake(self) -> None:
        """See to a thread that looks; safe for signal handlers."""
        self._is_awake = True
        if (self._thread is None or not self._thread.is_alive()) and self._starting.acquire(False):
            try:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = thread = Background()
                    thread.start(_keep_appending, weakref.ref(self), thread)
            except RuntimeError as error:
                let_through(error)  # no threads any more: the process ends, and says what is lost
            finally:
                self._starting.release()
        self.wake.put(None)

    def has_work(self) -> bool:
        """Whether anything is left to do."""
        return bool(len(self) or self._requests or self.gap.lost)

    def is_asked(self) -> bool:
        """Whether somebody waits in ``append_now``."""
        return bool(self._requests)

    def belongs_to(self, thread: Background) -> bool:
        """Whether this is the thread that appends."""
        return self._thread is thread

    def rests(self, idle: float) -> bool:
        """Whether the thread may end, as there was nothing to do for so many seconds."""
        self._is_awake = False
        if self.has_work() or (idle < IDLE_SECONDS and not self._ends):
            return False
        self._chains.close()
        self._thread = None
        if self.has_work():
            self._awake()  # something came just before, and found the thread alive
        return True

    def append_waiting(self) -> bool:
        """Append a batch of what waits; whether all went well."""
        requests = self._next_requests()
        taken = self._take(BATCH - len(requests))
        groups: dict[str, list[Draft]] = {}
        for draft in taken:
            groups.setdefault(self._tenant(draft), []).append(draft)
        for request in requests:
            groups.setdefault(request.tenant, []).append(request.draft)
        declared = self._declared(groups) if len(taken) < BATCH else None
        if not groups:
            return True
        outcomes = self._chains.append_each(groups)
        failed = [one for one in outcomes.values() if isinstance(one, DatabaseError)]
        self._settle(outcomes, groups)
        self._answer(requests, outcomes)
        if declared is not None and not isinstance(outcomes[""], DatabaseError):
            self.gap.forget(declared)
        self._note(failed[0] if failed else None)
        return not failed

    def _next_requests(self) -> list[_Request]:
        """Of ``append_now``: nobody who waits there waits for more than one batch of others."""
        found: list[_Request] = []
        while self._requests and len(found) < BATCH // 2:
            request = self._requests.popleft()
            if not request.given_up:
                found.append(request)
        return found

    def _take(self, most: int) -> list[Draft]:
        waiting = self.backlog.waiting
        while waiting and len(self._taken) < most:
            self._taken.append(Draft.of(self.backlog.first()))
            self.backlog.pop()
        return self._taken

    def _declared(self, groups: dict[str, list[Draft]]) -> Gap | None:
        """Add the record of what did not fit, once there is room again."""
        if not self.gap.lost:
            return None
        declared = self.gap.copy()
        record = Draft.of(self._own("audit.gap", declared.fields(SINK)))
        groups.setdefault("", []).append(record)
        return declared

    def _settle(
        self, outcomes: dict[str, list[Linked] | DatabaseError], groups: dict[str, list[Draft]]
    ) -> None:
        """What is appended waits no longer, and is shown."""
        shown: list[Linked] = []
        there: set[int] = set()
        for tenant, outcome in outcomes.items():
            if not isinstance(outcome, DatabaseError):
                there.update(map(id, groups[tenant]))
                shown += outcome
        try:
            if shown:
                self.newest = shown[-1]
                self.written += len(shown)
                self._show(shown)
        finally:
            # Last: who waits until nothing waits any more waits for what is shown, too.
            self._taken = [draft for draft in self._taken if id(draft) not in there]

    def _answer(
        self, requests: list[_Request], outcomes: dict[str, list[Linked] | DatabaseError]
    ) -> None:
        by_id: dict[str | None, Linked] = {}
        for outcome in outcomes.values():
            if not isinstance(outcome, DatabaseError):
                by_id.update((linked.id, linked) for linked in outcome)
        for request in requests:
            outcome = outcomes[request.tenant]
            if isinstance(outcome, DatabaseError):
                request.answer.put(outcome)
            else:
                request.answer.put(by_id[request.draft.copies.id])

    def _note(self, error: DatabaseError | None) -> None:
        self.fault = error.reason if error is not None else None
        if error is not None:
            self.last_error = error.reason
            self._tell(
                f"store {error.reason}",
                f"{error} ({error.reason}); events are kept in memory and appended when it is back",
            )

    def _tenant(self, draft: Draft) -> str:
        return (draft.copies.workspace_id or "") if self._chain_by == "workspace_id" else ""

    def trouble(self, error: BaseException) -> None:
        """Tell of a failure that nobody expected, by its type only."""
        self._counters.internal_errors += 1
        self.fault = self.last_error = type(error).__name__
        self._tell("store", f"the direct store failed: {type(error).__name__}")
        while self._requests:
            request = self._requests.popleft()
            request.answer.put(DatabaseError(type(error).__name__, "the direct store failed"))


def _keep_appending(reference: weakref.ref[QueuedChains], thread: Background) -> None:
    """Append what comes, until nothing comes for a while; holds nothing alive while it waits.

    After a failure the pauses grow, but whoever calls ``append_now`` gets an attempt at once.
    """
    failures, until, busy = 0, 0.0, time.monotonic()
    while True:
        store = reference()
        if store is None or not store.belongs_to(thread):
            return
        now = time.monotonic()
        if not store.has_work():
            if store.rests(now - busy):
                return
            wake = store.wake
            del store
            _wait(wake)
            continue
        busy = now
        if now < until and not store.is_asked():
            del store
            time.sleep(_STEP_SECONDS)
            continue
        failures = 0 if _appended(store) else failures + 1
        until = time.monotonic() + min(_LONGEST_SECONDS, 0.05 * 2**failures) if failures else 0.0
        del store


def _appended(store: QueuedChains) -> bool:
    """Append a batch; whether all went well."""
    try:
        return store.append_waiting()
    except Exception as error:  # noqa: BLE001 - the thread is the last hope of what waits
        let_through(error)
        store.trouble(error)
        return False


def _wait(wake: queue.SimpleQueue[None]) -> None:
    with suppress(queue.Empty):
        wake.get(timeout=1.0)
        while True:
            wake.get_nowait()
