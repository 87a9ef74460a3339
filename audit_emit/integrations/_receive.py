"""An ASGI ``receive`` that can look for messages without waiting, to learn of a disconnect.

An ASGI server reports that the client has left only to an application that calls ``receive``, and
most handlers never do so after they have read the body. Without a look of our own, a request whose
client left would be recorded as a success.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from audit_emit.integrations._exchange import Exchange

if TYPE_CHECKING:
    from asyncio import Task

__all__ = ["Message", "PeekingReceive", "Receive", "is_worth_a_look"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_PEEKED = 2
"""Messages that one look can find: the end of the body, and the disconnect that follows it."""

PEEK_AFTER_SECONDS = 0.05
"""The age of a request from which on it is worth looking. Hardly any client leaves sooner, and each
look costs some 20 µs (a task and one turn of the event loop)."""

WITHOUT_BODY = frozenset(("GET", "HEAD", "OPTIONS", "DELETE", "TRACE"))


def is_worth_a_look(exchange: Exchange) -> bool:
    """Whether a request has taken so long that its client may have left."""
    return perf_counter() - exchange.started >= PEEK_AFTER_SECONDS


class PeekingReceive:
    """Wraps the ``receive`` of one connection.

    Args:
        receive: the server's callable.
        exchange: the facts of the request: when it started, and its HTTP method.
        on_message: called once with every message, as soon as the server has delivered it.
    """

    def __init__(
        self, receive: Receive, exchange: Exchange, on_message: Callable[[Message], None]
    ) -> None:
        self._receive = receive
        self._on_message = on_message
        self._exchange = exchange
        self._body_read = exchange.method in WITHOUT_BODY
        self._buffered: list[Message] = []
        self._pending: Task[Message] | None = None
        self._waiting = 0

    async def receive(self) -> Message:
        """Return the next message to the application: a buffered one, else the server's next."""
        if self._buffered:
            return self._buffered.pop(0)
        self._waiting += 1
        try:
            if self._pending is not None:
                pending, self._pending = self._pending, None
                return await pending
            return await self._receive_next()
        finally:
            self._waiting -= 1

    async def peek(self) -> None:
        """Collect the messages that the server has ready now, without waiting for more.

        They are buffered for the application. Works on asyncio only. Does nothing while the
        application itself waits in ``receive`` (a server need not support two callers at once), and
        while the request has a body that the application has not read: that may be large.
        """
        asyncio = sys.modules.get("asyncio")
        busy = self._waiting or self._pending is not None
        if asyncio is None or busy or not self._body_read or not is_worth_a_look(self._exchange):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        for _ in range(MAX_PEEKED):
            self._pending = pending = loop.create_task(self._receive_next())
            pending.add_done_callback(_retrieve_exception)
            # One turn of the loop is enough for a message that is ready. A call that is still
            # waiting is kept: the application's next ``receive`` continues it.
            await asyncio.sleep(0)
            if self._pending is not pending or not pending.done():
                return
            self._pending = None
            if pending.cancelled() or pending.exception() is not None:
                return
            self._buffered.append(pending.result())
            if pending.result()["type"] == "http.disconnect":
                return

    def close(self) -> None:
        """Cancel a call of ``receive`` that is still waiting; the application has returned.

        ``on_message`` is dropped: its owner and this object refer to each other, and as a cycle
        they would live until the next run of the garbage collector, with the scope of the request.
        """
        self._on_message = _is_over
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    async def _receive_next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_read = True
        self._on_message(message)
        return message


def _is_over(_message: Message) -> None:
    """Ignore a message of a request that is over; this replaces ``on_message`` then."""


def _retrieve_exception(pending: Task[Message]) -> None:
    """Mark the exception as retrieved, so that asyncio does not log it when nobody awaits it."""
    if not pending.cancelled():
        pending.exception()
