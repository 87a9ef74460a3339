"""A client of Loki's HTTP API: reads ranges of entries completely, queries values, pushes entries.

Loki limits the number of entries in an answer, and the length of a range. This client reads a range
of any length in pages, by time. The entries of the last nanosecond of a page are dropped and read
again with the next page, so that none is lost or returned twice, whatever their streams.
"""

from __future__ import annotations

import gzip
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Self, TypeVar, Unpack

import msgspec

from audit_emit._format.record import ts_of
from audit_emit._loki.http import Connection, Options
from audit_emit.errors import LokiError, Malformed, Refused, ServerFailed, TooLarge

PAGE = 5000
"""Entries per answer: what Loki allows by default (``max_entries_limit_per_query``)."""

_HOUR = 3_600_000_000_000
_SHORTEST = 1_000_000_000
_TOO_LONG = re.compile("query time range exceeds the limit")
_TOO_MANY = re.compile("max entries limit per query exceeded")
_CATEGORIZED = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
"""Makes Loki return structured metadata with each line, and not among the labels of the stream."""

Direction = Literal["forward", "backward"]


class Entry(NamedTuple):
    """One line in Loki.

    Attributes:
        ts: nanoseconds since 1970.
        line: the text of the line, without a newline.
        labels: the labels of its stream, including those that Loki adds (``service_name``).
        metadata: its structured metadata.
    """

    ts: int
    line: str
    labels: Mapping[str, str]
    metadata: Mapping[str, str] = {}


class Sample(NamedTuple):
    """One value of an instant query; ``ts`` is in nanoseconds since 1970."""

    ts: int
    value: float
    labels: Mapping[str, str]


class _Extra(msgspec.Struct, rename="camel"):
    structured_metadata: dict[str, str] = {}


class _Value(msgspec.Struct, array_like=True):
    ts: str
    line: str
    extra: _Extra = msgspec.field(default_factory=_Extra)


class _Stream(msgspec.Struct):
    stream: dict[str, str]
    values: list[_Value]


class _Streams(msgspec.Struct, rename="camel"):
    result_type: Literal["streams"]
    result: list[_Stream]


class _RangeAnswer(msgspec.Struct):
    status: Literal["success"]
    data: _Streams


class _Point(msgspec.Struct):
    value: tuple[float, str]
    metric: dict[str, str] = {}


class _Vector(msgspec.Struct, rename="camel"):
    result_type: Literal["vector"]
    result: list[_Point]


class _InstantAnswer(msgspec.Struct):
    status: Literal["success"]
    data: _Vector


_Answer = TypeVar("_Answer", _RangeAnswer, _InstantAnswer)


