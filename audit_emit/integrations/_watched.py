"""That the client has left, when the server says so and the application does not ask."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Task

__all__ = ["Message", "Receive", "Watched"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_ASKED = 2
"""The end of a body, and what comes after it."""

SECONDS = 0.05
"""A client waits at least as long: before that the server is not asked, which costs some 20 µs."""

WITHOUT_BODY = frozenset(("GET", "HEAD", "OPTIONS", "DELETE", "TRACE"))


class Watched:
    """The ``receive`` of one connection.

    Args:
        receive: the server's.
        method: of the request.
        heard: is told of every message, once, as soon as the server has said it.
    """

    def __init__(self, receive: Receive, method: str, heard: Callable[[Message], None]) -> None:
        self._receive = receive
        self._heard = heard
        self._begun = perf_counter()
        self._read = method in WITHOUT_BODY
        self._ahead: deque[Message] = deque()
        self._asked: Task[Message] | None = None
        self._waiting = 0

    async def receive(self) -> Message:
        """What the application gets: what it has not heard yet, then what the server says."""
        if self._ahead:
            return self._ahead.popleft()
        self._waiting += 1
        try:
            if self._asked is not None:
                asked, self._asked = self._asked, None
                return await asked
            return await self._ask()
        finally:
            self._waiting -= 1

    async def look(self) -> None:
        """Hear what the server has to say by now, without waiting for it.

        Of a server on asyncio: the others are not asked, and neither is one that the application
        waits for itself, or that has a body which the application has not read.
        """
        asyncio = sys.modules.get("asyncio")
        busy = self._waiting or self._asked is not None
        if asyncio is None or busy or not self._read or perf_counter() - self._begun < SECONDS:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        for _ in range(MAX_ASKED):
            self._asked = asked = loop.create_task(self._ask())
            asked.add_done_callback(_retrieved)
            await asyncio.sleep(0)
            if self._asked is not asked or not asked.done():
                return
            self._asked = None
            if asked.cancelled() or asked.exception() is not None:
                return
            self._ahead.append(asked.result())
            if asked.result()["type"] == "http.disconnect":
                return

    def leave(self) -> None:
        """Ask no more: the application has returned."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

    async def _ask(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._read = True
        self._heard(message)
        return message


def _retrieved(asked: Task[Message]) -> None:
    """Keep asyncio from complaining of an error that nobody has asked for."""
    if not asked.cancelled():
        asked.exception()
