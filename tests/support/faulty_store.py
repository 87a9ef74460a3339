"""A proxy in front of an object store that spoils one request, or all that are alike."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from support.waiting import PATIENCE

CUT = "cut"
"""The request is carried out, and the connection closed without an answer."""

HALF = "half"
"""The request is carried out, and half of the answer's body arrives."""

ERRORS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "409": (409, "ConditionalRequestConflict"),
    "412": (412, "PreconditionFailed"),
    "checksum": (400, "BadDigest"),
    "expired": (400, "ExpiredToken"),
    "clock": (403, "RequestTimeTooSkewed"),
    "kms": (400, "KMS.NotFoundException"),
    "denied": (403, "AccessDenied"),
}
"""What is answered instead of carrying a request out: status and code."""

DONE_BUT_500 = "done-but-500"
"""The request is carried out, and the answer says that it failed."""

_SECRET = "this-text-of-the-store-must-not-be-repeated"


class Request(NamedTuple):
    """One request that came."""

    method: str
    path: str
    owner: str = ""
    """Of the bucket, as the request expects it."""


Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


class FaultyStore:
    """Passes requests on, and spoils those that it is told to.

    Args:
        endpoint: of the store.
        owner: to whom the bucket belongs; as S3 does, a request that expects another is denied.

    Attributes:
        requests: all that came.
        fault: which one of the above; empty for none.
        said: makes another answer of what the store says.
        wanted: which requests it is for, given the number of the request from 0 on.
        secret: a text in the messages of errors.
    """

    secret = _SECRET

    def __init__(self, endpoint: str, owner: str = "") -> None:
        self._owner = owner
        self.requests: list[Request] = []
        self.fault = ""
        self.wanted: Callable[[int, Request], bool] = lambda _number, _request: True
        self.after: Callable[[int], None] = lambda _number: None
        self.said: Callable[[Answer], Answer] = lambda answer: answer
        self._store = urlsplit(endpoint).netloc
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spoil(self, fault: str, number: int | None = None, method: str = "") -> None:
        """Begin to count anew, and spoil the request of this number, or all of a method."""
        self.requests.clear()
        self.fault = fault
        self.wanted = lambda n, r: (number is None or n == number) and method in {"", r.method}

    def take(self, request: Request) -> tuple[int, str]:
        """The number of a request, and what is to happen to it."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            fault = self.fault if self.fault and self.wanted(number, request) else ""
        if self._owner and request.owner not in {"", self._owner}:
            fault = "denied"
        return number, fault

    def carried_out(self, request: Request, headers: Any, body: bytes) -> Answer:
        """What the store answers."""
        connection = http.client.HTTPConnection(self._store, timeout=PATIENCE)
        try:
            connection.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return self.said((answer.status, answer.getheaders(), answer.read()))
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyStore

    def _serve(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            pass  # http.server has said that it may go on
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        owner = self.headers.get("x-amz-expected-bucket-owner") or ""
        request = Request(self.command, self.path, owner)
        number, fault = self.proxy.take(request)
        if fault in ERRORS:
            self._error(*ERRORS[fault])
            return
        status, headers, data = self.proxy.carried_out(request, self.headers, body)
        self.proxy.after(number)
        if fault == CUT:
            self.close_connection = True
            return
        if fault == DONE_BUT_500:
            self._error(*ERRORS["500"])
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length")
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))  # type: ignore[arg-type]
        self.end_headers()
        if self.command != "HEAD":
            if fault == HALF:
                data, self.close_connection = data[: len(data) // 2], True
            with suppress(OSError):
                self.wfile.write(data)

    def _error(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{self.proxy.secret}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - the names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