class LokiClient:
    """Talks to one Loki as one tenant. A context manager; not for use by several threads at once.

    Queries are tried again after 429 and 5xx, a few times. ``push`` tries once; the caller decides
    what to do after a refusal.

    Args:
        url: such as ``http://loki:3100``; user and password in it are used and never shown.
        options: tenant, credentials and timeouts; see ``http.Connection``.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._connection = Connection(url, **options)
        self._longest = sys.maxsize
        self._most = PAGE

    @property
    def url(self) -> str:
        """The address, without credentials."""
        return self._connection.url

    def __repr__(self) -> str:
        return f"LokiClient({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def query_range(
        self,
        logql: str,
        start_ns: int,
        end_ns: int,
        *,
        direction: Direction = "forward",
        page: int = PAGE,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """The entries of a log query from ``start_ns`` up to, not including, ``end_ns``.

        One page is in memory at a time. The range is divided into periods, which grow where there
        are few entries: an answer costs Loki time in proportion to the period. Entries come in
        order of time, and entries of one nanosecond in the order in which Loki has each stream.

        Args:
            logql: a log query (not a metric query).
            start_ns, end_ns: nanoseconds since 1970.
            direction: ``backward`` begins with the newest entry.
            page, limit: entries to ask for at a time, and to return at most (default: all).

        Raises:
            LokiError: see its subclasses. Entries that were returned before are valid.
        """
        backward = direction == "backward"
        low, high = start_ns, end_ns
        left = math.inf if limit is None else limit
        reach = _HOUR
        while low < high and left > 0:
            length = min(reach, high - low, self._longest)
            begin, end = (high - length, high) if backward else (low, low + length)
            asked = int(min(page, self._most, left))
            try:
                entries = self._page(logql, begin, end, direction, asked)
            except (Refused, TooLarge) as error:
                self._ask_for_less(error, length, asked)
                continue
            if len(entries) < asked:
                low, high = (low, begin) if backward else (end, high)
                reach = 4 * length
            elif left > asked:
                border = entries[-1].ts
                entries = [entry for entry in entries if entry.ts != border]
                if not entries:
                    raise _crowded(border, asked)
                low, high = (low, border + 1) if backward else (border, high)
                reach = max(2 * abs(border - entries[0].ts), _HOUR)
            left -= len(entries)
            yield from entries

    def instant(self, logql: str, time_ns: int) -> list[Sample]:
        """The values of a metric query at one time, in nanoseconds since 1970.

        Raises:
            LokiError: see its subclasses.
        """
        params = {"query": logql, "time": str(time_ns)}
        body = self._connection.ask("/loki/api/v1/query", params, {})
        return [
            Sample(int(point.value[0] * 10**9), float(point.value[1]), point.metric)
            for point in self._decoded(body, _InstantAnswer).data.result
        ]

    def push(self, batch: Iterable[Entry]) -> None:
        """Send entries in one request, as JSON, in the given order within each stream.

        Raises:
            Refused: with status and body. Loki may have stored a part of the batch nevertheless:
                it skips bad entries, stores the others and answers 400.
            LokiError: any other error. It is then unknown what was stored.
        """
        streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        for entry in batch:
            value: list[Any] = [str(entry.ts), entry.line]
            if entry.metadata:
                value.append(dict(entry.metadata))
            streams.setdefault(tuple(sorted(entry.labels.items())), []).append(value)
        if not streams:
            return
        body = msgspec.json.encode(
            {"streams": [{"stream": dict(key), "values": each} for key, each in streams.items()]}
        )
        self._connection.once(
            "POST",
            "/loki/api/v1/push",
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
            content=gzip.compress(body, 5, mtime=0),
        )

    def flush(self) -> None:
        """Make Loki write its chunks from memory to the store, for all tenants.

        Loki answers when it has begun, not when it is done.

        Raises:
            LokiError: Loki refuses, or gives no answer.
        """
        self._connection.once("POST", "/flush")

    def ready(self) -> bool:
        """Whether Loki reports that it is ready for queries.

        Raises:
            LokiError: there is no answer, or not one of Loki.
        """
        try:
            self._connection.once("GET", "/ready")
        except ServerFailed:
            return False
        return True

    def _page(
        self, logql: str, begin: int, end: int, direction: Direction, limit: int
    ) -> list[Entry]:
        params = {
            "query": logql,
            "start": str(begin),
            "end": str(end),
            "limit": str(limit),
            "direction": direction,
        }
        body = self._connection.ask("/loki/api/v1/query_range", params, _CATEGORIZED)
        try:
            entries = [
                Entry(int(value.ts), value.line, each.stream, value.extra.structured_metadata)
                for each in self._decoded(body, _RangeAnswer).data.result
                for value in each.values
            ]
        except ValueError:
            raise Malformed(f"Loki at {self.url} sent a time that is no number") from None
        entries.sort(key=lambda entry: entry.ts, reverse=direction == "backward")
        return entries

    def _ask_for_less(self, error: Refused | TooLarge, length: int, asked: int) -> None:
        """Note a limit that the server has stated, or raise the error if it is another one."""
        if isinstance(error, TooLarge) and asked > 1:
            self._most = asked // 2
            return
        body = error.body if isinstance(error, Refused) and error.status == 400 else ""
        if _TOO_LONG.search(body) and length > _SHORTEST:
            self._longest = length // 2
        elif _TOO_MANY.search(body) and asked > 1:
            self._most = asked // 2
        else:
            raise error

    def _decoded(self, body: bytes, shape: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # The text of a msgspec error gives the position, never the content.
            raise Malformed(
                f"Loki at {self.url} sent {len(body)} bytes that are not its JSON: {error}"
            ) from None


def _crowded(ts: int, count: int) -> LokiError:
    return LokiError(
        f"at least {count} entries have the time {ts_of(ts)}, which is more than Loki hands out at "
        "once: narrow the query, by event type, service or key"
    )
