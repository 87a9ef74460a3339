"""What a small Loki keeps and refuses, and what it answers: rules measured on Loki 3.7."""

from __future__ import annotations

import gzip
import json
import re
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from support import logql_evaluator

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass
class Limits:
    """What is refused; the defaults are those of Loki."""

    max_line_size: int = 256 * 1024
    reject_old_samples_max_age: int | None = 7 * DAY
    creation_grace_period: int = 600 * SECOND
    out_of_order: int = HOUR
    time_sharding: bool = False
    max_label_names: int = 15
    max_label_name: int = 1024
    max_label_value: int = 2048
    max_metadata_size: int = 64 * 1024
    max_metadata_entries: int = 128
    max_entries: int = 5000
    max_query_length: int = 30 * DAY + HOUR
    ingestion_burst: int = 6 * 1024 * 1024
    per_stream_burst: int = 15 * 1024 * 1024
    max_streams: int | None = None
    """Open at a time; the default of Loki is 5000."""
    query_ingesters_within: int = 0
    """What is older is not shown before it is written; 3 hours by default, here as configured."""


CONFIGURED = Limits(
    reject_old_samples_max_age=396 * DAY,
    time_sharding=True,
    max_entries=10_000,
    max_query_length=396 * DAY,
    ingestion_burst=64 * 1024 * 1024,
    per_stream_burst=64 * 1024 * 1024,
)
"""Those of ``vector/loki.yaml``."""


