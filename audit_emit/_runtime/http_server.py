"""A small HTTP server for other programs: bounded in connections, in time and in what it reads.

It is ``http.server`` of the standard library with the limits that this one lacks: a client that
sends its request one byte at a time, or that never reads the answer, is cut off, and the number of
open connections, each of which has a thread, is bounded. TLS is left to a proxy in front of it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

CONNECTIONS = 64
"""How many are open at the same time; a further one is closed immediately."""

LIFETIME_SECONDS = 30.0
"""The longest life of a connection, even if it is in use. Clients open a new one."""

IDLE_SECONDS = 10.0
"""The longest time in which a client neither sends nor takes a byte."""

_LONGEST_PATH = 1024


class Request(NamedTuple):
    """A request: ``GET`` or ``POST``, and the path as it was sent, without its query."""

    method: str
    path: str
    body: bytes = b""


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: of HTTP.
        body: its bytes.
        kind: its media type.
        cached: the value of ``Cache-Control``.
        over: called once the bytes were sent, or could not be.
    """

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    cached: str = "no-store"
    over: Callable[[], None] = lambda: None


def told(status: int, sentence: str) -> Answer:
    """An answer for people: a text that says what is wrong."""
    return Answer(status, f"{sentence}\n".encode())


class Server(ThreadingHTTPServer):
    """Answers requests, each connection in a thread of its own; ``serve_forever`` runs it.

    Args:
        host, port: where it listens; port 0 for any.
        respond: makes the answer. If it raises, the answer has status 500 and gives no reason.
        most: the most bytes of the body of a ``POST``; without it ``POST`` is refused.
        failed: gets the exceptions of ``respond``.
    """

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(
        self,
        host: str,
        port: int,
        respond: Callable[[Request], Answer],
        *,
        most: int = 0,
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.respond = respond
        self.most = most
        self.failed = failed
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._ends: dict[Any, float] = {}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As ``TCPServer``: without the name of this host, which may take long to look up."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    @property
    def url(self) -> str:
        """The address of this server."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of a connection, if there is one left."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._ends[request] = time.monotonic() + LIFETIME_SECONDS
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._over(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Run in the thread of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._over(request)

    def _over(self, request: Any) -> None:
        if self._ends.pop(request, None) is not None:
            self._free.release()

    def service_actions(self) -> None:
        """Cut off what has been open too long; called twice a second."""
        now = time.monotonic()
        for request, end in list(self._ends.items()):
            if end < now:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a client that has disconnected is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server_version = "audit-emit"
    sys_version = ""

    def do_GET(self) -> None:
        # A body is not read: what is left of it must not be taken for the next request.
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        self._answer(self._asked("GET"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if not self.server.most:
            self._refuse(405, "this server only answers GET")
            return
        lengths = self.headers.get_all("Content-Length", [])
        # With two of them, a proxy may obey the other one, and see another end of the request.
        length = lengths[0] if len(lengths) == 1 else ""
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            self._refuse(411, "the length of the body is needed")
        elif len(length) > 9 or int(length) > self.server.most:
            self._refuse(413, f"a body has at most {self.server.most} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self._asked("POST", body))
            else:
                self.close_connection = True

    def _asked(self, method: str, body: bytes = b"") -> Answer:
        path = self.path.partition("?")[0]
        if len(path) > _LONGEST_PATH:
            return told(414, "no path here is that long")
        try:
            return self.server.respond(Request(method, path, body))
        except Exception as error:  # noqa: BLE001 - reported to the operator, not to the client
            self.server.failed(error)
            return told(500, "that failed here; whoever runs this server was told why")

    def _refuse(self, status: int, sentence: str) -> None:
        self.close_connection = True  # the body was not read
        self._answer(told(status, sentence))

    def _answer(self, made: Answer) -> None:
        try:
            self._send(made)
        finally:
            made.over()

    def _send(self, made: Answer) -> None:
        self.send_response(made.status)
        self.send_header("Content-Type", made.kind)
        self.send_header("Content-Length", str(len(made.body)))
        self.send_header("Cache-Control", made.cached)
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(made.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer an error that the base class finds in a request, as text and not as HTML."""
        del explain
        self._refuse(code, message or "that is no request")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - of the base class
        """Log nothing: the text of clients must not reach a terminal."""
