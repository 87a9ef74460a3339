"""The connection that all readers of an address share, and rows as a stream."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Self

from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver

Values = list[bytes | None]
"""One row as PostgreSQL sends it in its binary format; ``None`` where there is no value."""

UNREAD = 98_304
"""Size of the receive buffer for a server on this machine; Linux makes it twice as large.

The server writes 8 KiB at a time. With a large buffer each write is a TCP segment of its own, and
the server, for which this process waits, spends the time for it. With a small buffer the writes
gather, and are sent in segments of up to 64 KiB while this process reads: the server then needs a
fifth less time. The buffer must be larger than such a segment, or TCP waits for a timer of 200 ms.
"""

_GATHER_SECONDS = 0.0001
"""Seconds to wait for the rest of a long row: to wake up for each piece of it takes longer."""


class Connection:
    """One connection for all chains of an address, closed by the last reader."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._made: Any = driver.connect(address, name="audit_emit reader")
        with _told(address):
            limit_what_is_unread(self._made.fileno())
            self._ready = DefaultSelector()
            self._ready.register(self._made.fileno(), EVENT_READ)
        self._readers = 0
        self._streamed: object = None

    def begin(self) -> Self:
        """Count one more reader."""
        self._readers += 1
        return self

    def end(self) -> None:
        """Count one reader less; the last one closes the connection."""
        self._readers -= 1
        if self._readers <= 0:
            self._ready.close()
            driver.close(self._made)

    def one(self, query: str, *values: Any) -> Any:
        """The first row of an answer; ``None`` without one."""
        with _told(self.address):
            self._interrupt()
            return self._made.execute(query, values).fetchone()

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row of an answer."""
        with _told(self.address):
            self._interrupt()
            found: list[tuple[Any, ...]] = self._made.execute(query, values).fetchall()
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the queries of this block in one transaction."""
        with _told(self.address):
            self._interrupt()
            with self._made.transaction():
                yield

    def stream(self, query: str, *values: str) -> Iterator[Values]:
        """The rows of an answer as the server makes them, without waiting for the last one.

        The server continues while the caller works on a row. As soon as the connection is used for
        another query, this stream ends, and the rest of it is thrown away: a caller that needs the
        rest asks again.

        Args:
            query: with ``$1`` and so on for the values.
            values: as text.
        """
        mark = object()
        with _told(self.address):
            self._interrupt()
            self._streamed = mark
            asked: Any = self._made.pgconn
            asked.send_query_params(
                query.encode(), [value.encode() for value in values], result_format=1
            )
            asked.set_single_row_mode()
        while self._streamed is mark:
            with _told(self.address):
                row = self._row(asked)
            if row is None:
                break
            yield row
            if self._streamed is mark:
                with _told(self.address):
                    asked.consume_input()  # what has come meanwhile, so that more can be sent

    def _row(self, asked: Any) -> Values | None:
        """The next row that comes; ``None`` after the last one."""
        psycopg = driver.load()
        while (found := self._next(asked)) is not None:
            if found.status == psycopg.pq.ExecStatus.SINGLE_TUPLE:
                return [found.get_value(0, column) for column in range(found.nfields)]
            if found.status != psycopg.pq.ExecStatus.TUPLES_OK:
                self._interrupt()
                raise psycopg.errors.error_from_result(found)
        self._streamed = None
        return None

    def _next(self, asked: Any) -> Any:
        """The next result of a query, which is waited for; ``None`` after the last one."""
        if asked.is_busy():
            self._ready.select()
            asked.consume_input()
            while asked.is_busy():
                time.sleep(_GATHER_SECONDS)
                self._ready.select()
                asked.consume_input()
        return asked.get_result()

    def _interrupt(self) -> None:
        """Read the rest of a stream and throw it away: nothing can be asked before its end."""
        if self._streamed is not None:
            self._streamed = None
            while self._next(self._made.pgconn) is not None:
                pass


def limit_what_is_unread(descriptor: int) -> None:
    """See ``UNREAD``; where the server is elsewhere, the kernel knows better."""
    if sys.platform != "linux":
        return
    # Should the connection be gone already, the first question says so.
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connected:
        is_network = connected.family in {socket.AF_INET, socket.AF_INET6}
        if is_network and connected.getsockname()[0] == connected.getpeername()[0]:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD)


@contextmanager
def _told(address: Address) -> Iterator[None]:
    """Turn errors of psycopg into ``DatabaseError``, which is an ``OSError``, too."""
    try:
        yield
    except driver.load().Error as error:
        raise driver.failed(error, address) from None


def in_array(numbers: Sequence[int]) -> str:
    """Numbers as the text of an array."""
    return "{" + ",".join(map(str, numbers)) + "}"
