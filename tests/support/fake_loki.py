"""A small Loki over real HTTP, in this process: the rules that were measured on Loki 3.7.

It keeps what is pushed, refuses what Loki refuses with the same status and the beginning of the
same text, and answers log queries (``logql_evaluator.py``). ``test_loki_server.py`` holds it to a
real one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from support.fake_loki_store import CONFIGURED, Limits, Refusal, Store, decoded


class Answer(NamedTuple):
    """Of the server: a status, a body and headers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Fault = Callable[[Callable[[], Answer]], Answer | None]
"""Instead of an answer: gets what would give the true one, and returns another, or ``None`` to hang
up without any."""


def status(code: int, body: str = "", **headers: str) -> Fault:
    """This answer, and nothing is done."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(code, body.encode(), named)


def truncated(true: Callable[[], Answer]) -> Answer:
    """The first half of the answer, as if it were all."""
    whole = true()
    return whole._replace(body=whole.body[: len(whole.body) // 2])


def lost(true: Callable[[], Answer]) -> None:
    """It is done, and the answer does not arrive."""
    true()


class LokiServer:
    """A Loki on a free port.

    Attributes:
        store: what it holds, its limits and its clock.
        tenants: whether a tenant must be named; without, all is one.
        authorization: the header that every request must carry, if any.
        faults: what the next requests meet, first come, first served; ``None`` is none.
        asked: the requests so far: method, path and parameters.
    """

    def __init__(self, *, tenants: bool = False, limits: Limits | None = None) -> None:
        self.store = Store(limits or Limits())
        self.tenants = tenants
        self.may_flush = True
        self.authorization: str | None = None
        self.faults: list[Fault | None] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop; afterwards nobody listens on the port."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def slow(self, _: Callable[[], Answer]) -> None:
        """A fault: no answer as long as the server lives."""
        self._over.wait()

    def lines(self, tenant: str = "fake") -> list[str]:
        """Every line that is kept, in order of time."""
        found = [entry for each in self.store.streams[tenant].values() for entry in each.entries]
        return [line for _, line, _ in sorted(found, key=lambda entry: entry[0])]

    def labels(self, tenant: str = "fake") -> list[dict[str, str]]:
        """Of every stream."""
        return [each.labels for each in self.store.streams[tenant].values()]

    def answer(self, method: str, path: str, headers: Message, body: bytes) -> Answer | None:
        """What a request gets; ``None`` when the connection is closed without an answer."""
        url = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}

        def true() -> Answer:
            try:
                with self._lock:
                    return self._route(method, url.path, headers, asked, body)
            except Refusal as refusal:
                return Answer(refusal.code, str(refusal).encode())

        with self._lock:
            self.asked.append((method, url.path, asked))
            fault = self.faults.pop(0) if self.faults else None
        return fault(true) if fault else true()

    def _route(
        self,
        method: str,
        path: str,
        headers: Message,
        asked: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        if self.authorization not in {None, headers.get("Authorization")}:
            raise Refusal(401, "unauthorized")
        if path == "/ready":
            return Answer(200, b"ready\n")
        tenant = headers.get("X-Scope-OrgID", "") if self.tenants else "fake"
        if not tenant:
            raise Refusal(401, "no org id\n")
        if (method, path) == ("POST", "/loki/api/v1/push"):
            self.store.push(tenant, decoded(headers, body))
            return Answer(204)
        if path == "/loki/api/v1/query_range":
            flags = headers.get("X-Loki-Response-Encoding-Flags", "")
            categorized = "categorize-labels" in flags
            result = self.store.query_range(tenant, asked, categorized=categorized)
            data = {"status": "success", "data": {"resultType": "streams", "result": result}}
            # As Loki has it: what can be read is not escaped.
            body = json.dumps(data, ensure_ascii=False).encode()
            return Answer(200, body, {"Content-Type": "application/json"})
        if (method, path) == ("POST", "/flush") and self.may_flush:
            self.store.write_chunks()
            return Answer(204)
        if path == "/loki/api/v1/query":
            raise Refusal(400, "log queries are not supported as an instant query type")
        raise Refusal(404, "404 page not found\n")


def _handler(server: LokiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in two parts waits for an acknowledgement between them

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = server.answer(self.command, self.path, self.headers, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _do  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def fake_loki() -> Iterator[LokiServer]:
    """A small Loki of this process, without tenants."""
    server = LokiServer()
    yield server
    server.close()


class Asked(NamedTuple):
    """A Loki to be asked, the small one or a real one, with the limits of ``vector/loki.yaml``."""

    url: str
    tenant: str


@pytest.fixture(params=["small", pytest.param("real", marks=pytest.mark.loki)])
def each_loki(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """The small Loki, then a real one where there is one: the same must be true of both."""
    if request.param == "real":
        real = request.getfixturevalue("loki")
        yield Asked(real.url, real.tenant)
        return
    server = LokiServer(tenants=True, limits=CONFIGURED)
    yield Asked(server.url, "test")
    server.close()
