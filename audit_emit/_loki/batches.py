"""How records are pushed: in which batches, and what a refusal says about them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from audit_emit._loki.labels import Placement, time_of
from audit_emit._loki.records import LoggedRecord

BATCH_BYTES = 768 * 1024
"""Of lines; as JSON they stay below 1 MB, a quarter of what Loki takes in a second by default."""

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
    """A record, and what it is in Loki."""

    record: LoggedRecord
    placement: Placement

    @property
    def stream(self) -> tuple[str, str]:
        """The labels that tell streams apart."""
        return self.placement.service, self.placement.event_type


class Bound(NamedTuple):
    """What is older than ``ts`` is refused, for a reason, in one stream or (``None``) in all."""

    stream: tuple[str, str] | None
    ts: int
    reason: str


def reasons_of(body: str) -> list[str]:
    """Why Loki refuses lines of a batch whose other lines it has kept, from the text of its answer.

    Returns:
        Nothing when the text names no reason that is known to be about single lines.
    """
    return [reason for words, reason in _REASONS.items() if words in body]


def reason_of(body: str) -> str:
    """Why Loki refuses a line that was sent alone."""
    first = body.strip().partition("\n")[0][:200]
    named = reasons_of(body)
    return named[0] if named else f"refused: {first}" if first else "refused without a reason"


def bounds_of(body: str) -> list[Bound]:
    """What a refusal says about the oldest times that are taken."""
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
    """The one stream that an answer is about."""
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
