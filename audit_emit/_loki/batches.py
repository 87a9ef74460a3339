"""The batches in which records are pushed, and what Loki's refusals mean for them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from audit_emit._loki.labels import Placement, time_of
from audit_emit._loki.records import LoggedRecord

BATCH_BYTES = 768 * 1024
"""The most bytes of lines in a batch. As JSON they stay below 1 MB, a quarter of what Loki accepts
in a second by default."""

BATCH_LINES = 2000

TOO_OLD = "too old: Loki takes nothing older than reject_old_samples_max_age"
TOO_FAR_BEHIND = (
    "too far behind: more than max_chunk_age/2 (1 h) older than the newest of its stream; "
    "shard_streams.time_sharding_enabled allows it"
)
TOO_NEW = "too new: its time is further ahead than creation_grace_period"
TOO_LONG = "too long: max_line_size"
NOT_SHIPPED = "no JSON with a time and a type: the pipeline sets it aside, too"
SEVERAL = "the log has several records at this place; see audit-emit verify"
WRONG_HASH = "it does not have the hash that it states; see audit-emit verify"

_REASONS = {
    "timestamp too old": TOO_OLD,
    "too far behind": TOO_FAR_BEHIND,
    "timestamp too new": TOO_NEW,
    "max entry size": TOO_LONG,
}
_BOUND = re.compile(
    r"(timestamp too old|too far behind)[^;\n]*?oldest acceptable timestamp is: ([-0-9T:.]+Z)"
)
_STREAM = re.compile(r"for stream:? '?(\{[^}]*\})")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class OutgoingRecord(NamedTuple):
    """A record to be pushed, and the time and labels that it gets in Loki."""

    record: LoggedRecord
    placement: Placement

    @property
    def stream(self) -> tuple[str, str]:
        """The labels that identify its stream."""
        return self.placement.service, self.placement.event_type


class Bound(NamedTuple):
    """A limit that Loki has stated: what is older than ``ts`` is refused.

    Attributes:
        stream: service and event type of the stream; ``None`` for all streams.
        ts: nanoseconds since 1970.
        reason: why, for the report.
    """

    stream: tuple[str, str] | None
    ts: int
    reason: str


def reasons_of(body: str) -> list[str]:
    """The reasons in an answer of Loki that concern single lines of a batch.

    Loki has stored the other lines of the batch then.

    Returns:
        An empty list when the text holds no reason that is known to concern single lines.
    """
    return [reason for words, reason in _REASONS.items() if words in body]


def reason_of(body: str) -> str:
    """The reason for which Loki refused a line that was sent alone."""
    first = body.strip().partition("\n")[0][:200]
    named = reasons_of(body)
    return named[0] if named else f"refused: {first}" if first else "refused without a reason"


def bounds_of(body: str) -> list[Bound]:
    """The oldest acceptable times that an answer of Loki states."""
    found = []
    stream = _stream(body)
    for words, text in _BOUND.findall(body):
        ts = time_of(text)
        if ts is None:
            continue
        if words == "timestamp too old":
            found.append(Bound(None, ts, TOO_OLD))
        elif stream is not None:
            found.append(Bound(stream, ts, TOO_FAR_BEHIND))
    return found


def _stream(body: str) -> tuple[str, str] | None:
    """The stream that an answer is about, if it names exactly one."""
    named = set(_STREAM.findall(body))
    if len(named) != 1:
        return None
    labels = dict(_LABEL.findall(named.pop()))
    try:
        return labels["service"], labels["event_type"]
    except KeyError:
        return None


def batches(
    outgoing_records: Iterable[OutgoingRecord], alone: Callable[[OutgoingRecord], bool]
) -> Iterator[list[OutgoingRecord]]:
    """Records in their order, in batches that Loki takes.

    Args:
        alone: whether a record is to be sent by itself; asked when it is its turn.
    """
    batch: list[OutgoingRecord] = []
    size = 0
    for outgoing in outgoing_records:
        single = alone(outgoing)
        length = len(outgoing.record.line)
        if batch and (single or size + length > BATCH_BYTES or len(batch) == BATCH_LINES):
            yield batch
            batch, size = [], 0
            single = single and alone(outgoing)
        batch.append(outgoing)
        size += length
        if single:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
