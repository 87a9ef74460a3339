"""One request to an HTTP server that is not trusted: its time and its answer are bounded."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

SECONDS = 10.0
"""The default time for a whole request, to the end of the answer."""

LONGEST = 64 * 1024
_SAFE = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)


class Answered(NamedTuple):
    """An answer: the status, the media type without parameters, and the bytes of the body."""

    status: int
    kind: str
    body: bytes


def check_url(url: str) -> str:
    """The address without slashes at its end.

    Raises:
        ValueError: it is no address of HTTP, or has a login, a query or a fragment.
    """
    parts = urlsplit(url) if _SAFE.fullmatch(url) else None
    if parts is None or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address is https://host/path, without login, query and fragment")
    parts.port  # noqa: B018 - it raises ValueError where it is no number
    return url.rstrip("/")


def ask(
    method: str,
    url: str,
    body: bytes = b"",
    *,
    kind: str = "text/plain; charset=utf-8",
    seconds: float = SECONDS,
    most: int = LONGEST,
) -> Answered:
    """Send one request. A redirect is an answer like any other, and is not followed.

    Args:
        method: of HTTP.
        url: see ``check_url``.
        body: may be empty.
        kind: its media type.
        seconds: the time for the whole request, however slowly bytes arrive.
        most: the most bytes of the answer.

    Raises:
        OSError: there is no answer, or not in time.
        ValueError: the address is not valid, or the answer is too long or not HTTP.
    """
    parts = urlsplit(check_url(url))
    secure = parts.scheme == "https"
    made = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = made(parts.hostname or "", parts.port, timeout=seconds)
    headers = {"Content-Type": kind, "User-Agent": "audit-emit", "Connection": "close"}
    try:
        with _within(seconds) as watch:
            connection.connect()
            watch.socket = connection.sock  # the connection forgets it before the answer is read
            if watch.over:  # it ended before there was anything to cut off
                raise TimeoutError
            connection.request(method, parts.path or "/", body or None, headers)
            answer = connection.getresponse()
            data = answer.read(most + 1)
    except http.client.HTTPException:
        raise ValueError("what it answers is no HTTP") from None
    finally:
        connection.close()
    if len(data) > most:
        raise ValueError(f"the answer has more than {most} bytes")
    found = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answered(answer.status, found, data)


class _Watch:
    """Closes a connection after a time: slow single bytes never exceed the timeout of a socket."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.over = False

    def end(self) -> None:
        self.over = True
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def _within(seconds: float) -> Iterator[_Watch]:
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    except (OSError, http.client.HTTPException):
        if watch.over:
            raise TimeoutError(f"no answer within {seconds:g} s") from None
        raise
    finally:
        timer.cancel()
    if watch.over:
        raise TimeoutError(f"no answer within {seconds:g} s")