class Refusal(Exception):  # noqa: N818 - reads as what happened
    """The request is answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Stream:
    """The entries of one label set, in the order in which they came."""

    labels: dict[str, str]
    entries: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    known: set[Any] = field(default_factory=set)
    newest: int = 0
    again: int = 0
    """Entries that came once more: Loki may count them twice."""
    written: int = 0
    """How many of the entries are in chunks, and no longer in memory only."""

    def add(self, ts: int, line: str, metadata: dict[str, str]) -> None:
        """Keep an entry; the same one again is no other."""
        key = (ts, line, tuple(sorted(metadata.items())))
        if key in self.known:
            self.again += 1
        else:
            self.known.add(key)
            self.entries.append((ts, line, metadata))
        self.newest = max(self.newest, ts)


class Store:
    """The streams of every tenant.

    Attributes:
        limits: may be changed at any time.
        now: its clock, in nanoseconds since 1970.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.now: Callable[[], int] = time.time_ns
        self.streams: dict[str, dict[Any, Stream]] = defaultdict(dict)
        self.open: set[Any] = set()
        self.most_open = 0

    def push(self, tenant: str, pushed: list[Any]) -> None:
        """Keep what is good, and refuse the rest (L:pkg/distributor, pkg/ingester)."""
        if not pushed:
            raise Refusal(422, "error at least one valid stream is required for ingestion")
        refused: list[str] = []
        good: list[tuple[dict[str, str], list[tuple[int, str, dict[str, str]]]]] = []
        for one in pushed:
            labels = one["stream"]
            unfit = self._wrong_labels(labels)
            refused += unfit
            if unfit:
                continue
            entries = []
            for ts, line, metadata in map(_entry, one["values"]):
                wrong = self._wrong_entry(labels, ts, line, metadata)
                refused += wrong
                if not wrong:
                    entries.append((ts, line, metadata))
            good.append((labels, entries))
        size = sum(_size(entry) for _, entries in good for entry in entries)
        if size > self.limits.ingestion_burst:
            lines = sum(len(entries) for _, entries in good)
            raise Refusal(
                429,
                "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while "
                f"attempting to ingest '{lines}' lines totaling '{size}' bytes",
            )
        limited = [why for one in good for why in self._store(self.streams[tenant], *one)]
        if any("too far behind" not in why for why in limited):
            raise Refusal(429, "\n".join(limited))
        refused += limited
        if refused:
            raise Refusal(
                400, "; ".join(f"{n} errors like: {why}" for why, n in Counter(refused).items())
            )

    def _store(
        self,
        streams: dict[Any, Stream],
        labels: dict[str, str],
        entries: Sequence[tuple[int, str, dict[str, str]]],
    ) -> Iterator[str]:
        key = tuple(sorted(labels.items()))
        stream = streams.setdefault(key, Stream(labels))
        room = self.limits.per_stream_burst
        for entry in entries:
            if not self._opens((key, self._shard(entry[0]))):
                yield (
                    "maximum active stream limit exceeded when trying to create stream "
                    f"{_selector(labels)}, reduce the number of active streams (reduce labels or "
                    "reduce label values), or contact your Loki administrator to see if the limit "
                    "can be increased, user: 'fake'"
                )
                return
            oldest = stream.newest - self.limits.out_of_order
            if entry[0] < oldest and not self.limits.time_sharding:
                yield (
                    f"entry with timestamp {entry[0]} ignored, reason: 'entry too far behind, "
                    f"entry timestamp is: {_second(entry[0])}, oldest acceptable timestamp is: "
                    f"{_second(oldest)}',\nuser 'fake', total ignored: 1 out of {len(entries)} for "
                    f"stream: {_selector(labels)}"
                )
                continue
            room -= _size(entry)
            if room < 0:
                yield f"entry with timestamp {entry[0]} ignored, reason: 'Per stream rate limit'"
                continue
            stream.add(*entry)

    def _shard(self, ts: int) -> int:
        """Late entries are split by hour."""
        late = self.limits.time_sharding and ts < self.now() - 40 * 60 * SECOND
        return ts // HOUR if late else -1

    def _opens(self, stream: Any) -> bool:
        """Whether a stream is open, or may be opened."""
        limit = self.limits.max_streams
        if stream not in self.open and limit is not None and len(self.open) >= limit:
            return False
        self.open.add(stream)
        self.most_open = max(self.most_open, len(self.open))
        return True

    def write_chunks(self) -> None:
        """What ``POST /flush`` does: all that is in memory goes to chunks, and streams close."""
        self.open.clear()
        for streams in self.streams.values():
            for stream in streams.values():
                stream.written = len(stream.entries)

    def _is_shown(self, stream: Stream, number: int, ts: int) -> bool:
        within = self.limits.query_ingesters_within
        return not within or number < stream.written or ts >= self.now() - within

    def _wrong_labels(self, labels: dict[str, str]) -> list[str]:
        limits, shown = self.limits, _selector(labels)
        if not labels:
            return ["error at least one label pair is required per stream"]
        for name, value in labels.items():
            if not _NAME.fullmatch(name):
                raise Refusal(400, "couldn't parse labels: parse error")
            if len(name) > limits.max_label_name:
                return [f"stream '{shown}' has label name too long: '{name}'"]
            if len(value) > limits.max_label_value:
                return [f"stream '{shown}' has label value too long: '{value}'"]
        if len(labels) > limits.max_label_names:
            allowed = limits.max_label_names
            return [f"entry for stream '{shown}' has {len(labels)} label names; limit {allowed}"]
        return []

    def _wrong_entry(
        self, labels: dict[str, str], ts: int, line: str, metadata: dict[str, str]
    ) -> list[str]:
        limits, shown, now = self.limits, _selector(labels), self.now()
        size = len(line.encode())
        if size > limits.max_line_size:
            return [f"max entry size '{limits.max_line_size}' bytes exceeded for stream '{shown}'"]
        oldest = now - (limits.reject_old_samples_max_age or now)
        if ts < oldest:
            bound = f"oldest acceptable timestamp is: {_second(oldest)}"
            return [f"entry for stream '{shown}' has timestamp too old: {_second(ts)}, {bound}"]
        if ts > now + limits.creation_grace_period:
            return [f"entry for stream '{shown}' has timestamp too new: {_second(ts)}"]
        if _size((0, "", metadata)) > limits.max_metadata_size:
            return [f"stream '{shown}' has structured metadata too large"]
        if len(metadata) > limits.max_metadata_entries:
            return [f"stream '{shown}' has too many structured metadata labels: '{len(metadata)}'"]
        return []

    def query_range(
        self, tenant: str, asked: Mapping[str, str], *, categorized: bool
    ) -> list[dict[str, Any]]:
        """The result of a log query: its streams, each with its values."""
        limit = int(asked.get("limit", "100"))
        start, end = int(asked["start"]), int(asked["end"])
        try:
            query = logql_evaluator.parse(asked["query"])
        except logql_evaluator.LogQLError as error:
            raise Refusal(400, str(error)) from None
        if end < start:
            raise Refusal(400, "end timestamp must not be before or equal to start time")
        if limit > self.limits.max_entries:
            raise Refusal(
                400,
                "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                f"({limit} > {self.limits.max_entries})",
            )
        if end - start > self.limits.max_query_length:
            raise Refusal(400, "the query time range exceeds the limit (query length: too long)")
        found = [
            (ts, line, each.labels, metadata, parsed)
            for each in self.streams[tenant].values()
            if query.selects(each.labels)
            for number, (ts, line, metadata) in enumerate(each.entries)
            if start <= ts < end
            and self._is_shown(each, number, ts)
            and (parsed := query.run(line, {**each.labels, **metadata})) is not None
        ]
        backward = asked.get("direction", "backward") == "backward"
        if backward:
            found.reverse()
        found.sort(key=lambda entry: entry[0], reverse=backward)
        grouped: dict[Any, tuple[dict[str, str], list[Any]]] = {}
        for ts, line, labels, metadata, parsed in found[:limit]:
            shown = labels if categorized else {**labels, **metadata, **parsed}
            extra = {"structuredMetadata": metadata} if metadata else {}
            more = [{**extra, **({"parsed": parsed} if parsed else {})}] if categorized else []
            values = grouped.setdefault(tuple(sorted(shown.items())), (shown, []))[1]
            values.append([str(ts), line, *more])
        return [{"stream": shown, "values": values} for shown, values in grouped.values()]


def _size(entry: tuple[int, str, dict[str, str]]) -> int:
    return len(entry[1].encode()) + sum(len(k) + len(v.encode()) for k, v in entry[2].items())


def _second(ts: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ts // SECOND))


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{labels[name]}"' for name in sorted(labels)) + "}"


def decoded(headers: Message, body: bytes) -> list[Any]:
    """The streams of a push as JSON.

    Raises:
        Refusal: it is none.
    """
    if headers.get("Content-Type") != "application/json":
        raise Refusal(415, "unsupported content type")
    try:
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return list(json.loads(body)["streams"])
    except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error) as error:
        raise Refusal(400, f"loghttp.PushRequest: {error}") from None


def _entry(value: list[Any]) -> tuple[int, str, dict[str, str]]:
    ts, line, *rest = value
    metadata = rest[0] if rest else {}
    if not (str(ts).isdecimal() and isinstance(line, str)):
        raise Refusal(
            400, "loghttp.PushRequest.Streams: unmarshalerDecoder: Value looks like Number"
        )
    if not all(isinstance(each, str) for each in metadata.values()):
        raise Refusal(400, "loghttp.PushRequest.Streams: unmarshalerDecoder: Value is string, but")
    named = {re.sub(r"[^a-zA-Z0-9_]", "_", key): each for key, each in metadata.items() if each}
    return int(ts), line, named
