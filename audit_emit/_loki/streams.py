"""Counts the streams that a backfill opens in Loki, and divides it into steps. Pure.

With ``shard_streams.time_sharding_enabled`` Loki splits the stream of late records by hour. Each of
these streams is in memory until its chunk is written: 30 minutes after its last record, or after
``POST /flush``. A tenant may have ``max_global_streams_per_user`` of them. Beyond that Loki answers
429 to every request that would open another stream, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from audit_emit._loki.batches import OutgoingRecord

STREAMS = 2500
"""Streams per step: half of what Loki allows by default."""

RECENT = 40 * 60 * 10**9
"""Younger records, in nanoseconds, are not split by hour
(``shard_streams.time_sharding_ignore_recent``)."""

FLUSHED = 35.0
"""Seconds after ``POST /flush`` until the streams are closed: Loki looks for empty streams every 30
seconds (``flush_check_period``)."""

LIMIT = "maximum active stream limit exceeded"

_HOUR = 3600 * 10**9

Stream = tuple[str, str, int]
"""Service, event type, and hour; the hour is -1 for a stream that is not split."""


class OpenStreams:
    """The streams that the current step has opened.

    Args:
        most: how many a step may open.
        now: nanoseconds since 1970.

    Attributes:
        steps: the number of steps so far.
        total: the number of streams opened in all steps.
    """

    def __init__(self, most: int, now: int) -> None:
        self._most = most
        self._recent = now - RECENT
        self._streams: set[Stream] = set()
        self.steps = 1
        self.total = 0

    def parts(self, batch: Iterable[OutgoingRecord]) -> Iterator[list[OutgoingRecord]]:
        """Divide a batch so that no part exceeds the streams of a step."""
        part: list[OutgoingRecord] = []
        streams = set(self._streams)
        for outgoing in batch:
            one = self._of(outgoing)
            if one not in streams and len(streams) >= self._most:
                if part:
                    yield part
                part, streams = [], set()
            streams.add(one)
            part.append(outgoing)
        if part:
            yield part

    def fits(self, batch: Iterable[OutgoingRecord]) -> bool:
        """Whether this step may push a batch as well; the first batch of a step always fits."""
        more = {self._of(outgoing) for outgoing in batch}
        return not self._streams or len(self._streams | more) <= self._most

    def add(self, batch: Iterable[OutgoingRecord]) -> None:
        """Count the streams of a batch that is pushed."""
        before = len(self._streams)
        self._streams.update(map(self._of, batch))
        self.total += len(self._streams) - before

    def next_step(self) -> None:
        """Begin a step: Loki has written its chunks, and no stream is open."""
        self._streams.clear()
        self.steps += 1

    def _of(self, outgoing: OutgoingRecord) -> Stream:
        ts = outgoing.record.ts
        return *outgoing.stream, -1 if ts > self._recent else ts // _HOUR
