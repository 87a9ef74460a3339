"""The connection that all readers of an address share, and rows that come one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Self

from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver

Values = list[bytes | None]
"""One row as PostgreSQL sends it in its binary format; ``None`` where there is no value."""


class Connection:
    """One connection for all chains of an address, closed by the last reader."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._made: Any = driver.connect(address, name="audit_emit reader")
        self._readers = 0
        self._streamed: object = None

    def begin(self) -> Self:
        """One reader more uses it."""
        self._readers += 1
        return self

    def end(self) -> None:
        """One less."""
        self._readers -= 1
        if self._readers <= 0:
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
        """What is asked in this block is done as a whole, or not at all."""
        with _told(self.address):
            self._interrupt()
            with self._made.transaction():
                yield

    def stream(self, query: str, *values: str) -> Iterator[Values]:
        """The rows of an answer as the server makes them, without waiting for the last one.

        Who looks at a row has it to himself, while the server goes on. As soon as anybody asks
        something else, the answer ends here, and what is left of it is thrown away: who needs it
        asks again.

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
        while (found := _next(asked)) is not None:
            if found.status == psycopg.pq.ExecStatus.SINGLE_TUPLE:
                return [found.get_value(0, column) for column in range(found.nfields)]
            if found.status != psycopg.pq.ExecStatus.TUPLES_OK:
                self._interrupt()
                raise psycopg.errors.error_from_result(found)
        self._streamed = None
        return None

    def _interrupt(self) -> None:
        """Nothing more of an answer that was not read to its end."""
        if self._streamed is not None:
            self._streamed = None
            while _next(self._made.pgconn) is not None:
                pass


def _next(asked: Any) -> Any:
    """The next result of a query, which is waited for; ``None`` after the last one."""
    if asked.is_busy():
        with DefaultSelector() as ready:
            ready.register(asked.socket, EVENT_READ)
            while asked.is_busy():
                ready.select()
                asked.consume_input()
    return asked.get_result()


@contextmanager
def _told(address: Address) -> Iterator[None]:
    """Errors of psycopg as ours, which are errors of reading, too."""
    try:
        yield
    except driver.load().Error as error:
        raise driver.failed(error, address) from None


def in_array(numbers: Sequence[int]) -> str:
    """Numbers as the text of an array."""
    return "{" + ",".join(map(str, numbers)) + "}"
