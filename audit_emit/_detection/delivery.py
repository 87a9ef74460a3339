"""Delivers alerts to their receivers: they are kept, in order, until they are taken."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from audit_emit._detection.alert import Alert
from audit_emit.errors import DeliveryError

MOST = 10_000
"""Alerts that wait for one receiver; the log is not read on before they are fewer."""

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
"""Seconds of the pauses after failures, each twice as long as the one before."""

Complain = Callable[[str], None]


class Sink(Protocol):
    """Where alerts go."""

    @property
    def name(self) -> str:
        """By which the state knows it; equal for the same receiver."""

    def send(self, alert: Alert) -> None:
        """Give it the alert.

        Raises:
            DeliveryError: it was not taken, and is to be given again.
        """


class _Queue:
    """What waits for one sink."""

    def __init__(self, sink: Sink, waiting: Iterable[Alert]) -> None:
        self.sink = sink
        self.waiting = deque(waiting)
        self.failures = 0
        self.next = 0.0


class Deliveries:
    """All sinks, each with what it did not take yet.

    Args:
        sinks: where alerts go.
        pending: what waited when the state was kept, by the names of sinks.
        complain: says what went wrong, once for each row of failures.
    """

    def __init__(
        self, sinks: Iterable[Sink], pending: Mapping[str, list[Alert]], complain: Complain
    ) -> None:
        self._queues = [_Queue(sink, pending.get(sink.name, ())) for sink in sinks]
        self._complain = complain

    def add(self, alerts: Iterable[Alert]) -> None:
        """Alerts for every sink."""
        for alert in alerts:
            for queue in self._queues:
                queue.waiting.append(alert)

    def pending(self) -> dict[str, list[Alert]]:
        """What waits, by the names of sinks."""
        found: dict[str, list[Alert]] = {}
        for queue in self._queues:
            # Addresses that differ in what is secret have one name: what the slower one waits for
            # ends with what the other does.
            if len(queue.waiting) > len(found.get(queue.sink.name, ())):
                found[queue.sink.name] = list(queue.waiting)
        return found

    @property
    def is_full(self) -> bool:
        """Whether ``MOST`` alerts or more wait for one sink; then the log is not read on."""
        return any(len(queue.waiting) >= MOST for queue in self._queues)

    def deliver(self, now: float) -> bool:
        """Give each sink what waits for it, unless it failed a moment ago; whether one took any.

        Args:
            now: seconds of a clock that only goes forward.
        """
        taken = False
        for queue in self._queues:
            while queue.waiting and queue.next <= now:
                try:
                    queue.sink.send(queue.waiting[0])
                except DeliveryError as error:
                    self._failed(queue, now, error)
                    break
                queue.waiting.popleft()
                queue.failures, queue.next, taken = 0, 0.0, True
        return taken

    def _failed(self, queue: _Queue, now: float, error: DeliveryError) -> None:
        pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(queue.failures, 20))
        queue.next = now + pause * random.uniform(0.5, 1)  # noqa: S311 - not all at one moment
        if not queue.failures:
            self._complain(f"{error}; {len(queue.waiting)} alerts wait, and it is tried again")
        queue.failures += 1
