"""The HTTP server for other programs: what it answers, and what no client can do to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.error import HTTPError
from urllib.request import Request as Asked
from urllib.request import urlopen

import pytest
from support.http_served import serving
from support.waiting import PATIENCE

from audit_emit._runtime import http_server
from audit_emit._runtime.http_server import Answer, Request, Server


def respond(request: Request) -> Answer:
    if request.path == "/fails":
        raise ValueError("a secret of this machine")
    return Answer(200, request.body or request.path.encode())


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with closing(
        socket.create_connection(("127.0.0.1", int(server.server_address[1])), 30)
    ) as made:
        yield made


def raw(server: Server, request: bytes) -> bytes:
    """Everything that is answered until the connection is closed."""
    with connected(server) as made:
        made.sendall(request)
        return b"".join(iter(lambda: made.recv(4096), b""))


def test_it_answers_and_forgets_the_query() -> None:
    with serving(respond) as server, urlopen(f"{server.url}/a?b=c", timeout=PATIENCE) as answer:
        assert answer.read() == b"/a"
        assert answer.headers["Cache-Control"] == "no-store"


def test_what_goes_wrong_is_told_to_who_runs_it_and_not_to_who_asks() -> None:
    failures: list[Exception] = []
    with serving(respond, failed=failures.append) as server, pytest.raises(HTTPError) as caught:
        urlopen(f"{server.url}/fails", timeout=PATIENCE)
    with caught.value as answer:
        assert answer.code == 500
        assert b"secret" not in answer.read()
    assert str(failures[0]) == "a secret of this machine"


def test_a_body_is_taken_where_there_is_one_and_no_longer_than_that() -> None:
    with serving(respond, most=5) as server:
        with urlopen(Asked(f"{server.url}/", data=b"hello"), timeout=PATIENCE) as answer:
            assert answer.read() == b"hello"
        for length in (b"6", b"9" * 4000, b"-1", b"x", b""):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n"
            assert raw(server, head)[9:12] in {b"413", b"411"}
        twice = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc"
        assert raw(server, twice)[9:12] == b"411"
        chunked = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"
        assert raw(server, chunked)[9:12] == b"411"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"405"),
        (b"DELETE / HTTP/1.1\r\n\r\n", b"501"),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.0\r\n\r\n", b"414"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.0\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_other_requests_are_refused(request_line: bytes, status: bytes) -> None:
    with serving(respond) as server:
        answer = raw(server, request_line)
    assert answer[9:12] == status


@pytest.mark.parametrize("head", [b"Content-Length: 40", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_body_that_is_not_read_is_no_second_request(method: bytes, head: bytes) -> None:
    second = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(respond) as server:
        answer = raw(server, method + b" /a HTTP/1.1\r\n" + head + b"\r\n\r\n" + second)
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_client_that_sends_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LIFETIME_SECONDS", 0.1)
    with serving(respond) as server, connected(server) as made:
        made.sendall(b"GET / HT")
        assert made.recv(100) == b""


def test_one_more_than_there_may_be_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CONNECTIONS", 1)
    with serving(respond) as server, connected(server) as first:
        first.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(100)
        with connected(server) as second:
            assert second.recv(100) == b"", "closed at once"


def test_an_address_of_version_6_is_one() -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    try:
        server = Server("::1", 0, respond)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with server:
        assert server.url.startswith("http://[::1]:")


def test_an_answer_is_over_once_it_was_sent_and_also_if_nobody_takes_it() -> None:
    over = threading.Semaphore(0)
    long = Answer(200, bytes(1 << 24), over=over.release)
    with serving(lambda _: long) as server:
        with urlopen(f"{server.url}/all") as answer:
            assert len(answer.read()) == 1 << 24
        assert over.acquire(timeout=PATIENCE)
        with connected(server) as client:
            client.sendall(b"GET /all HTTP/1.1\r\n\r\n")
            assert client.recv(1)
            assert not over.acquire(blocking=False), "it is being sent"
        assert over.acquire(timeout=PATIENCE)
